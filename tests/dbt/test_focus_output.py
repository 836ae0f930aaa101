"""Charges as FOCUS wants them: files that its rules accept, with costs that are the statement's."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from focus_data_toolkit.model.validator import lint_focus_1_4_structure, load_model
from typer.testing import CliRunner

from llm_spend.cli import app
from llm_spend.destinations.duckdb import DuckDb
from llm_spend.errors import UserError
from llm_spend.export import focus
from tests.conftest import Demo, query
from tests.dbt.compiled import compiled_sql

pytestmark = pytest.mark.slow

MODELS = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "marts" / "focus"
MONTH = date(2026, 10, 1)
FOCUS_COLUMNS = load_model()["datasets"]["Cost and Usage"]["columns"]

Row = dict[str, str]


def violations(rows: list[Row]) -> list[str]:
    return lint_focus_1_4_structure("Cost and Usage", rows).messages()


def read_csv(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def exported(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo's last month: version and format -> its file."""
    destination, folder = DuckDb(demo.database), tmp_path_factory.mktemp("focus")
    return {
        f"{version} {file_format}": focus.export_focus(destination, MONTH, file_format, folder, version).files[0]
        for version in focus.VERSIONS
        for file_format in focus.FORMATS
    }


@pytest.fixture(scope="module")
def rows(exported: dict[str, Path]) -> list[Row]:
    return read_csv(exported["1.4 csv"])


def test_the_file_of_a_month_is_valid_focus(rows: list[Row]) -> None:
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Purchase", "Adjustment"}
    assert violations(rows) == []


def test_the_file_has_the_names_of_focus_and_what_is_mandatory(exported: dict[str, Path]) -> None:
    for version, table in focus.TABLES.items():
        described = yaml.safe_load((MODELS / f"{table}.yml").read_text())["models"][0]["columns"]
        header = exported[f"{version} csv"].read_text().splitlines()[0].split(",")
        assert header == [column["name"] for column in described] == list(focus.COLUMNS[version])
    ours = list(focus.COLUMNS["1.4"])
    assert {name for name, spec in FOCUS_COLUMNS.items() if spec["feature_level"] == "Mandatory"} <= set(ours)
    assert [name for name in ours if name not in FOCUS_COLUMNS and not name.startswith("x_")] == []


def test_parquet_has_exact_types_and_the_same_rows(exported: dict[str, Path], rows: list[Row]) -> None:
    with duckdb.connect() as connection:
        relation = connection.sql(f"select * from '{exported['1.4 parquet']}'")
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        costs = connection.sql(f"select x_LineId, BilledCost from '{exported['1.4 parquet']}'").fetchall()
    assert types["BilledCost"] == types["PricingQuantity"] == "DECIMAL(38,12)"
    assert types["BillingPeriodStart"] == "TIMESTAMP"
    assert dict(costs) == {row["x_LineId"]: Decimal(row["BilledCost"]) for row in rows}


def test_1_2_has_the_same_charges_by_its_own_names(exported: dict[str, Path], rows: list[Row]) -> None:
    same = {"ProviderName": "InvoiceIssuerName", "PublisherName": "ServiceProviderName"}
    newer = {name for name in focus.COLUMNS["1.4"] if name.startswith(("ServiceProv", "HostProv", "Allocated"))}
    older = {"CommitmentDiscountStatus", "InvoiceId"}
    expected = [
        {name: value for name, value in row.items() if name not in newer}
        | {name: row[other] for name, other in same.items()}
        | dict.fromkeys(older, "")
        for row in rows
    ]
    assert read_csv(exported["1.2 csv"]) == expected


def test_every_month_costs_what_its_statements_say(demo: Demo) -> None:
    charges = query(
        demo.database,
        "select x_BillingPeriod, sum(BilledCost), sum(EffectiveCost)"
        " from llm_spend.focus_cost_and_usage group by 1 order by 1",
    )
    stated = query(
        demo.database,
        "select billing_period, sum(total_usd) from llm_spend.llm_chargeback_statements group by 1 order by 1",
    )
    assert len(charges) == 3
    assert charges == [(month, total, total) for month, total in stated]


