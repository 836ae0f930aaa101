"""Bills as files: each kind of file is read by its own columns, and what is left out stays in the sum."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.errors import UserError
from llm_spend.readers.checks import check_files
from llm_spend.readers.files import find_files, format_of, layout_of
from llm_spend.readers.records import left_out_sql, select_sql
from llm_spend.sources.focus import EXPORT_NAME, EXPORTS
from llm_spend.sources.focus_exports import EXPORTS as KINDS
from llm_spend.sources.focus_exports import plain
from llm_spend.sources.focus_table import FOCUS

from .conftest import Warehouse

FOCUS_CHARGE = {
    "BilledCost": "123.4567890123456789",
    "EffectiveCost": "100",
    "ListCost": "150.5",
    "BillingAccountId": "111",
    "SubAccountId": "222",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-01T00:00:00Z",
    "ChargePeriodEnd": "2026-09-02T00:00:00Z",
    "ChargeCategory": "Usage",
    "ProviderName": "AWS",
    "ServiceName": "Amazon Bedrock",
    "SkuMeter": "USE1-Claude-input-tokens",
    "ConsumedQuantity": "1e6",
    "Tags": '{"team": "search"}',
    "x_Discounts": '{"a": 1}',
    "x_Empty": None,
}
AWS_CHARGE = {
    "bill_billing_period_start_date": "2026-09-01T00:00:00.000Z",
    "bill_billing_period_end_date": "2026-10-01T00:00:00.000Z",
    "bill_payer_account_id": "111",
    "line_item_usage_account_id": "222",
    "line_item_usage_start_date": "2026-09-01T05:00:00.000Z",
    "line_item_usage_end_date": "2026-09-01T06:00:00.000Z",
    "line_item_line_item_type": "Usage",
    "line_item_product_code": "AmazonBedrock",
    "line_item_usage_type": "USE1-Claude-input-tokens",
    "line_item_usage_amount": "1000",
    "line_item_unblended_cost": "0.0030000000",
    "line_item_currency_code": "USD",
    "line_item_iam_principal": "arn:aws:iam::222:role/search",
    "pricing_unit": "1K tokens",
    "product": '{"product_name": "Amazon Bedrock"}',
    "resource_tags": '{"user_team": "search"}',
    "line_item_operation": "InvokeModelInference",
}
AZURE_CHARGE = {
    "Date": "09/30/2026",
    "BillingPeriodStartDate": "09/01/2026",
    "BillingPeriodEndDate": "09/30/2026",
    "BillingAccountId": "111",
    "SubscriptionId": "sub-1",
    "MeterCategory": "Azure OpenAI",
    "MeterName": "gpt 5 Inp glbl 1M Tokens",
    "ConsumedService": "Microsoft.CognitiveServices",
    "ChargeType": "Usage",
    "CostInBillingCurrency": "-12.50",
    "BillingCurrencyCode": "EUR",
    "Quantity": "3",
    "Tags": '"team": "search","env": "prod"',
    "CostCenter": "CC-1",
}
GOOGLE_CHARGE: dict[str, Any] = {
    "billing_account_id": "0-1",
    "invoice": {"month": "202609"},
    "cost_type": "regular",
    "service": {"id": "C7", "description": "Vertex AI"},
    "sku": {"id": "S1", "description": "Gemini 2.5 Flash GA Text Input - Predictions"},
    "usage_start_time": "2026-08-31 23:00:00 UTC",
    "usage_end_time": "2026-09-01 00:00:00 UTC",
    "project": {"id": "shop", "name": "Shop"},
    "labels": [{"key": "team", "value": "search"}, {"key": "env", "value": "prod"}],
    "location": {"region": "europe-west1"},
    "cost": 0.1,
    "cost_at_list": 0.2,
    "currency": "EUR",
    "usage": {"amount": 1000.0, "unit": "count"},
    "credits": [
        {"name": "Trial", "amount": -0.05, "type": "PROMOTION"},
        {"name": "Contract", "amount": -1e-07, "type": "COMMITTED_USAGE_DISCOUNT"},
    ],
    "export_time": "2026-09-02 00:00:00 UTC",
}


def csv(*records: dict[str, Any]) -> str:
    def cell(value: Any) -> str:
        return "" if value is None else '"' + str(value).replace('"', '""') + '"'

    lines = [",".join(records[0]), *(",".join(map(cell, record.values())) for record in records)]
    return "\n".join(lines) + "\n"


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a file without what is NULL: first the charges, then what stands for those that are left out."""
    (file,) = check_files(EXPORTS, find_files(str(path)), path.parent).readable
    fmt = format_of(EXPORTS, file)
    assert fmt.left_out
    lineage = {"source_system": "focus", "instance": "x", "load_id": "1"}
    paths = [file.local_path]
    rows = []
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'America/Los_Angeles'")
        for select in (
            select_sql(fmt, layout_of(file), paths, **lineage),
            left_out_sql(fmt, fmt.left_out, layout_of(file), paths, **lineage),
        ):
            found = connection.execute(select)
            names = [column[0] for column in found.description or ()]
            assert set(names) == set(EXPORTS.kinds)
            rows += [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_a_focus_file_keeps_the_names_of_focus(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, "focus.csv", csv(FOCUS_CHARGE)))
    assert row["billed_cost"] == Decimal("123.456789012346")
    assert (row["consumed_quantity"], row["effective_cost"]) == (Decimal(1_000_000), Decimal(100))
    assert (row["charge_period_start"], row["billing_period_end"]) == (datetime(2026, 9, 1), datetime(2026, 10, 1))
    assert (row["sub_account_id"], row["service_name"], row["sku_meter"]) == (
        "222",
        "Amazon Bedrock",
        "USE1-Claude-input-tokens",
    )
    assert json.loads(row["tags"]) == {"team": "search"}
    assert json.loads(row["vendor_columns"]) == {"x_Discounts": '{"a": 1}'}
    assert row["export_format"] == "focus"
    assert "left_out_rows" not in row and "_problem" not in row


