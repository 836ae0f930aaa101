"""What providers say reaches the facts: the newest answer, disjoint tokens, estimates, rates, invoices, controls.

The raw rows are written by the test, and one build makes the tables of all cases.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.build import prepare_project
from llm_spend.schema import BOOKKEEPING_TABLES, DUCKDB_TYPES, LOG_LINEAGE
from llm_spend.sources import raw_formats
from llm_spend.sources.provider_tables import costs_format
from tests.dbt_fork import run_dbt
from tests.few_prices import few_prices

pytestmark = pytest.mark.slow

MODELS = ("gemini-2.5-pro", "gpt-4o", "claude-sonnet-4-6")
BUILT = ("+fct_llm_provider_usage", "+fct_llm_provider_costs", "llm_provider_cost_check", "stg_loads__quarantine")
TESTS = {
    "assert_controls_equal_groups": "fail",
    "assert_bills_are_readable": "fail",
    "assert_bill_seeds_make_sense": "pass",
    "assert_provider_usage_adds_up": "pass",
    "warn_bills_twice": "warn",
    "warn_bill_parts_left_behind": "warn",
    "warn_bill_exports_shrink": "pass",
    "warn_costs_without_rate": "warn",
}
"""The data tests of bills, and what they say of the rows below."""
DAY = datetime(2026, 11, 2)
LATER = timedelta(days=1)
ASKED = datetime(2026, 11, 20, 8)

Row = Mapping[str, object]


class Raw:
    """A database with the raw tables of the pipelines, filled by hand."""

    def __init__(self, database: Path) -> None:
        self.connection = duckdb.connect(str(database))
        self.connection.execute("create schema llm_spend_raw; set schema = 'llm_spend_raw'")
        for table, fmt in raw_formats().items():
            self._create(table, {**{name: column.kind for name, column in fmt.columns.items()}, **LOG_LINEAGE})
        for table, kinds in BOOKKEEPING_TABLES.items():
            self._create(table, {**kinds, "_dlt_load_id": "text"})
        self.connection.execute(
            "create table _dlt_loads (load_id varchar, schema_name varchar, status bigint, inserted_at timestamptz)"
        )
        self.loads = 0

    def window(
        self, table: str, source: str, rows: Iterable[Row], *, day: datetime = DAY, asked: datetime = ASKED
    ) -> None:
        """What an API answered about one day; a later call about the same day is a newer answer."""
        self._load(table, source, f"{source}://{table}/{day.date()}/{self.loads}", rows, asked, day)

    def file(self, table: str, path: str, rows: Iterable[Row], *, written: datetime = ASKED) -> None:
        """A bill as a file; a later call with the same path is a newer version of it."""
        self._load(table, "bill", path, rows, written, None)

    def cloud_bill(self, path: str, export_name: str, rows: Iterable[Row], *, written: datetime = ASKED) -> None:
        """A file of the export of a cloud, which may have several."""
        file_name = path.rpartition("/")[2]
        names = {"export_name": export_name, "file_name": file_name}
        self._load("provider__focus", "focus", path, [{**names, **row} for row in rows], written, None)

    def unreadable(self, path: str, reason: str, table: str = "provider__costs") -> None:
        """A line that the newest load could not read."""
        load_id = f"{1_790_000_000 + self.loads}.5"
        found = {"source_instance": "acme", "table_name": table, "file": path, "line": 1, "reason": reason}
        self._insert("llm_spend__quarantine", {**found, "found_in_load_id": load_id, "_dlt_load_id": load_id})

    def _load(
        self, table: str, source: str, path: str, rows: Iterable[Row], asked: datetime, day: datetime | None
    ) -> None:
        self.loads += 1
        load_id = f"{1_790_000_000 + self.loads}.5"
        end = day + LATER if day else None
        self._insert("_dlt_loads", {"load_id": load_id, "schema_name": "x", "status": 0, "inserted_at": asked})
        self._insert(
            "llm_spend__files",
            {
                "source": source,
                "source_instance": "acme",
                "path": path,
                "size_bytes": 1,
                "modified_at": asked,
                "window_start": day,
                "window_end": end,
                "entity": table,
                "_dlt_load_id": load_id,
            },
        )
        lineage = {"_source_system": source, "_source_instance": "acme", "_file": path, "_dlt_load_id": load_id}
        bucket = {"bucket_start": DAY, "bucket_end": DAY + LATER, "settles_at": DAY + LATER * 8}
        common = {"provider": source, "profile": "primary", "grouping": "", **bucket}
        for row in rows:
            self._insert(table, {**lineage, **({} if table == "provider__focus" else common), **row})

    def _create(self, table: str, kinds: Mapping[str, Any]) -> None:
        columns = ", ".join(f"{name} {DUCKDB_TYPES[kind]}" for name, kind in kinds.items())
        self.connection.execute(f"create table {table} ({columns})")

    def _insert(self, table: str, row: Row) -> None:
        marks = ", ".join("?" * len(row))
        self.connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))


def usage(case: str, model: str, **others: object) -> Row:
    return {"project_id": case, "usage_type": "completions", "model": model, **others}


def cost(case: str, amount: str, **others: object) -> Row:
    return {"project_id": case, "amount": Decimal(amount), "cost_unit": "unit", "currency": "USD", **others}


def charge(account: str, subscription: str, amount: str, *, export_format: str = "azure_cost") -> Row:
    return {
        "export_format": export_format,
        "provider_name": "Microsoft",
        "billing_account_id": account,
        "sub_account_id": subscription,
        "billing_period_start": DAY.replace(day=1),
        "billing_period_end": DAY.replace(month=12, day=1),
        "charge_period_start": DAY,
        "charge_period_end": DAY + LATER,
        "billed_cost": Decimal(amount),
        "billing_currency": "USD",
        "service_name": "Azure OpenAI",
    }


def fill(raw: Raw) -> None:
    """The rows of all cases; `project_id` names the case."""
    used = {"input_tokens": 1_000_000, "output_tokens": 0, "requests": 100}
    raw.window(
        "provider__usage",
        "openai",
        [
            usage(
                "identity",
                "gpt-4o-2024-08-06",
                input_tokens=5000,
                cache_read_tokens=1800,
                cache_write_5m_tokens=150,
                cache_write_1h_tokens=50,
                output_tokens=100,
                reasoning_tokens=40,
                requests=10,
            ),
            usage("conflict", "gpt-4o", input_tokens=100, cache_read_tokens=101, output_tokens=1),
            usage("no tokens", "gpt-4o", requests=3),
            usage("blocked", "gpt-4o", input_tokens=1_200_000, output_tokens=0, requests=1),
            usage("people", "gpt-4o", profile="people", **used),
            usage("searches", "gpt-4o", usage_type="web_search_calls", other_usage='{"web_searches": 7}', requests=7),
        ],
    )
    raw.window(
        "provider__usage",
        "anthropic",
        [
            usage("tiers", "claude-sonnet-4-6", service_tier="batch", region="us", context_window="0-200k", **used),
            usage("estimated", "claude-sonnet-4-6", profile="claude_code", estimated_amount=12345, cost_unit="us_cent"),
        ],
    )
    raw.file(
        "provider__usage",
        "bills/google.jsonl",
        [
            usage("case 14", "gemini-2.5-pro", provider="google", **used),
            usage("long", "gemini-2.5-pro", provider="google", context_window="200k-1M", **used),
            usage("short", "gemini-2.5-pro", provider="google", context_window="0-200k", **used),
            usage("case 14, few tokens", "gemini-2.5-pro", provider="google", **{**used, "input_tokens": 200_000}),
        ],
    )

    raw.window("provider__costs", "openai", [cost("restated", "20"), cost("vanished", "3")])
    raw.window(
        "provider__costs",
        "openai",
        [
            cost("restated", "21.5"),
            cost("blocked", "0"),
            cost("refund", "-12.50", charge_category="Credit"),
            cost("digits", "123.456789012346"),
            cost("cents", "123.45", cost_unit="cent", list_amount="200"),
            cost("euros", "1000", currency="EUR"),
            cost("francs", "1000", currency="CHF"),
            cost("covered", "99", is_cash=False),
            cost("people", "50", profile="people"),
        ],
    )
    today = {"bucket_start": DAY + LATER, "bucket_end": DAY + LATER * 2}
    raw.window("provider__costs", "openai", [cost("today", "5", **today)], asked=DAY + LATER * 1.4, day=DAY + LATER)
    september = {"bucket_start": DAY - LATER * 30, "bucket_end": DAY - LATER * 29}
    raw.window("provider__costs", "openai", [cost("emptied", "400", **september)], day=DAY - LATER * 30)
    raw.window("provider__costs", "openai", [], day=DAY - LATER * 30)

    october = {"provider": "mistral", "bucket_start": DAY - LATER * 10, "bucket_end": DAY - LATER * 9}
    old = [cost("old version", "7", **october)]
    raw.file("provider__costs", "bills/mistral.csv", old, written=ASKED - LATER)
    raw.unreadable("bills/mistral.csv", "amount: missing")
    raw.file("provider__costs", "bills/perplexity.csv", [])
    raw.unreadable("bills/perplexity.csv", "currency: missing")
    raw.file(
        "provider__costs",
        "bills/mistral.csv",
        [
            cost("case 78", "1240", **october),
            cost("case 78", "-500", charge_category="Credit", **october),
            cost("case 78", "59.20", charge_category="Tax", **october),
            cost("twice", "2", **october),
            cost("twice", "2", **october),
        ],
    )

    def checked(day: int, groups: Iterable[str], control: str) -> None:
        bucket = {"provider": "cohere", "bucket_start": DAY + LATER * day, "bucket_end": DAY + LATER * (day + 1)}
        rows = [cost(f"group {number}", amount, **bucket) for number, amount in enumerate(groups)]
        total = {**cost("", control, **bucket), "profile": "control", "project_id": None}
        raw.window("provider__costs", "cohere", [*rows, total], day=DAY + LATER * day)

    profile = "/providers/Microsoft.Billing/billingAccounts/acc:1/billingProfiles/p"
    focus = charge(profile, "/subscriptions/abc", "12", export_format="focus")
    raw.cloud_bill("cost/export.csv", "export.csv", [charge("ACC:1", "ABC", "11")], written=ASKED - LATER)
    raw.unreadable("cost/export.csv", "billing_currency: missing", "provider__focus")
    raw.cloud_bill("focus/export.csv", "export.csv", [focus])
    raw.unreadable("focus/export.csv", "billed_cost: missing", "provider__focus")
    for number, amount in enumerate(["10", "1"]):
        raw.cloud_bill(f"parts/part_{number}_0001.csv", "#", [charge("1", "corrected", amount)])
    raw.cloud_bill("parts/part_1_0001.csv", "#", [charge("1", "corrected", "2")])

    raw.file("provider__costs", "bills/cohere.csv", [cost("from a file too", "3.3", provider="cohere")])
    checked(0, ["1.1", "2.2"], "3.30000001")
    checked(1, ["1.1", "2.2"], "3.31")
    checked(2, [], "1")


def seeds(folder: Path) -> Path:
    few_prices(folder, models=MODELS)
    (folder / "fx_rates.csv").write_text(
        "currency,usd_per_unit,valid_from,valid_to,source\n"
        "EUR,1.0850,2026-11-02,2026-11-03,ECB\nEUR,2,2026-11-03,,ECB\nCHF,1,2026-11-03,,ECB\n"
    )
    (folder / "provider_invoices.csv").write_text(
        "billing_period,provider,provider_instance,invoice_id,invoice_date,charge_category,description,amount,currency,"
        "usd_per_unit,cost_type\n"
        "2026-10-01,mistral,acme,1,2026-11-01,Usage,,1250,USD,,\n"
        "2026-10-01,mistral,acme,1,2026-11-01,Purchase,minimum,70,USD,,Commitment\n"
        "2026-10-01,x-ai,,2,2026-11-02,Usage,,100,EUR,,\n"
    )
    (folder / "seats.csv").write_text(
        "provider,provider_instance,product,seats,price_per_seat,currency,team_id,cost_center_id,valid_from,valid_to\n"
        "cursor,,Teams,3,40,USD,search,,2026-10-01,2026-11-01\n"
    )
    return folder


@dataclass(frozen=True)
class Built:
    """What dbt made of the rows: the database, the status of each test by name, and the SQL of the tests of bills."""

    connection: duckdb.DuckDBPyConnection
    tests: Mapping[str, str]
    compiled: Path

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def test_sql(self, name: str) -> str:
        """The SQL of a data test."""
        return (self.compiled / f"{name}.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("bills")
    raw = Raw(folder / "bills.duckdb")
    fill(raw)
    raw.connection.close()
    project = prepare_project(folder, seeds(folder / "seeds"))
    places = ["--project-dir", str(project), "--profiles-dir", str(project)]
    selected = ["--select", *BUILT, *TESTS, "--indirect-selection", "empty"]
    own = {"LLM_SPEND_DATABASE": str(folder / "bills.duckdb"), "LLM_SPEND_DESTINATION": "duckdb"}
    done = run_dbt("build", "--quiet", *selected, *places, folder=folder, environment={**os.environ, **own})
    results = json.loads((project / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    status = {result["unique_id"]: result["status"] for result in results}
    broken = [name for name, result in status.items() if result in ("error", "skipped")]
    assert not broken, done.stdout[-6000:]
    tests = {name.split(".")[2]: result for name, result in status.items() if name.startswith("test.")}
    with duckdb.connect(str(folder / "bills.duckdb"), read_only=True) as connection:
        yield Built(connection, tests, project / "target/compiled/llm_spend/tests/provider")


def usage_of(built: Built, columns: str) -> dict[str, tuple[Any, ...]]:
    """Columns of fct_llm_provider_usage by case."""
    rows = built.sql(f"select project_id, {columns} from llm_spend.fct_llm_provider_usage")
    found = {row[0]: row[1:] for row in rows}
    assert len(found) == len(rows)
    return found


def costs_of(built: Built, columns: str) -> dict[str, list[tuple[Any, ...]]]:
    """Columns of fct_llm_provider_costs by case, in their own order."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    query = (
        f"select project_id, {columns} from llm_spend.fct_llm_provider_costs where profile <> 'control' order by all"
    )
    for case, *values in built.sql(query):
        found.setdefault(case, []).append(tuple(values))
    return found


