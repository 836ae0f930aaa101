"""The dashboard: its numbers are those of the tables, its pages stand, and a browser asks nobody but its server."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import pytest
import sqlglot
from playwright.sync_api import Page, expect
from sqlglot import exp
from streamlit.testing.v1 import AppTest

from llm_spend import cli
from llm_spend.answers import insights
from llm_spend.answers.formats import count, usd
from llm_spend.answers.insight_words import value_words
from llm_spend.answers.insights import Anomaly, CandidateKind, Design, Forecast, Kpi
from llm_spend.answers.marts import MARTS, UNALLOCATED, Marts, Query
from llm_spend.build_record import note, passed_at
from llm_spend.dashboard import charts, queries
from llm_spend.dashboard.filters import DIMENSIONS, Days, Filters, days_of
from llm_spend.dashboard.launch import arguments, serve
from llm_spend.dashboard.queries import Line
from llm_spend.dashboard.show import exact_money, plain, table
from llm_spend.dashboard.views import ALL_PAGES
from llm_spend.destinations import BigQuery, DuckDb, Snowflake
from llm_spend.errors import UserError
from llm_spend.publish import PublishedFile, file_to_publish, publish, republish
from llm_spend.settings import Settings
from tests.conftest import Demo, long, query
from tests.few_prices import few_prices
from tests.screen.browser import launch
from tests.screen.every_query import MINE, OCTOBER, every_query
from tests.warehouses.static.lints import lint
from tests.warehouses.static.project import Statement
from tests.warehouses.static.sqlglot_check import Relations
from tests.warehouses.static.words import wrong_words

pytestmark = pytest.mark.slow

TAGGED = Filters(OCTOBER, (("team", ("platform", UNALLOCATED)),), "environment", ("prod", "staging"))
# A page that is asked for first waits for the server to import what it needs.
expect.set_options(timeout=30_000)
READER = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def shown(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDb]:
    """A database that was published."""
    source = DuckDb(shutil.copy(demo.database, tmp_path_factory.mktemp("shown") / "demo.duckdb"))
    publish(source, file_to_publish(source, None), wait=0)
    yield source


@pytest.fixture(scope="module")
def marts(shown: DuckDb) -> Iterator[Marts]:
    destination = PublishedFile(file_to_publish(shown, None))
    with destination.reading() as connection:
        yield Marts(destination, connection)


def ask(marts: Marts, asked: Query) -> list[tuple[Any, ...]]:
    return marts.ask(asked)


class Client:
    """Puts parameters into SQL as the clients of the warehouses do: by Python's %, when there are any."""

    sql = ""

    def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        self.sql = sql % tuple(map(self._quoted, parameters)) if parameters else sql
        return []

    def _quoted(self, value: Any) -> str:
        return f"cast('{value}' as date)" if isinstance(value, date) else exp.Literal.string(value).sql()


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery"])
def test_every_question_is_sql_of_the_warehouse(dialect: str, marts: Marts) -> None:
    destination = Snowflake() if dialect == "snowflake" else BigQuery()
    known = Relations(cast(Any, dialect))
    tables: dict[str, dict[str, exp.DataType | None]] = {}
    for name, column, kind in marts.rows(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'llm_spend'"
    ):
        tables.setdefault(name, {})[column] = exp.DataType.build(kind, dialect="duckdb")
    for name, columns in tables.items():
        known.add(("", "llm_spend", name), columns)
    for asked in every_query(dialect):
        client = Client()
        Marts(destination, cast(Any, client)).rows(asked.sql, *asked.parameters)
        statement = Statement("dashboard", "dashboard", sql := client.sql)
        tree = known.resolve(statement)
        assert [*wrong_words(statement.sql, cast(Any, dialect)), *lint(tree, cast(Any, dialect))] == [], sql
        read = {table.name.lower() for table in sqlglot.parse_one(sql, read=dialect).find_all(exp.Table) if table.db}
        assert read == asked.tables


def test_every_question_runs_and_reads_the_tables_that_it_says(marts: Marts) -> None:
    for asked in every_query("duckdb"):
        ask(marts, asked)
        assert set(re.findall(r"llm_spend\.(\w+)", asked.sql)) == asked.tables