def test_focus_of_azure_has_times_without_seconds_and_names_the_meter_apart(tmp_path: Path) -> None:
    azure = {
        **{name: value for name, value in FOCUS_CHARGE.items() if name != "SkuMeter"},
        "ChargePeriodStart": "2026-09-01T00:00Z",
        "ChargePeriodEnd": "2026-09-02T00:00Z",
        "ProviderName": "Microsoft",
        "ServiceName": "Azure OpenAI Service",
        "x_SkuMeterName": "gpt 5 Inp glbl Tokens",
    }
    (row,) = read(write(tmp_path, "focus.csv", csv(azure)))
    assert (row["charge_period_start"], row["charge_period_end"]) == (datetime(2026, 9, 1), datetime(2026, 9, 2))
    assert row["sku_meter"] == "gpt 5 Inp glbl Tokens"


def test_focus_in_parquet_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "part-00000-x.snappy.parquet"
    values = {
        **{name: f"'{value}'" for name, value in FOCUS_CHARGE.items()},
        "BilledCost": "0.1::double",
        "ListCost": "1e-7::double",
        "EffectiveCost": "1.1234567890125::decimal(38, 13)",
        "ChargePeriodStart": "timestamptz '2026-09-01 02:00:00+02'",
        "ChargePeriodEnd": "timestamp '2026-09-02'",
        "Tags": "map {'team': 'search'}",
        "x_Discounts": "{'a': 1}",
        "x_Empty": "null",
    }
    select = ", ".join(f'{value} as "{name}"' for name, value in values.items())
    duckdb.execute(f"copy (select {select}) to '{path}'")
    (row,) = read(path)
    assert (row["billed_cost"], row["list_cost"]) == (Decimal("0.1"), Decimal("0.0000001"))
    assert row["effective_cost"] == Decimal("1.123456789013")
    assert (row["charge_period_start"], row["charge_period_end"]) == (datetime(2026, 9, 1), datetime(2026, 9, 2))
    assert json.loads(row["tags"]) == {"team": "search"}
    assert json.loads(row["vendor_columns"]) == {"x_Discounts": {"a": 1}}
    assert (row["file_name"], row["export_name"]) == ("part-00000-x.snappy.parquet", "#")