def test_tokens_are_disjoint_buckets(built: Built) -> None:
    buckets = "uncached_input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens"
    found = usage_of(built, f"{buckets}, output_tokens, total_tokens, token_quality, price_status")
    assert found["identity"] == (3000, 1800, 150, 50, 100, 5100, "ok", "parent_unit")
    assert found["conflict"] == (None, 101, 0, 0, 1, 101, "usage_conflict", "usage_conflict")
    assert found["no tokens"] == (None, None, None, None, None, None, "missing_usage", "no_usage")


def test_models_are_found_by_the_names_that_providers_use(built: Built) -> None:
    found = usage_of(built, "resolved_model, model_id, channel")
    assert found["identity"] == ("gpt-4o-2024-08-06", "gpt-4o", "openai")
    assert found["case 14"] == ("gemini-2.5-pro", "gemini-2.5-pro", "google")


def test_a_threshold_is_not_inferred_from_an_aggregate(built: Built) -> None:
    found = usage_of(built, "list_cost_usd, is_tier_unknown")
    assert found["case 14"] == (Decimal("1.25"), True)
    assert found["long"] == (Decimal("2.50"), False)
    assert found["short"] == (Decimal("1.25"), False)
    assert found["case 14, few tokens"] == (Decimal("0.25"), False)


