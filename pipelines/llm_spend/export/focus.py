"""A month as the FinOps Open Cost and Usage Specification (FOCUS) wants it: the exact names, times in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import get_args

from llm_spend.answers.formats import month_name
from llm_spend.answers.marts import MARTS, Marts, open_marts
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.export import FocusFormat, FocusVersion
from llm_spend.export.bill import LINES, there_are
from llm_spend.export.data import as_csv, as_parquet
from llm_spend.export.document import Column, Kind, Table, Value, cents, total
from llm_spend.export.files import write_files
from llm_spend.export.write import Exported

FORMATS: tuple[FocusFormat, ...] = get_args(FocusFormat)
VERSIONS: tuple[FocusVersion, ...] = get_args(FocusVersion)

TABLES: Mapping[FocusVersion, str] = {"1.4": "focus_cost_and_usage", "1.2": "focus_cost_and_usage_1_2"}

_UNPRICED = "Usage without a known price is in no cost. Lines of nothing else are left out: see llm_unpriced_models."

_PERIODS: Mapping[str, Kind] = dict.fromkeys(
    ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"), "moment"
)
_CHARGE: Mapping[str, Kind] = dict.fromkeys(
    ("ChargeCategory", "ChargeClass", "ChargeFrequency", "ChargeDescription", "BillingCurrency"), "text"
)
_COSTS: Mapping[str, Kind] = {
    "BilledCost": "exact_usd",
    "EffectiveCost": "exact_usd",
    "ContractedCost": "exact_usd",
    "ListCost": "exact_usd",
    "PricingQuantity": "exact_usd",
    "PricingUnit": "text",
    "ConsumedQuantity": "exact_usd",
    "ConsumedUnit": "text",
}
_SERVICE: Mapping[str, Kind] = dict.fromkeys(
    (
        "InvoiceIssuerName",
        "ServiceCategory",
        "ServiceSubcategory",
        "ServiceName",
        "BillingAccountId",
        "BillingAccountName",
        "SubAccountId",
        "SubAccountName",
        "Tags",
    ),
    "text",
)
_SPLIT: Mapping[str, Kind] = dict.fromkeys(
    (
        "AllocatedMethodId",
        "AllocatedMethodDetails",
        "AllocatedResourceId",
        "AllocatedResourceName",
        "AllocatedTags",
    ),
    "text",
)
_OURS: Mapping[str, Kind] = {
    "x_LineId": "text",
    "x_LineType": "text",
    "x_AllocationMethod": "text",
    "x_CostSource": "text",
    "x_Provider": "text",
    "x_Model": "text",
    "x_CostCenterId": "text",
    "x_TeamId": "text",
    "x_BillingPeriod": "day",
    "x_OriginalPeriod": "day",
    "x_RestatementReason": "text",
    "x_IsClosed": "flag",
    "x_UncachedInputTokens": "count",
    "x_CacheReadTokens": "count",
    "x_CacheWriteTokens": "count",
    "x_OutputTokens": "count",
    "x_Requests": "count",
    "x_UnpricedTokens": "count",
    "x_UnpricedRequests": "count",
}
COLUMNS: Mapping[FocusVersion, Mapping[str, Kind]] = {
    "1.4": {
        **_PERIODS,
        **_CHARGE,
        **_COSTS,
        "ServiceProviderName": "text",
        "HostProviderName": "text",
        **_SERVICE,
        **_SPLIT,
        **_OURS,
    },
    "1.2": {
        **_PERIODS,
        **_CHARGE,
        **_COSTS,
        "PublisherName": "text",
        "ProviderName": "text",
        **_SERVICE,
        "CommitmentDiscountStatus": "text",
        "InvoiceId": "text",
        **_OURS,
    },
}
"""The header of a file, in its order, and what its values are. Some warehouses keep names in capitals only."""


def export_focus(
    destination: Destination, period: date, file_format: FocusFormat, folder: Path, version: FocusVersion = "1.4"
) -> Exported:
    """Write the charges of the month that begins on `period` into a folder.

    Raises UserError when the warehouse has none of it, and when the file can't be written.
    """
    table, has_unpriced = read_focus(destination, period, version)
    content = as_csv(table) if file_format == "csv" else as_parquet(table)
    files = write_files(folder, {f"focus-{version}-{period:%Y-%m}.{file_format}": content})
    of = {column.name: [row[place] for row in table.rows] for place, column in enumerate(table.columns)}
    is_final = all(of["x_IsClosed"])
    return Exported(
        period,
        "closed" if is_final else "open, may change",
        is_final,
        total(cents(amount) for amount in of["BilledCost"] if isinstance(amount, Decimal)),
        (_UNPRICED,) if has_unpriced else (),
        files,
    )


def read_focus(destination: Destination, period: date, version: FocusVersion) -> tuple[Table, bool]:
    """The charges of a month, by line, and whether it has usage without a known price, which may have none.

    Raises UserError when there are no charges.
    """
    name, columns = TABLES[version], COLUMNS[version]
    with open_marts(destination, frozenset({name, LINES})) as marts:
        rows = marts.rows(
            f"""
            select {", ".join(columns)}
            from {MARTS}.{name}
            where x_BillingPeriod = ?
            order by x_LineId
            """,
            period,
        )
        if not rows:
            raise _no_charges(marts, destination, period, name)
        unpriced = marts.rows(
            f"select count(*) from {MARTS}.{LINES} where billing_period = ? and has_unpriced_usage", period
        )
    header = tuple(Column(column, column, kind) for column, kind in columns.items())
    return Table(name, header, tuple(tuple(map(_value, row)) for row in rows)), bool(unpriced[0][0])


def _value(value: Value | datetime) -> Value:
    """FOCUS writes times with their zone, which is UTC."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


def _no_charges(marts: Marts, destination: Destination, period: date, name: str) -> UserError:
    rows = marts.rows(f"select distinct x_BillingPeriod as month from {MARTS}.{name} order by month")
    return UserError(
        f"{destination.label} has no charges of {month_name(period)}.", there_are([row[0] for row in rows])
    )