@pytest.mark.parametrize(
    ("name", "export"),
    [
        (
            "part-00007-0e9b8a54-9b5c-4e0e-8a53-6f0c1a2b3c4d.c000.snappy.parquet",
            "# 0e9b8a54-9b5c-4e0e-8a53-6f0c1a2b3c4d",
        ),
        (
            "part-00001-tid-42-0e9b8a54-9b5c-4e0e-8a53-6f0c1a2b3c4d-7-1-c000.csv",
            "# 0e9b8a54-9b5c-4e0e-8a53-6f0c1a2b3c4d",
        ),
        ("part_1_0001.csv", "#"),
        ("cur-00002.csv.gz", "cur#csv.gz"),
        ("rows-000000000001.csv", "rows-#csv"),
        ("2026-09-30.csv", "2026-09-30.csv"),
    ],
)
def test_parts_of_an_export_have_one_name(name: str, export: str) -> None:
    sql = EXPORT_NAME.replace("r.filename", "?")
    assert duckdb.execute(f"select {sql}", [f"/bills/{name}"]).fetchall() == [(export,)]


def test_quotes_that_come_late_in_a_table_are_quotes(tmp_path: Path) -> None:
    plain_lines = "1,USD,2026-09-01,2026-09-02,Bedrock,\n" * 25_000
    late = '2,USD,2026-09-01,2026-09-02,"Bedrock, text","{""team"": ""search""}"\n'
    columns = "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ServiceName,Tags\n"
    *_, row = read(write(tmp_path, "focus.csv", columns + plain_lines + late))
    assert (row["service_name"], json.loads(row["tags"])) == ("Bedrock, text", {"team": "search"})


def test_columns_of_focus_are_those_of_its_versions() -> None:
    assert len(FOCUS) == 67  # 65 of version 1.4, and two names of providers that it has no more
    assert {"provider_name", "publisher_name", "service_provider_name", "contract_applied"} < FOCUS.keys()


def test_an_aws_report(tmp_path: Path) -> None:
    tax = AWS_CHARGE | {"line_item_line_item_type": "Tax", "line_item_unblended_cost": "0.1"}
    refund = AWS_CHARGE | {"line_item_line_item_type": "Refund", "line_item_unblended_cost": "-12.5"}
    rows = read(write(tmp_path, "cur-00002.csv", csv(AWS_CHARGE, tax, refund)))
    assert [(row["charge_category"], row["billed_cost"]) for row in rows] == [
        ("Usage", Decimal("0.003")),
        ("Tax", Decimal("0.1")),
        ("Adjustment", Decimal("-12.5")),
    ]
    row = rows[0]
    assert (row["export_format"], row["export_name"], row["provider_name"]) == ("aws_cur", "cur#csv", "AWS")
    assert (row["billing_account_id"], row["sub_account_id"]) == ("111", "222")
    assert (row["service_name"], row["principal_id"]) == ("Amazon Bedrock", "arn:aws:iam::222:role/search")
    assert row["charge_period_start"] == datetime(2026, 9, 1, 5)
    assert json.loads(row["tags"]) == {"user_team": "search"}
    assert json.loads(row["vendor_columns"]) == {"line_item_operation": "InvokeModelInference"}, (
        "what became a column is not there twice"
    )


def test_an_older_aws_report_has_other_spellings(tmp_path: Path) -> None:
    older = {
        "lineItem/UsageStartDate": "2026-09-01T05:00:00Z",
        "lineItem/UsageEndDate": "2026-09-01T06:00:00Z",
        "lineItem/UnblendedCost": "1.5",
        "lineItem/CurrencyCode": "USD",
        "lineItem/ProductCode": "AmazonBedrock",
    }
    (row,) = read(write(tmp_path, "cur.csv", csv(older)))
    assert (row["billed_cost"], row["service_name"]) == (Decimal("1.5"), "AmazonBedrock")
    assert (row["billing_period_start"], row["billing_period_end"]) == (datetime(2026, 9, 1), datetime(2026, 10, 1))


def test_an_azure_export_with_days_of_the_united_states_and_tags_without_braces(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, "part_1_0001.csv", "\ufeff" + csv(AZURE_CHARGE)))
    assert (row["charge_period_start"], row["charge_period_end"]) == (datetime(2026, 9, 30), datetime(2026, 10, 1))
    assert (row["billing_period_start"], row["billing_period_end"]) == (datetime(2026, 9, 1), datetime(2026, 10, 1))
    assert (row["billed_cost"], row["billing_currency"]) == (Decimal("-12.5"), "EUR")
    assert (row["sub_account_id"], row["service_name"]) == ("sub-1", "Azure OpenAI")
    assert json.loads(row["tags"]) == {"team": "search", "env": "prod"}
    assert json.loads(row["vendor_columns"]) == {"CostCenter": "CC-1"}
    assert (row["export_format"], row["export_name"]) == ("azure_cost", "#")