def test_usage_has_the_price_of_its_tier_and_region_and_those_without(built: Built) -> None:
    found = usage_of(built, "is_batch, contract_cost_usd, standard_tier_usd, base_usd, price_status")
    assert found["tiers"] == (True, Decimal("1.65"), Decimal("3.30"), Decimal("3.00"), "priced")
    assert found["searches"] == (None, *3 * [Decimal("0.07")], "priced")


def test_estimates_of_providers_are_kept_apart(built: Built) -> None:
    found = usage_of(built, "provider_estimate_usd, contract_cost_usd, is_of_record")
    assert found["estimated"] == (Decimal("123.45"), None, False)
    assert found["people"] == (None, Decimal("2.50"), False)


def test_usage_that_is_not_billed_has_an_estimate_and_a_bill_of_nothing(built: Built) -> None:
    assert usage_of(built, "contract_cost_usd")["blocked"] == (Decimal("3.00"),)
    assert costs_of(built, "billed_usd")["blocked"] == [(Decimal(0),)]


def test_the_newest_answer_counts(built: Built) -> None:
    found = costs_of(built, "billed_usd, origin, is_final")
    assert found["restated"] == [(Decimal("21.5"), "api", True)]
    assert found["today"] == [(Decimal(5), "api", False)]
    assert {"vanished", "emptied", "old version"} & set(found) == set()
    assert found["twice"] == [(Decimal(2), "file", True)] * 2