def test_filters_combine_and_members_add_up(marts: Marts) -> None:
    """User and environment; the same sums by any dimension; a tag asks the requests, and counts as its mart does."""
    by_hand = """
        select
            cast(sum(case when is_final_attempt then 1 else 0 end) as bigint), count(*), sum(cost_usd),
            count(*) filter (cost_usd is null),
            sum(case when coalesce(is_gateway_cache_hit, false) then 0 else coalesce(total_tokens, 0) end)::bigint
        from llm_spend.fct_llm_requests where is_of_record and usage_date between '2026-10-01' and '2026-10-31' and
    """
    wanted = {
        Filters(OCTOBER): "true",
        MINE: "environment in ('production', 'prod') and user_id = 'nadia.jensen@eu.northwind.example'",
        TAGGED: "team_id in ('platform', '(unallocated)') and (metadata->>'environment') in ('prod', 'staging')",
    }
    measures = ("requests", "attempts", "cost_usd", "unpriced_requests", "total_tokens")
    places = [list(queries_fields()).index(name) for name in measures]
    for filters, where in wanted.items():
        (total,) = ask(marts, queries.total(filters, "duckdb"))
        assert [total[place] for place in places] == list(marts.rows(by_hand + where)[0])
        assert total[places[0]] > 0
        for dimension in DIMENSIONS:
            rows = ask(marts, queries.by_member(filters, "duckdb", dimension, most=3))
            for place in places:
                assert sum(row[2 + place] or 0 for row in rows) == total[place], (dimension, filters)
            names = tuple(row[0] for row in rows)
            days = ask(marts, queries.by_day(filters, "duckdb", dimension, names[:1]))
            assert sum(row[2] or 0 for row in days) == total[places[2]]
        ((attempts, cost, unpriced),), _ = (ask(marts, each) for each in queries.requests(filters, "duckdb", 1))
        assert (attempts, cost, unpriced) == (total[places[1]], total[places[2]], total[places[3]])
    for key, _ in ask(marts, queries.tag_keys(OCTOBER)):
        # A filter that lets everything through: the requests are asked instead of the mart.
        all_of_it = Filters(
            OCTOBER, (("provider", tuple(row[0] for row in ask(marts, queries.members("provider", OCTOBER)))),)
        )
        of_mart, of_requests = (
            {row[0]: row[1:15] for row in ask(marts, queries.by_tag_value(filters, "duckdb", key))}
            for filters in (Filters(OCTOBER), all_of_it)
        )
        if "(too many values)" not in of_mart:
            assert of_mart == of_requests, key


def queries_fields() -> Iterator[str]:
    from dataclasses import fields

    from llm_spend.dashboard.show import Usage

    return (field.name for field in fields(Usage))


def test_the_requests_behind_a_line_add_up_to_it(marts: Marts) -> None:
    checked = 0
    for cost_center, team, total, *_ in ask(marts, queries.statements(OCTOBER.first)):
        rows = ask(marts, queries.lines(OCTOBER.first, cost_center, team))
        assert sum(row[11] for row in rows if row[11] is not None) == total
        for row in rows:
            if row[2] in ("direct", "unallocated"):
                asked, page = queries.requests_behind(Line(*row[:8]), 1)
                ((number, cost, unpriced),) = ask(marts, asked)
                assert (cost, unpriced) == (row[10], row[15]), row
                checked += 1
                if checked % 20 == 1:
                    assert len(ask(marts, page)) == min(number, queries.PAGE)
    assert checked > 100


def test_days_charts_and_words() -> None:
    first, last = date(2025, 8, 18), date(2026, 10, 20)
    assert days_of("Latest month", first, last) == OCTOBER
    assert OCTOBER.before() == Days(date(2026, 9, 1), date(2026, 10, 1)) == days_of("Month before", first, last)
    assert days_of("Last 7 days", first, last) == Days(date(2026, 10, 14), date(2026, 10, 21))
    assert days_of("Last 7 days", first, last).before().last == date(2026, 10, 13)
    assert days_of("Everything", first, last).last == last
    assert days_of("Chosen days", first, last, (first,)) == Days(first, date(2025, 8, 19))
    assert days_of("Chosen days", first, last, (last, first)) == Days(first, date(2026, 10, 21))
    # More digits than a float has; a long time is in weeks, each with all of its days; unknown is no bar.
    cents = [(date(2026, month, 6), "a", Decimal("0.1")) for month in range(1, 11)]
    chart = charts.spend_by_time(
        [*cents, (date(2026, 10, 6), "a", Decimal("12345678901234567890.2")), (last, "b", None)], ["a", "b"], []
    )
    values = chart["data"]["values"]
    assert (len(values), values[-1]["when"], values[-1]["cost"]) == (10, "2026-10-05", "12345678901234567890.3")
    assert plain("![x](http://a.b) $1 and $2 *_") == r"\!\[x\](http\://a.b) \$1 and \$2 \*\_"
    assert [exact_money(each) for each in (None, Decimal("-1234.5"), Decimal("0.000000000042"))] == [
        "unknown", "-$1,234.50", "$0.000000000042",
    ]  # fmt: skip