def test_an_amortized_export_of_azure_bills_nothing(tmp_path: Path) -> None:
    (tmp_path / "daily-Amortized").mkdir()
    (row,) = read(write(tmp_path / "daily-Amortized", "part_1_0001.csv", csv(AZURE_CHARGE)))
    assert row["export_format"] == "azure_amortized_cost"
    assert "billed_cost" not in row and row["effective_cost"] == Decimal("-12.5")


def test_credits_of_google_are_charges_of_their_own(tmp_path: Path) -> None:
    tax = {**GOOGLE_CHARGE, "cost_type": "tax", "cost": 19, "credits": []}
    lines = [GOOGLE_CHARGE, tax]
    path = write(tmp_path, "x-000000000001.jsonl", "".join(json.dumps(line) + "\n" for line in lines) + "no JSON\n")
    *rows, unreadable = read(path)
    assert [(row["charge_category"], row["billed_cost"], row["charge_description"]) for row in rows] == [
        ("Usage", Decimal("0.1"), GOOGLE_CHARGE["sku"]["description"]),
        ("Credit", Decimal("-0.05"), "Trial"),
        ("Usage", Decimal("-0.0000001"), "Contract"),
        ("Tax", Decimal(19), GOOGLE_CHARGE["sku"]["description"]),
    ]
    assert [row.get("consumed_quantity") for row in rows] == [1000, None, None, 1000]
    assert [row.get("list_cost") for row in rows[:2]] == [Decimal("0.2"), None]
    row = rows[0]
    assert row["billing_period_start"] == datetime(2026, 9, 1), "the month of the invoice"
    assert row["charge_period_start"] == datetime(2026, 8, 31, 23)
    assert (row["sub_account_id"], row["region_id"]) == ("shop", "europe-west1")
    assert json.loads(row["tags"]) == {"team": "search", "env": "prod"}
    assert json.loads(row["vendor_columns"])["export_time"] == "2026-09-02 00:00:00 UTC"
    assert row["export_name"] == "x-#jsonl"
    assert unreadable["_problem"] == "not a JSON object with a field of a charge"


def test_google_in_parquet_and_flat(tmp_path: Path) -> None:
    lines = write(tmp_path, "rows.jsonl", json.dumps(GOOGLE_CHARGE))
    nested, flat = tmp_path / "nested.parquet", tmp_path / "flat.csv"
    duckdb.execute(f"copy (from read_json('{lines}')) to '{nested}'")
    flat_charge = {name: value for name, value in GOOGLE_CHARGE.items() if not isinstance(value, list | dict)}
    flat_charge |= {"service_description": "Vertex AI", "sku_description": "Gemini", "project_id": "shop"}
    flat.write_text(csv(flat_charge))
    assert [row["billed_cost"] for row in read(nested)] == [Decimal("0.1"), Decimal("-0.05"), Decimal("-0.0000001")]
    unreadable = write(tmp_path, "credits.csv", csv(flat_charge | {"credits": "[{'amount': -0.05}]"}))
    assert [row["_problem"] for row in read(unreadable)] == ["billed_cost: not an amount: its credits are no JSON"]
    (row,) = read(flat)
    assert (row["billed_cost"], row["service_name"], row["sub_account_id"]) == (Decimal("0.1"), "Vertex AI", "shop")