def test_list_cost_is_quantity_times_price(demo: Demo) -> None:
    """By month and model, though a charge of several kinds of tokens has no one unit price to say it with."""
    charged = query(
        demo.database,
        """
        select x_OriginalPeriod, x_Model, sum(ListCost)
        from llm_spend.focus_cost_and_usage where ChargeCategory = 'Usage' group by all order by all
        """,
    )
    kinds = ("cache_read", "cache_write_5m", "cache_write_1h", "output")
    amounts = [f"{kind}_tokens * coalesce(prices.{kind}_price, 0)" for kind in kinds]
    counted = query(
        demo.database,
        f"""
        select
            date_trunc('month', usage_date)::date, model_id,
            sum((uncached_input_tokens * prices.input_price + {" + ".join(amounts)})::decimal(38, 12))
        from llm_spend.fct_llm_requests as requests
        join llm_spend_internal.int_price_book as prices using (channel, model_id)
        where
            is_of_record and price_status in ('priced', 'parent_unit')
            and prices.service_tier = 'standard' and prices.region = '*' and is_all_week
            and started_at >= valid_from and started_at < valid_to
            and input_tokens > input_tokens_gt and input_tokens <= input_tokens_lte
        group by all order by all
        """,
    )
    assert len(charged) > 20
    assert charged == counted


def test_usage_costs_and_counts_what_the_requests_do(demo: Demo) -> None:
    (charged,) = query(
        demo.database,
        """
        select
            sum(ContractedCost), sum(ListCost), sum(x_Requests), sum(x_UncachedInputTokens), sum(x_CacheReadTokens),
            sum(x_CacheWriteTokens), sum(x_OutputTokens)
        from llm_spend.focus_cost_and_usage where ChargeCategory = 'Usage'
        """,
    )
    (requests,) = query(
        demo.database,
        """
        with lines as (
            select billing_period, provider, cost_center_id, team_id, model_id
            from llm_spend.llm_chargeback_lines
            where allocation_method = 'own_usage' and amount_usd is not null
        )
        select
            sum(cost_usd), sum(list_cost_usd), count(*),
            sum(uncached_input_tokens) filter (is_gateway_cache_hit is not true),
            sum(cache_read_tokens) filter (is_gateway_cache_hit is not true),
            sum(cache_write_5m_tokens + cache_write_1h_tokens) filter (is_gateway_cache_hit is not true),
            sum(output_tokens) filter (is_gateway_cache_hit is not true)
        from llm_spend.fct_llm_requests as requests
        inner join lines
            on lines.billing_period = date_trunc('month', usage_date)
            and lines.provider = coalesce(requests.provider, '(unknown)')
            and lines.cost_center_id = requests.cost_center_id
            and lines.team_id = requests.team_id
            and lines.model_id = coalesce(requests.model_id, '(unresolved)')
        where is_of_record
        """,
    )
    assert charged == requests


def of(rows: list[Row], category: str) -> Row:
    return next(row for row in rows if row["ChargeCategory"] == category)


MUTATIONS: dict[str, Callable[[list[Row]], Any]] = {
    "no such category": lambda rows: rows[0].update(ChargeCategory="usage"),
    "no such class": lambda rows: rows[0].update(ChargeClass="Restatement"),
    "a time without its zone": lambda rows: rows[0].update(BillingPeriodStart="2026-10-01T00:00:00"),
    "no cost": lambda rows: rows[0].update(BilledCost=""),
    "a cost with a comma": lambda rows: rows[0].update(ListCost="1,5"),
    "no currency": lambda rows: rows[0].update(BillingCurrency="credits"),
    "a column of our own without x_": lambda rows: rows[0].update(TeamId="search"),
    "a mandatory column is gone": lambda rows: [row.pop("InvoiceIssuerName") for row in rows],
    "broken tags": lambda rows: rows[0].update(Tags='{"team": "se"arch"}'),
    "a quantity without a unit": lambda rows: of(rows, "Usage").update(PricingUnit=""),
    "consumption of an adjustment": lambda rows: of(rows, "Adjustment").update(
        ConsumedQuantity="1", ConsumedUnit="Tokens"
    ),
    "a purchase by usage": lambda rows: of(rows, "Purchase").update(ChargeFrequency="Usage-Based"),
    "a price that does not make the cost": lambda rows: of(rows, "Purchase").update(ListUnitPrice="2.5"),
    "a part above the whole": lambda rows: rows[0].update(
        AllocatedMethodDetails='{"Elements": [{"AllocatedRatio": 2}]}'
    ),
    "a subcategory of another category": lambda rows: rows[0].update(ServiceCategory="Compute"),
}