def page_of(path: str, **address: str) -> AppTest:
    """A page as a browser would get it at this address."""

    def show(path: str) -> None:
        from llm_spend.dashboard.sidebar import view_of
        from llm_spend.dashboard.store import open_store
        from llm_spend.dashboard.views import ALL_PAGES

        next(page for page in ALL_PAGES if page.path == path).show(view_of(open_store()))

    page = AppTest.from_function(show, args=(path,), default_timeout=60)
    page.query_params.update(address)
    return page.run()


@pytest.fixture
def served(shown: DuckDb, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that pages of this process show."""
    from streamlit import cache_data, cache_resource

    cache_resource.clear()
    cache_data.clear()
    file = file_to_publish(shown, None)
    monkeypatch.setenv("LLM_SPEND_DATABASE", str(file))
    return file


def test_every_page_shows_the_numbers_of_the_tables(served: Path, marts: Marts) -> None:
    for page in ALL_PAGES:
        found = page_of(page.path)
        assert [*found.exception, *found.error] == [], page.path
        assert found.title[0].value and found.dataframe, page.path
    for path in ("overview", "usage", "tags", "performance", "requests"):
        found = page_of(path, period="Last 7 days", team="nobody", provider="nobody")
        # How much carries each tag, and what is wrong with them, is of all usage.
        shown = found.dataframe[:-2] if path == "tags" else found.dataframe
        assert [*found.exception, *found.error, *shown] == [] and found.info, path

    # What nobody has is kept, and shows nothing: left out, the address would show everybody's numbers.
    for address in ({"tag": "nobodys", "value": "x"}, {"model": "nobodys"}):
        found = page_of("usage", **address)
        assert "nobodys" in found.caption[0].value and [*found.metric, *found.dataframe] == [] and found.info

    members = dict(MINE.members)
    found = page_of("usage", environment="prod", user=members["user"][0])
    (prod,) = ask(
        marts, queries.total(Filters(OCTOBER, (("environment", ("prod",)), ("user", members["user"]))), "duckdb")
    )
    assert [metric.value for metric in found.metric][:2] == [plain(usd(prod[9])), count(prod[0])]
    assert "environment prod; user nadia.jensen@eu.northwind.example" in found.caption[0].value.replace("\\", "")
    assert found.dataframe[0].value["Cost"].tolist() == [prod[9]]

    two_days = Days(date(2026, 10, 5), date(2026, 10, 7))
    chosen = page_of("usage", period="Chosen days")
    chosen.date_input[0].set_value((two_days.first, two_days.last)).run()
    (of_two_days,) = ask(marts, queries.total(Filters(two_days), "duckdb"))
    assert chosen.metric[0].value == plain(usd(of_two_days[9]))

    october, september = (
        query(
            served, f"select sum(total_usd) from llm_spend.llm_chargeback_statements where billing_period = '{month}'"
        )
        for month in ("2026-10-01", "2026-09-01")
    )
    assert page_of("chargeback").metric[0].value == plain(usd(october[0][0]))
    assert page_of("chargeback", month="2026-09").metric[0].value == plain(usd(september[0][0]))


def test_pages_of_what_to_do_show_the_tables(served: Path, marts: Marts) -> None:
    first, end = OCTOBER.first, OCTOBER.end
    months = [Forecast(*row) for row in ask(marts, insights.forecasts(1))][:4]
    forecast = page_of("forecast", forecast_by="Model")
    assert [metric.value for metric in forecast.metric] == [plain(usd(row.forecast_usd)) for row in months]
    of_models = f"select count(distinct member_id) from {MARTS}.llm_spend_forecast where member_type = 'model'"
    assert len(forecast.dataframe[0].value) == min(marts.rows(of_models)[0][0], 200)
    (overview,) = (metric for metric in page_of("overview").metric if metric.label == "A day")
    assert overview.value != "unknown"

    found = ask(marts, insights.anomalies(first, end, 500))
    anomalies = page_of("anomalies")
    assert len(anomalies.dataframe[0].value) == len(found) > 0
    counts = dict(ask(marts, insights.anomaly_counts(first, end)))
    assert all(f"{number} {severity}" in anomalies.caption[0].value for severity, number in counts.items())
    (state,) = (each.value for each in page_of("overview").markdown if "Anomalies of all usage" in each.value)
    assert all(f"{number} {severity}" in state for severity, number in counts.items())
    widest = [Anomaly(*row) for row in ask(marts, insights.anomalies(first, end, 500, only_widest=True))]
    assert len(widest) == sum(row.part_of_member_id is None for row in map(Anomaly._make, found)) < len(found)
    assert sum(counts.values()) == len(widest)

    kinds = [CandidateKind(*row) for row in ask(marts, insights.candidate_kinds(first))]
    savings = page_of("savings")
    assert savings.dataframe[1].value["Candidates"].tolist() == [row.candidates for row in kinds]
    assert savings.dataframe[1].value["Unpriced requests"].tolist() == [row.unpriced_requests for row in kinds]
    assert len(savings.dataframe) == 4

    kpis = {row.kpi_name: row for row in map(Kpi._make, ask(marts, insights.kpis(first, "total", 1)))}
    value = page_of("value")
    shown = {metric.label: metric.value for metric in value.metric}
    assert shown == {plain(name): plain(value_words(row.kpi_value, row.unit)) for name, row in kpis.items()}
    designs = [Design(*row) for row in ask(marts, insights.designs(first))]
    customers = page_of("customers")
    assert any("margins at most what stands here" in caption.value for caption in customers.caption)
    changes = [frame.value["More than today"].tolist() for frame in customers.dataframe[1:]]
    assert [amount for plan in changes for amount in plan] == [row.revenue_change_usd for row in designs]
    assert [len(frame.value) for frame in customers.dataframe[1:]] == [
        len(list(plans)) for _, plans in groupby(designs, attrgetter("design_id"))
    ]
    tags = page_of("tags")
    assert len(tags.dataframe[1].value) == len(ask(marts, insights.tag_coverage(first)))
    assert len(tags.dataframe[2].value) == min(len(ask(marts, insights.tag_findings(200))), 200) > 0
    assert len(page_of("glossary").dataframe) >= 2


def test_without_anything_to_do_the_pages_say_what_is_missing(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare.duckdb"
    shutil.copy(served, bare)
    tables = (
        "llm_spend_forecast", "llm_usage_anomalies", "llm_optimization_candidates", "llm_model_switch_savings",
        "llm_unit_economics", "llm_plan_designs", "llm_tag_audit",
    )  # fmt: skip
    DuckDb(bare).execute(*(f"delete from llm_spend.{name}" for name in tables))
    monkeypatch.setenv("LLM_SPEND_DATABASE", str(bare))
    for path, wanted in {
        "forecast": "There is no forecast yet",
        "anomalies": "No day of these is unusual",
        "savings": "seeds/mapping/model_switches.csv",
        "value": "seeds/rules/business_events.csv",
        "customers": "seeds/rules/plan_designs.csv",
        "tags": "seeds/mapping/tag_registry.csv",
        "overview": None,
    }.items():
        found = page_of(path)
        assert [*found.exception, *found.error] == [], path
        assert wanted is None or any(wanted in info.value for info in found.info), path


def test_small_amounts_keep_digits_that_say_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere else, not the two digits of Streamlit's dollars; what is sorted and saved stays a number."""
    shown: list[Any] = []
    monkeypatch.setattr("streamlit.dataframe", lambda data, **options: shown.append((data, options)))
    amounts = [Decimal("1234.5"), Decimal("0.0000444"), Decimal("-0.004"), Decimal(0), None]
    table([("a", amount) for amount in amounts], {"Name": "text", "Cost": "usd"})
    ((styled, options),) = shown
    assert styled.data["Cost"].tolist() == amounts
    assert [cells[2]["display_value"] for cells in styled._translate(False, False)["body"]] == [
        "$1,234.50", "$0.000044", "-$0.004", "$0.00", "unknown",
    ]  # fmt: skip
    # A format of the column would be shown instead.
    assert options["column_config"]["Cost"]["type_config"]["format"] is None
    shown.clear()
    rows = [(Decimal("0.0000444"), Decimal("0.0004")), (Decimal(1234567), Decimal("2.5")), (Decimal("12.5"), None)]
    table(rows, {"Used": "quantity", "Share": "share"})
    assert [[cell["display_value"] for cell in row[1:]] for row in shown[0][0]._translate(False, False)["body"]] == [
        ["0.000044", "<0.1%"], ["1,234,567", "250.0%"], ["12.50", "unknown"],
    ]  # fmt: skip


def test_latency_follows_a_filter_by_a_model_without_a_price(served: Path, marts: Marts) -> None:
    """Its table has one name for all of them; usage has theirs."""
    (name,) = (row[0] for row in marts.rows(
        "select distinct resolved_model from llm_spend.llm_usage_daily where model_id = '(unresolved)'"
    ))  # fmt: skip
    for model, found in ((name, {"(unresolved)"}), ("gpt-4o", {"gpt-4o"}), ("nobodys", set())):
        filters = Filters(OCTOBER, (("model", (model,)),))
        rows = ask(marts, queries.performance(filters))
        assert {row[1] for row in rows} == found
        (total,) = ask(marts, queries.total(filters, "duckdb"))
        assert sum(row[3] for row in rows) == total[1]
        for provider, model_id, operation, attempts, *_ in rows:
            days = ask(marts, queries.performance_by_day(filters, provider, model_id, operation))
            assert sum(day[5] for day in days) == attempts
    page = page_of("performance", model=name)
    assert page.dataframe and "(unresolved)" in page.caption[0].value


def test_a_source_that_is_late_is_named_and_no_part_is_forecast(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = tmp_path / "late.duckdb"
    shutil.copy(served, late)
    DuckDb(late).execute(
        "update llm_spend.llm_source_health set known_to = '2026-10-27 03:10:00' where source_system = 'litellm'"
    )
    monkeypatch.setenv("LLM_SPEND_DATABASE", str(late))
    page = page_of("overview", team="search")
    (value,) = (metric.value for metric in page.metric if metric.label == "Forecast for October 2026")
    assert value == "unknown"
    for each in (page, page_of("forecast")):
        assert any(
            "litellm (proxy) is late" in caption.value and "2026-10-26" in caption.value for caption in each.caption
        )


def test_days_after_the_last_known_one_have_no_average(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is wrong dates usage ahead of its loading."""
    ahead = tmp_path / "ahead.duckdb"
    shutil.copy(served, ahead)
    DuckDb(ahead).execute("update llm_spend.llm_source_health set last_loaded_at = '2026-10-10 12:00:00'")
    monkeypatch.setenv("LLM_SPEND_DATABASE", str(ahead))
    page = page_of("overview", period="Chosen days")
    for days, shown in (
        ((date(2026, 10, 12), date(2026, 10, 14)), False),
        ((date(2026, 10, 9), date(2026, 10, 10)), True),
    ):
        page.date_input[0].set_value(days).run()
        (a_day,) = (metric.value for metric in page.metric if metric.label == "A day")
        assert (a_day != "unknown") is shown and "-" not in a_day


def test_what_is_wrong_is_said(served: Path, shown: DuckDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit import cache_resource

    def app(database: Path) -> str:
        cache_resource.clear()
        monkeypatch.setenv("LLM_SPEND_DATABASE", str(database))
        found = AppTest.from_file(arguments("127.0.0.1", 1, False)[3], default_timeout=60).run()
        assert not found.exception
        return " ".join(str(error.value) for error in found.error)

    assert app(served) == ""
    assert "is gone" in app(tmp_path / "absent.duckdb")
    assert "is no published file" in app(shown.database)
    empty, older = tmp_path / "empty.duckdb", tmp_path / "older.duckdb"
    for file, statement in (
        (empty, "delete from llm_spend.llm_usage_by_team_daily"),
        (older, "alter table llm_spend.llm_usage_daily drop column requests"),
    ):
        shutil.copy(served, file)
        DuckDb(file).execute(statement)
    assert "has no usage" in app(empty)
    assert "not those of this version" in app(older)
    with pytest.raises(UserError, match="There is no database"):
        serve(Settings(database=tmp_path / "absent.duckdb"), host="127.0.0.1", port=1, open_browser=False, say=print)


@long
def test_a_build_does_not_mind_readers_and_they_get_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, database = tmp_path / "bi.duckdb", tmp_path / "spend.duckdb"
    before = DuckDb(tmp_path / "before.duckdb")
    before.execute("create schema llm_spend", "create table llm_spend.fct_llm_requests as select 1 as x")
    publish(before, file, wait=0, whatever_state=True)
    request = {"created_at": "2026-10-01T00:00:00Z", "cost": 1, "req_units": 3, "res_units": 4, "ai_model": "gpt-4o"}
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"id": name, **request}) + "\n" for name in "ab"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_SPEND_PUBLISHED_FILE", str(file))
    options = ["--path", str(log), "--database", str(database), "--seeds", str(few_prices(tmp_path / "seeds"))]
    monkeypatch.setattr("sys.argv", ["llm-spend", "run", "portkey", *options])
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdin and reader.stdout
        reader.stdout.readline()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, capsys.readouterr().err
        assert query(file, "select count(*), sum(requests) from llm_spend.llm_usage_daily") == [(1, 2)]
        reader.stdin.close()


def settled(page: Page, title: str) -> None:
    """The page of this title, when it has all of its numbers."""
    expect(page.locator("h1", has_text=title)).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def go_to(page: Page, section: str, title: str) -> None:
    """Open a page by the menu at the top."""
    page.get_by_role("button", name=section, exact=True).click()
    page.get_by_role("menuitem").filter(has_text=title).click()
    settled(page, title)


def choose_row(page: Page, table: int, row: int) -> None:
    """Tick a row of a table, which is one picture: rows are 35 pixels high, and their boxes at the left."""
    frame = page.get_by_test_id("stDataFrame").nth(table)
    frame.scroll_into_view_if_needed()
    expect(frame.locator("canvas").first).to_be_visible()
    box = frame.bounding_box()
    assert box
    page.mouse.click(box["x"] + 15, box["y"] + 35 * (row + 1.5))


def test_in_a_browser(shown: DuckDb, marts: Marts, tmp_path: Path) -> None:
    """Load, filter, drill down, and new numbers without a click; nobody on the internet is asked for anything."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from llm_spend.cli import main; main()", "dashboard", f"--port={port}"]
    server = subprocess.Popen(
        [*command, "--database", str(shown.database)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert server.stdout and any("URL" in line for line in server.stdout), "the server did not start"
        with launch(viewport={"width": 1400, "height": 1100}) as opened:
            _look(opened.page, f"http://127.0.0.1:{port}", shown, marts, opened.screenshot)
            assert {url.split("/")[2] for url in opened.requests} == {f"127.0.0.1:{port}"}
            assert opened.console_errors == []
    finally:
        server.terminate()
        server.communicate(timeout=30)


def _look(page: Page, address: str, shown: DuckDb, marts: Marts, screenshot: Any) -> None:
    values = page.get_by_test_id("stMetricValue")
    (total,) = ask(marts, queries.total(Filters(OCTOBER), "duckdb"))
    page.goto(f"{address}/")
    settled(page, "Overview")
    expect(values.first).to_have_text(usd(total[9]))
    expect(page.locator("canvas, svg.marks").first).to_be_visible()
    screenshot("dashboard-overview")

    go_to(page, "Spend", "Usage")
    page.get_by_test_id("stMultiSelect").filter(has_text="Team").locator("input").click()
    page.get_by_role("option", name="platform").click()
    page.keyboard.press("Escape")
    platform = Filters(OCTOBER, (("team", ("platform",)),))
    (of_platform,) = ask(marts, queries.total(platform, "duckdb"))
    expect(values.first).to_have_text(usd(of_platform[9]))
    assert page.url.endswith("/usage?team=platform")
    screenshot("dashboard-usage")

    go_to(page, "Limits and bills", "Chargeback")
    cost_center, team, *_ = ask(marts, queries.statements(OCTOBER.first))[0]
    choose_row(page, 0, 0)
    expect(page.get_by_role("heading", name=f"Lines of {team}, {cost_center}, October 2026")).to_be_visible()
    choose_row(page, 1, 0)
    expect(page.get_by_text("They add up to the line")).to_be_visible()
    page.get_by_text("They add up to the line").scroll_into_view_if_needed()
    screenshot("dashboard-drill-down", full_page=True)

    go_to(page, "What to do", "Anomalies")
    choose_row(page, 0, 0)
    expect(page.get_by_text("Its requests, dearest first.")).to_be_visible()
    screenshot("dashboard-anomaly", full_page=True)

    go_to(page, "Spend", "Overview")
    expect(values.first).to_have_text(usd(of_platform[9]))
    page.get_by_role("button", name="Clear filters").click()
    expect(values.first).to_have_text(usd(total[9]))
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    screenshot("dashboard-phone")

    # A build: other numbers, a record of it, and what `llm-spend build` does then.
    shown.execute("update llm_spend.llm_usage_daily set cost_usd = cost_usd * 2")
    built_at = passed_at(shown)
    assert built_at
    note(shown, "project", "1 1", datetime.fromisoformat(built_at).replace(year=2027), [])
    assert republish(shown, None, wait=0)
    expect(values.first).to_have_text(usd(total[9] * 2), timeout=60_000)