def test_money_is_in_dollars_as_far_as_there_is_a_rate(built: Built) -> None:
    found = costs_of(built, "billed_amount, usd_per_unit, billed_usd, list_usd")
    assert found["cents"] == [(Decimal("1.2345"), 1, Decimal("1.2345"), 2)]
    assert found["digits"] == [(Decimal("123.456789012346"), 1, Decimal("123.456789012346"), None)]
    assert found["euros"] == [(1000, Decimal("1.0850"), Decimal("1085.00"), None)]
    assert found["francs"] == [(1000, None, None, None)]


def test_only_cash_of_one_profile_is_of_record(built: Built) -> None:
    found = costs_of(built, "is_of_record")
    assert [found[case] for case in ("people", "covered", "refund")] == [[(False,)], [(False,)], [(True,)]]


def test_credits_and_taxes_are_charges_of_their_own(built: Built) -> None:
    found = costs_of(built, "charge_category, billed_usd")
    assert found["case 78"] == [("Credit", -500), ("Tax", Decimal("59.20")), ("Usage", 1240)]
    assert sum(amount for _, amount in found["case 78"]) == Decimal("799.20")
    assert found["refund"] == [("Credit", Decimal("-12.50"))]


def test_a_bill_without_a_currency_is_not_read_and_fails_a_test(built: Built) -> None:
    assert costs_format("bill").columns["currency"].required
    assert built.tests == TESTS