def test_other_services_are_left_out_and_counted(tmp_path: Path) -> None:
    days = ["2026-09-03", "2026-09-05"]
    others = [
        FOCUS_CHARGE | {"ServiceName": "Amazon EC2", "SkuMeter": "m5", "ChargePeriodStart": day, "BilledCost": "2.5"}
        for day in days
    ]
    without_currency = others[0] | {"BillingCurrency": None}
    rows = read(write(tmp_path, "focus.csv", csv(FOCUS_CHARGE, *others, without_currency)))
    assert rows[0]["service_name"] == "Amazon Bedrock"
    left_out = sorted(rows[1:], key=lambda row: row["left_out_rows"])
    assert [row["left_out_rows"] for row in left_out] == [1, 2]
    row = left_out[1]
    assert (row["service_name"], row["billed_cost"], row["sub_account_id"]) == ("Amazon EC2", Decimal(5), "222")
    # The days of which the file tells.
    assert (row["charge_period_start"], row["charge_period_end"]) == (datetime(2026, 9, 3), datetime(2026, 9, 6))
    assert not any("_problem" in each for each in rows)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"BillingCurrency": None}, "billing_currency: missing"),
        ({"BilledCost": "many"}, "billed_cost: not an amount: many"),
        ({"BilledCost": None}, "billed_cost: missing"),
        ({"ChargePeriodStart": "soon"}, "charge_period_start: not a timestamp: soon"),
    ],
)
def test_a_charge_without_what_it_needs_is_marked(tmp_path: Path, changed: dict[str, Any], problem: str) -> None:
    rows = read(write(tmp_path, "focus.csv", csv(FOCUS_CHARGE | changed, FOCUS_CHARGE)))
    assert [row.get("_problem") for row in rows] == [problem, None]


def test_which_services_are_kept_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path, "focus.csv", csv(FOCUS_CHARGE, FOCUS_CHARGE | {"ServiceName": "Amazon EC2", "SkuMeter": "m5"})
    )
    monkeypatch.setenv("SOURCES__FOCUS__SERVICE_PATTERN", "ec2")
    assert [(row["service_name"], row.get("left_out_rows")) for row in read(path)] == [
        ("Amazon EC2", None),
        ("Amazon Bedrock", 1),
    ]
    monkeypatch.setenv("SOURCES__FOCUS__SERVICE_PATTERN", ".")
    assert [row.get("left_out_rows") for row in read(path)] == [None, None]
    monkeypatch.setenv("SOURCES__FOCUS__SERVICE_PATTERN", "(")
    with pytest.raises(UserError, match=r"service_pattern.*no regular expression"):
        read(path)


@pytest.mark.parametrize("name", ["other.csv", "other.jsonl"])
def test_another_file_is_told_what_was_looked_for(tmp_path: Path, name: str) -> None:
    content = csv({"id": 1, "cost": 2}) if name.endswith("csv") else '{"id": 1, "cost": 2}\n'
    with pytest.raises(UserError) as raised:
        read(write(tmp_path, name, content))
    told = str(raised.value)
    assert name in told and "BilledCost" in told and "line_item_unblended_cost" in told
    assert "CostInBillingCurrency or PreTaxCost or Cost" in told and "usage_start_time" in told


def test_every_kind_of_file_is_told_by_its_own_columns() -> None:
    charges = (FOCUS_CHARGE, AWS_CHARGE, AZURE_CHARGE, GOOGLE_CHARGE)
    for kind, charge in zip(KINDS, charges, strict=True):
        names = {plain(name) for name in charge}
        fitting = [each.name for each in KINDS if all(any(plain(one) in names for one in sign) for sign in each.signs)]
        assert fitting == [kind.name]


@pytest.fixture(scope="module")
def warehouse(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("focus")


def test_a_load_tells_what_it_left_out_and_reads_a_changed_file_again(warehouse: Warehouse) -> None:
    other = FOCUS_CHARGE | {"ServiceName": "Amazon EC2", "SkuMeter": "m5", "BilledCost": "1"}
    wrong = FOCUS_CHARGE | {"BillingCurrency": None}
    path = warehouse.write("bill/focus.csv.gz", csv(FOCUS_CHARGE, wrong, *[other] * 12))
    warehouse.write("bill/azure.csv", csv(AZURE_CHARGE))
    report = warehouse.load("focus", path.parent)
    assert (report.files, report.rows, report.quarantined, report.left_out) == (2, 3, 1, 12)
    assert warehouse.quarantine("default") == [("focus.csv.gz", None, "record 2: billing_currency: missing")]
    assert warehouse.rows(
        "select export_format, sum(left_out_rows), sum(billed_cost) from raw.provider__focus"
        " where _problem is null group by 1 order by 1"
    ) == [("azure_cost", None, Decimal("-12.5")), ("focus", 12, Decimal("135.456789012346"))]
    warehouse.write("bill/azure.csv", csv(AZURE_CHARGE, AZURE_CHARGE))
    os.utime(path.parent / "azure.csv", (2e9, 2e9))
    report = warehouse.load("focus", path.parent)
    assert (report.files, report.skipped_files, report.rows, report.left_out) == (1, 1, 2, 0)