@pytest.mark.parametrize("change", MUTATIONS.values(), ids=MUTATIONS)
def test_what_focus_forbids_is_found(rows: list[Row], change: Callable[[list[Row]], Any]) -> None:
    changed = [dict(row) for row in rows]
    change(changed)
    assert violations(changed) != []


def test_a_month_without_charges_says_which_there_are(demo: Demo, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no charges of July 2026"):
        focus.export_focus(DuckDb(demo.database), date(2026, 7, 1), "csv", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_file_and_says_what_it_is(demo: Demo, tmp_path: Path) -> None:
    arguments = ["export", "focus", "2026-10", "--database", str(demo.database), "--output", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--focus-version", "1.2", "--format", "parquet"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    (stated,) = query(
        demo.database,
        "select sum(total_usd) from llm_spend.llm_chargeback_statements where billing_period = '2026-10-01'",
    )
    assert Decimal(report["total_usd"]) == stated[0]
    assert report["files"] == [str(tmp_path / "focus-1.2-2026-10.parquet")]
    assert len(report["notes"]) == 1


LINE = {
    "billing_period": "2026-10-01",
    "original_period": "2026-10-01",
    "line_type": "direct",
    "allocation_method": "own_usage",
    "cost_center_id": "cc",
    "team_id": "search",
    "provider": "openai",
    "model_id": "gpt",
    "quantity_tokens": 100,
    "exact_cost_usd": "1.234",
    "amount_usd": "1.23",
    "cost_basis": "list",
    "restatement_reason": None,
    "is_closed": False,
    "unpriced_tokens": 0,
    "unpriced_requests": 0,
}
USAGE = {
    "billing_period": "2026-10-01",
    "provider": "openai",
    "channel": "openai",
    "model_id": "gpt",
    "cost_center_id": "cc",
    "team_id": "search",
    "is_of_record": True,
    "attempts": 3,
    "total_tokens": 100,
    "uncached_input_tokens": 60,
    "cache_read_tokens": 10,
    "cache_write_tokens": 10,
    "output_tokens": 20,
    "list_cost_usd": "1.234",
    "cost_usd": "1.234",
}
SHARE = {
    "billing_period": "2026-10-01",
    "shared_cost_id": "gateway",
    "allocation_method": "proportional_by_tokens",
    "provider": "portkey",
    "cost_center_id": "cc",
    "team_id": "search",
    "weight": 1,
    "total_weight": 3,
    "exact_cost_usd": "10",
}
CLOSED = {"billing_period": "2026-10-01", "closed_at": "2026-11-05", "line_id": "", "attempts": 3}
TYPES = {
    "closed_at": "timestamp",
    "weight": "bigint",
    "total_weight": "bigint",
    "billing_period": "date",
    "original_period": "date",
    "usage_date": "date",
    "starts_at": "timestamp",
    "is_closed": "boolean",
    "is_of_record": "boolean",
    "quantity_tokens": "bigint",
    "unpriced_tokens": "bigint",
    "unpriced_requests": "bigint",
    "attempts": "bigint",
    "total_tokens": "bigint",
    "uncached_input_tokens": "bigint",
    "cache_read_tokens": "bigint",
    "cache_write_tokens": "bigint",
    "output_tokens": "bigint",
    "amount_usd": "decimal(38, 2)",
    "exact_cost_usd": "decimal(38, 12)",
    "list_cost_usd": "decimal(38, 12)",
    "cost_usd": "decimal(38, 12)",
}


class Books:
    """The model on made-up lines and usage."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._connection = duckdb.connect()
        self._create("llm_chargeback_lines", {"line_id": "", **LINE})
        self._create("int_requests_daily", USAGE)
        self._create("int_shared_costs", SHARE)
        self._create("int_closed_chargeback_lines", CLOSED)
        self._create("int_closed_periods", {name: CLOSED[name] for name in ("billing_period", "closed_at")})
        self._create("int_month_starts", {"billing_period": "", "starts_at": "", "usage_date": ""})

    def _create(self, table: str, columns: dict[str, Any]) -> None:
        defined = ", ".join(f"{name} {TYPES.get(name, 'varchar')}" for name in columns)
        self._connection.execute(f"create table {table} ({defined})")

    def line(self, line_id: str, **changes: Any) -> None:
        self._add("llm_chargeback_lines", {"line_id": line_id, **LINE, **changes})

    def usage(self, **changes: Any) -> None:
        self._add("int_requests_daily", {**USAGE, **changes})

    def month_start(self, month: str, starts_at: str) -> None:
        self._add("int_month_starts", {"billing_period": month, "starts_at": starts_at, "usage_date": starts_at[:10]})

    def closed(self, line_id: str, attempts: int | None, **changes: Any) -> None:
        """A line of a month that was closed on 5 November, kept then and at a closing that was undone."""
        self.line(line_id, is_closed=True, **changes)
        kept = {**CLOSED, "line_id": line_id, "attempts": attempts}
        self._add("int_closed_periods", {name: CLOSED[name] for name in ("billing_period", "closed_at")})
        self._add("int_closed_chargeback_lines", kept)
        self._add("int_closed_chargeback_lines", kept | {"closed_at": "2026-11-02", "attempts": 99})

    def share(self, line: bool = True, **changes: Any) -> None:
        """A part of a shared cost and, unless it has none, its line."""
        share = {**SHARE, **changes}
        self._add("int_shared_costs", share)
        if line:
            named = {name: share[name] for name in LINE if name in share}
            charged = {"line_type": "shared", "model_id": "(none)", "amount_usd": share["exact_cost_usd"]}
            self.line(f"{share['team_id']}|{share['billing_period']}", **named, **charged, quantity_tokens=0)

    def _add(self, table: str, values: dict[str, Any]) -> None:
        marks = ", ".join("?" for _ in values)
        self._connection.execute(f"insert into {table} ({', '.join(values)}) values ({marks})", list(values.values()))

    def charges(self) -> dict[str, dict[str, Any]]:
        """The charges by line; they are what the rules of FOCUS allow."""
        found = self._connection.execute(self._sql)
        names = [column[0] for column in found.description or ()]
        charges = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        assert violations([{name: _text(value) for name, value in charge.items()} for charge in charges]) == []
        return {charge["x_LineId"]: charge for charge in charges}


def _text(value: Any) -> str:
    if hasattr(value, "hour"):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


@pytest.fixture
def books(demo: Demo) -> Iterator[Books]:
    target = demo.database.parent / ".llm_spend" / demo.database.stem / "dbt_project" / "target"
    yield Books(compiled_sql(target, "focus_cost_and_usage"))


def test_usage_has_its_costs_with_and_without_discount_and_its_kinds_of_tokens(books: Books) -> None:
    books.line("usage", unpriced_tokens=25, unpriced_requests=1)
    books.usage(attempts=1, total_tokens=40, list_cost_usd="1.5", cost_usd="1.2")
    books.usage(attempts=2, total_tokens=60, list_cost_usd="0.04", cost_usd="0.034")
    books.usage(billing_period="2026-09-01", attempts=7)
    books.usage(team_id="other", attempts=7)
    books.usage(is_of_record=False, attempts=7)
    charge = books.charges()["usage"]
    assert (charge["BilledCost"], charge["EffectiveCost"]) == (Decimal("1.23"), Decimal("1.23"))
    assert (charge["ContractedCost"], charge["ListCost"]) == (Decimal("1.234"), Decimal("1.54"))
    assert (charge["PricingQuantity"], charge["ConsumedQuantity"], charge["ConsumedUnit"]) == (75, 100, "Tokens")
    assert (charge["ChargeCategory"], charge["ChargeClass"], charge["ChargeFrequency"]) == (
        "Usage",
        None,
        "Usage-Based",
    )
    assert (charge["x_UncachedInputTokens"], charge["x_OutputTokens"], charge["x_Requests"]) == (120, 40, 3)


@pytest.mark.parametrize(
    ("provider", "channels", "parties"),
    [
        ("openai", ["openai"], ("OpenAI", "OpenAI", "OpenAI", "OpenAI")),
        ("anthropic", ["aws"], ("Anthropic", "AWS", "AWS", "Anthropic on AWS")),
        ("anthropic", ["google"], ("Anthropic", "Google", "Google", "Anthropic on Google")),
        ("anthropic", ["anthropic", "aws"], ("Anthropic", None, "(several)", "Anthropic")),
        ("deepseek", ["openrouter"], ("DeepSeek", None, "openrouter", "DeepSeek on openrouter")),
        ("acme", [None], ("acme", "acme", "acme", "acme")),
        ("acme", [], ("acme", "acme", "acme", "acme")),
    ],
)
def test_who_makes_hosts_and_bills(
    books: Books, provider: str, channels: list[str | None], parties: tuple[str, str | None, str, str]
) -> None:
    books.line("usage", provider=provider)
    books.line("bill", provider=provider, line_type="true_up", allocation_method="bill_by_day", quantity_tokens=0)
    for channel in channels:
        books.usage(provider=provider, channel=channel)
    for charge in books.charges().values():
        assert parties == tuple(
            charge[name] for name in ("ServiceProviderName", "HostProviderName", "InvoiceIssuerName", "ServiceName")
        )


def test_what_is_no_usage_has_no_quantity_and_one_cost(books: Books) -> None:
    others = {"quantity_tokens": 0, "exact_cost_usd": "-4.567", "amount_usd": "-4.57", "cost_basis": "bill"}
    books.line("true_up", line_type="true_up", allocation_method="bill_by_day", **others)
    books.line("credit", line_type="credit", allocation_method="bill_by_month", **others)
    books.line("shared", line_type="shared", allocation_method="even", **others)
    books.line("seat", line_type="commitment", allocation_method="owner_of_seat", **others)
    books.usage(list_cost_usd="9")
    charges = books.charges()
    names = ("ChargeCategory", "ChargeFrequency", "PricingQuantity", "PricingUnit", "ConsumedQuantity", "x_Requests")
    assert {line: tuple(charge[name] for name in names) for line, charge in charges.items()} == {
        "true_up": ("Adjustment", "One-Time", None, None, None, None),
        "credit": ("Credit", "One-Time", None, None, None, None),
        "shared": ("Adjustment", "One-Time", None, None, None, None),
        "seat": ("Purchase", "Recurring", 1, "Months", None, None),
    }
    costs = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
    assert {charge[name] for charge in charges.values() for name in costs} == {Decimal("-4.57")}


def elements(charge: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The parts of shared costs that a charge is, their ratios exact."""
    text = charge["AllocatedMethodDetails"]
    return None if text is None else json.loads(text, parse_float=Decimal)["Elements"]


def test_shares_tell_their_part_of_each_cost_and_the_parts_are_1(books: Books) -> None:
    books.share(team_id="a")
    books.share(team_id="b")
    books.share(team_id="c")
    books.share(line=False, team_id="b", shared_cost_id='the "other"', weight=5, total_weight=5, exact_cost_usd="0")
    books.share(line=False, billing_period="2026-09-01")
    charges = books.charges()
    found = {charge["x_TeamId"]: elements(charge) for charge in charges.values()}
    third = {"UsageUnit": "Tokens", "UsageQuantity": 1, "x_SharedCostId": "gateway"}
    other = {"AllocatedRatio": 1, "UsageUnit": "Tokens", "UsageQuantity": 5, "x_SharedCostId": 'the "other"'}
    assert found == {
        "a": [{"AllocatedRatio": Decimal("0.333334"), **third}],
        "b": [{"AllocatedRatio": Decimal("0.333333"), **third}, other],
        "c": [{"AllocatedRatio": Decimal("0.333333"), **third}],
    }
    split = charges["b|2026-10-01"]
    assert (split["AllocatedMethodId"], split["AllocatedResourceId"]) == ("proportional_by_tokens", "b")
    assert split["AllocatedTags"] == split["Tags"]


def test_a_month_whose_lines_are_not_these_shares_tells_no_parts(books: Books) -> None:
    for month in ("2026-09-01", "2026-10-01"):
        books.share(billing_period=month, team_id="a", total_weight=2)
        books.share(billing_period=month, team_id="b", total_weight=2, line=month == "2026-10-01")
    charges = books.charges()
    assert [line for line, charge in charges.items() if elements(charge) is None] == ["a|2026-09-01"]
    assert {charge["AllocatedMethodId"] for charge in charges.values()} == {"proportional_by_tokens"}


@pytest.mark.parametrize("unit", ["cost", "tokens", "requests", "headcount", "even", "fixed_weights"])
def test_every_method_names_what_a_share_is_by(books: Books, unit: str) -> None:
    method = unit if unit in ("headcount", "even", "fixed_weights") else f"proportional_by_{unit}"
    books.share(allocation_method=method, total_weight=1)
    (charge,) = books.charges().values()
    assert [element["AllocatedRatio"] for element in elements(charge) or []] == [1]


def test_only_what_several_pay_is_split(books: Books) -> None:
    own = ("own_usage", "owner_of_key", "owner_of_seat", "unallocated")
    for method in (*own, "bill_by_day_and_model", "bill_by_month"):
        books.line(method, allocation_method=method, line_type="direct" if method == "own_usage" else "true_up")
    split = {line for line, charge in books.charges().items() if charge["AllocatedMethodId"]}
    assert split == {"bill_by_day_and_model", "bill_by_month"}


def test_a_correction_is_booked_in_its_month_for_the_month_that_it_corrects(books: Books) -> None:
    correction: dict[str, Any] = {
        "line_type": "restatement",
        "original_period": "2026-08-01",
        "restatement_reason": "late_data",
        "exact_cost_usd": "-0.126",
        "amount_usd": "-0.13",
    }
    books.line("usage", quantity_tokens=-10, **correction)
    books.line("bill", allocation_method="bill_by_day", quantity_tokens=0, **correction)
    books.line("seat", allocation_method="owner_of_seat", quantity_tokens=0, **correction)
    books.line("closed", billing_period="2026-08-01", original_period="2026-08-01", is_closed=True)
    books.usage(billing_period="2026-08-01", total_tokens=90, list_cost_usd="1.608", cost_usd="1.108")
    charges = books.charges()
    found = {line: (charge["ChargeClass"], charge["ChargeCategory"]) for line, charge in charges.items()}
    assert found == {
        "usage": ("Correction", "Usage"),
        "bill": ("Correction", "Adjustment"),
        "seat": ("Correction", "Purchase"),
        "closed": (None, "Usage"),
    }
    usage, closed = charges["usage"], charges["closed"]
    months = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
    assert [f"{usage[name]:%Y-%m-%d}" for name in months] == ["2026-10-01", "2026-11-01", "2026-08-01", "2026-09-01"]
    assert usage["x_OriginalPeriod"] == date(2026, 8, 1)
    # Month and correction have the list cost of the usage together; which kind the tokens of each are is not known.
    assert usage["ListCost"] + closed["ListCost"] == Decimal("1.608")
    assert usage["x_Requests"] is closed["x_Requests"] is closed["x_OutputTokens"] is None


def test_a_month_of_another_time_zone_is_told_in_instants_of_utc(books: Books) -> None:
    books.line("late", line_type="restatement", original_period="2026-09-01", restatement_reason="late_data")
    books.month_start("2026-10-01", "2026-09-30 22:00:00")
    books.month_start("2026-11-01", "2026-10-31 23:00:00")
    charge = books.charges()["late"]
    assert (charge["x_BillingPeriod"], charge["x_OriginalPeriod"]) == (date(2026, 10, 1), date(2026, 9, 1))
    assert [charge[f"{kind}Period{end}"] for kind in ("Charge", "Billing") for end in ("Start", "End")] == [
        datetime(2026, 9, 1),
        datetime(2026, 9, 30, 22),
        datetime(2026, 9, 30, 22),
        datetime(2026, 10, 31, 23),
    ]


def test_what_is_not_known_is_no_charge_and_what_is_free_is_one(books: Books) -> None:
    books.line("unknown", exact_cost_usd=None, amount_usd=None, unpriced_tokens=100, unpriced_requests=3)
    books.line("free", model_id="open-model", exact_cost_usd="0", amount_usd="0")
    assert {line: charge["BilledCost"] for line, charge in books.charges().items()} == {"free": 0}


def test_usage_without_tokens_is_counted_in_requests(books: Books) -> None:
    books.line("speech", quantity_tokens=0)
    books.usage(total_tokens=0, uncached_input_tokens=0, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)
    charge = books.charges()["speech"]
    assert (charge["PricingQuantity"], charge["PricingUnit"]) == (3, "Requests")
    assert (charge["ConsumedQuantity"], charge["ConsumedUnit"]) == (3, "Requests")


@pytest.mark.parametrize(("kept", "requests", "shown"), [(3, 3, 3), (3, 5, None), (None, 5, 5)])
def test_a_closed_month_keeps_the_requests_of_usage_without_tokens(
    books: Books, kept: int | None, requests: int, shown: int | None
) -> None:
    books.closed("speech", kept, quantity_tokens=0)
    nothing = {name: 0 for name in USAGE if name.endswith("_tokens")}
    books.usage(attempts=requests, **nothing)
    charge = books.charges()["speech"]
    quantity = kept or requests
    assert (charge["PricingQuantity"], charge["ConsumedQuantity"]) == (quantity, quantity)
    assert (charge["ConsumedUnit"], charge["x_Requests"]) == ("Requests", shown)


def test_late_usage_of_a_model_that_has_no_line_is_listed_with_its_first_correction(books: Books) -> None:
    late: dict[str, Any] = {"line_type": "restatement", "original_period": "2026-08-01", "model_id": "new"}
    late |= {"restatement_reason": "late_data", "quantity_tokens": 50}
    books.line("first", billing_period="2026-09-01", is_closed=True, exact_cost_usd="0.6", amount_usd="0.60", **late)
    books.line("second", billing_period="2026-10-01", exact_cost_usd="0.3", amount_usd="0.30", **late)
    books.line("unknown", billing_period="2026-08-01", amount_usd=None, exact_cost_usd=None, model_id="new")
    books.usage(billing_period="2026-08-01", model_id="new", list_cost_usd="1", cost_usd="0.9")
    listed = {line: charge["ListCost"] for line, charge in books.charges().items()}
    assert listed == {"first": Decimal("0.7"), "second": Decimal("0.3")}


def test_what_is_left_of_a_commitment_is_a_purchase_and_so_is_its_correction(books: Books) -> None:
    unused: dict[str, Any] = {"allocation_method": "unused_commitment", "quantity_tokens": 0, "model_id": "(none)"}
    books.line("unused", line_type="commitment", **unused)
    books.line("restated", line_type="restatement", restatement_reason="bill_correction", **unused)
    charges = books.charges()
    assert {charge["ChargeCategory"] for charge in charges.values()} == {"Purchase"}
    assert charges["unused"]["ChargeDescription"] == "Unused part of commitments"


CONTROLS = "".join(map(chr, range(1, 32)))


@pytest.mark.parametrize(
    "team", ["search", 'the "best"', "back\\slash", "two\nlines\there\r", "{}", "größe", f"a{CONTROLS}b\x7f", "\\u0007"]
)
def test_tags_are_json_whatever_a_team_is_called(books: Books, team: str) -> None:
    books.line("usage", team_id=team)
    charge = books.charges()["usage"]
    assert json.loads(charge["Tags"]) == {"cost_center": "cc", "team": team}
    assert (charge["SubAccountId"], charge["x_TeamId"]) == ("cc", team)