def test_lines_that_cannot_be_read_are_told_as_long_as_their_file_counts(built: Built) -> None:
    found = built.sql(f"select file, reason from ({built.test_sql('assert_bills_are_readable')}) order by all")
    assert found == [("bills/perplexity.csv", "currency: missing"), ("focus/export.csv", "billed_cost: missing")]


def test_controls_are_compared_with_the_sum_of_the_groups(built: Built) -> None:
    query = "select usage_date, grouped_lines, difference, is_matching, is_final from llm_spend.llm_provider_cost_check"
    assert built.sql(f"{query} where provider = 'cohere' order by all") == [
        (DAY.date(), 2, Decimal("-0.00000001"), True, True),
        ((DAY + LATER).date(), 2, Decimal("-0.01"), False, True),
        ((DAY + LATER * 2).date(), 0, Decimal(-1), False, True),
    ]


def test_an_invoice_makes_a_month_equal_to_it_or_is_its_cost(built: Built) -> None:
    query = """
        select provider, charge_category, origin, cost_date::varchar, billed_usd, coalesce(team_id, cost_type)
        from llm_spend.fct_llm_provider_costs
        where is_of_record and origin in ('invoice', 'invoice_difference', 'seat') order by all
    """
    assert built.sql(query) == [
        ("cursor", "Purchase", "seat", "2026-10-01", 120, "search"),
        ("mistral", "Purchase", "invoice", "2026-10-31", 70, "commitment"),
        ("mistral", "Usage", "invoice_difference", "2026-10-31", 6, None),
        ("x-ai", "Usage", "invoice", "2026-10-31", Decimal("108.50"), None),
    ]


def test_a_cost_export_and_focus_of_one_subscription_are_not_added(built: Built) -> None:
    found = costs_of(built, "provider, billed_usd, origin")
    assert found["abc"] == [("azure", 12, "file")] and "ABC" not in found


def test_a_part_that_is_written_again_alone_is_warned_of(built: Built) -> None:
    assert costs_of(built, "billed_usd")["corrected"] == [(2,)]
    assert built.tests["warn_bill_parts_left_behind"] == "warn"


def test_lines_of_seeds_that_are_alike_or_say_what_is_not_fail_a_test(built: Built, tmp_path: Path) -> None:
    copy = tmp_path / "bills.duckdb"
    (database,) = built.sql("select path from duckdb_databases() where database_name = 'bills'")[0]
    shutil.copyfile(database, copy)
    with duckdb.connect(str(copy)) as connection:
        for seed in ("provider_invoices", "seats"):
            (schema,) = connection.execute(
                "from duckdb_tables() select schema_name where table_name = ?", [seed]
            ).fetchall()[0]
            connection.execute(
                f"insert into {schema}.{seed} select * from {schema}.{seed} where provider in ('x-ai', 'cursor')"
            )
            if seed == "provider_invoices":
                connection.execute(
                    f"update {schema}.{seed} set cost_type = 'unused' where charge_category = 'Purchase'"
                )
                connection.execute(
                    f"update {schema}.{seed} set cost_type = 'commitment' where provider = 'mistral' and"
                    " charge_category = 'Usage'"
                )
        sql = built.test_sql("assert_bill_seeds_make_sense")
        found = connection.execute(f"select seed, problem from ({sql}) order by all").fetchall()
    assert found == [
        ("provider_invoices", "cost_type is none of commitment, unused_commitment"),
        ("provider_invoices", "cost_type is of a Purchase only: leave it empty"),
        ("provider_invoices", "two lines of an invoice are alike: describe them, or leave one out"),
        ("seats", "two rows of one product and owner begin at the same time"),
    ]
