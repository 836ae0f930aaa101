"""`provider__focus`: the columns of FOCUS, of its versions 1.0 to 1.4, and a few beside them."""

from __future__ import annotations

from collections.abc import Mapping

from llm_spend.schema import Kind

_MONEY = (
    "billed_cost",
    "consumed_quantity",
    "contracted_cost",
    "contracted_unit_price",
    "commitment_discount_quantity",
    "effective_cost",
    "list_cost",
    "list_unit_price",
    "pricing_quantity",
    "pricing_currency_contracted_unit_price",
    "pricing_currency_effective_cost",
    "pricing_currency_list_unit_price",
)
_TIMES = ("charge_period_start", "charge_period_end", "billing_period_start", "billing_period_end")
_DOCUMENTS = (
    "allocated_method_details",
    "allocated_tags",
    "commitment_program_eligibility_details",
    "contract_applied",
    "sku_price_details",
    "tags",
)
_TEXTS = (
    "allocated_method_id",
    "allocated_resource_id",
    "allocated_resource_name",
    "availability_zone",
    "billing_account_id",
    "billing_account_name",
    "billing_account_type",
    "billing_currency",
    "capacity_reservation_id",
    "capacity_reservation_status",
    "charge_category",
    "charge_class",
    "charge_description",
    "charge_frequency",
    "commitment_discount_category",
    "commitment_discount_id",
    "commitment_discount_name",
    "commitment_discount_status",
    "commitment_discount_type",
    "commitment_discount_unit",
    "consumed_unit",
    "host_provider_name",
    "invoice_detail_id",
    "invoice_id",
    "invoice_issuer_name",
    "pricing_category",
    "pricing_currency",
    "pricing_unit",
    "provider_name",
    "publisher_name",
    "region_id",
    "region_name",
    "resource_id",
    "resource_name",
    "resource_type",
    "service_category",
    "service_name",
    "service_provider_name",
    "service_subcategory",
    "sku_id",
    "sku_meter",
    "sku_price_id",
    "sub_account_id",
    "sub_account_name",
    "sub_account_type",
)

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(_MONEY, "money"),
    **dict.fromkeys(_TIMES, "timestamp"),
    **dict.fromkeys(_DOCUMENTS, "json"),
    **dict.fromkeys(_TEXTS, "text"),
}

FOCUS: Mapping[str, Kind] = {name: _KINDS[name] for name in (*_TIMES, *sorted({*_KINDS} - {*_TIMES}))}
"""The columns of a FOCUS charge, of all versions: `ChargePeriodStart` is charge_period_start."""

BESIDE: Mapping[str, Kind] = {
    "principal_id": "text",
    "model": "text",
    "vendor_columns": "json",
    "export_format": "text",
    "export_name": "text",
    "file_name": "text",
    "left_out_rows": "bigint",
}
"""What a row has besides.

`principal_id`: who called, where the bill says it (in FOCUS from version 1.5 on). `model`: where a column names it.
`vendor_columns`: the other columns of the file, by their own names, without those that are empty. `export_format`:
whose columns the file has. `export_name`: the file's name without the number of a part; `file_name`: with it.
`left_out_rows`: NULL in a charge; in a row that stands for charges of other services, their number.
"""

TABLE: Mapping[str, Kind] = {**FOCUS, **BESIDE}
