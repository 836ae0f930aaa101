"""The report in a browser: exact under every filter, quiet, and of use without scripts, on a phone and on paper."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from playwright.sync_api import Page, expect

from llm_spend import cli
from llm_spend.answers import marts as marts_module
from llm_spend.answers.formats import count, usd
from llm_spend.answers.insight_words import kpi_words
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.report import read as read_module
from llm_spend.report.cube import DIMENSIONS
from llm_spend.report.found import Found
from llm_spend.report.payload import payload
from llm_spend.report.read import read
from llm_spend.report.write import write_report
from llm_spend.schema import Schemas
from tests.conftest import Demo, query
from tests.screen.browser import Opened, launch

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 1, 8)
MONTH = "usage_date between '2026-10-01' and '2026-10-31'"
USER, ENVIRONMENT = "nadia.jensen@eu.northwind.example", "prod"
# Those that filters change: what stands there without scripts must be what the scripts say.
TABLES = [
    *(f"by-{dimension.name}" for dimension in DIMENSIONS),
    "by-tag",
    "table-days",
    "table-latency",
    "table-nobodys",
]


@pytest.fixture(scope="module")
def found(demo: Demo) -> Found:
    return read(DuckDb(demo.database), None, now=NOW)


@pytest.fixture(scope="module")
def file(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands of docs/report.md write."""
    commands = re.findall(r"^\$ (llm-spend .*)$", Path("docs/report.md").read_text(encoding="utf-8"), re.MULTILINE)
    folder = tmp_path_factory.mktemp("report")
    (folder / "spend.duckdb").symlink_to(demo.database)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LLM_SPEND_DATABASE", "spend.duckdb")
        for command in commands:
            patch.setattr("sys.argv", shlex.split(command))
            with pytest.raises(SystemExit) as ended:
                cli.main()
            assert not ended.value.code, command
    # Without a month it is the latest, which the second command names.
    assert _data(folder / "report.html") == _data(folder / "october.html") != ""
    return folder / "report.html"


@pytest.fixture(scope="module")
def desk(file: Path) -> Iterator[Opened]:
    """The page on a desk. A test leaves it as it was."""
    with launch(viewport={"width": 1360, "height": 900}) as opened:
        _open(opened.page, file)
        yield opened


def test_the_demo_ends_with_the_page(demo: Demo) -> None:
    file = demo.folder.parent / "report.html"
    assert file.stat().st_size < 5_000_000
    assert "data/report.html" in demo.screen


def test_the_data_in_the_page_are_the_marts(demo: Demo, found: Found) -> None:
    data = payload(found)
    joint, tags = data["joint"], data["tags"]
    for dimension in DIMENSIONS:
        sums = query(
            demo.database,
            f"select {dimension.sql}, sum(cost_usd), sum(requests), sum(unpriced_tokens)"
            " from llm_spend.llm_usage_daily group by 1",
        )
        names = joint["names"][dimension.name]
        rows = _rows_by(joint["members"][dimension.name])
        assert {name for name, *_ in sums} == set(names)
        for name, cost, requests, unpriced in sums:
            of_name = rows[names.index(name)]
            assert _money(joint, of_name) == cost
            assert sum(joint["measures"]["requests"][row] for row in of_name) == requests
            assert sum(joint["measures"]["unpriced_tokens"][row] for row in of_name) == unpriced
    # The marts of one dimension say the same.
    for mart in ("user", "team", "feature", "customer", "model"):
        total = query(demo.database, f"select sum(cost_usd), sum(requests) from llm_spend.llm_usage_by_{mart}_daily")[0]
        assert total == (_money(joint, range(len(joint["period"]))), sum(joint["measures"]["requests"]))
    for key, cost in query(
        demo.database, "select tag_key, sum(cost_usd) from llm_spend.llm_usage_by_tag_daily group by 1"
    ):
        assert _money(tags, _rows_by(tags["key"])[tags["keys"].index(key)]) == cost
    attempts = query(demo.database, "select sum(attempts), sum(failed_attempts) from llm_spend.llm_performance_daily")[
        0
    ]
    assert attempts == (sum(data["performance"]["attempts"]), sum(data["performance"]["failed"]))


def test_it_opens_without_the_network_and_without_an_error(desk: Opened, file: Path) -> None:
    assert desk.requests == [file.as_uri()]
    assert desk.console_errors == []
    assert len(desk.page.query_selector_all(".chart svg")) == 4
    assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    desk.screenshot("report", full_page=True)


def test_without_scripts_every_table_has_the_same_figures(desk: Opened, file: Path) -> None:
    with launch(java_script_enabled=False, viewport={"width": 1360, "height": 900}) as quiet:
        quiet.page.goto(file.as_uri())
        expect(quiet.page.locator(".filters, .chart >> visible=true")).to_have_count(0)
        expect(quiet.page.get_by_text("Scripts are off")).to_be_visible()
        for details in desk.page.query_selector_all("details.as-table"):
            details.evaluate("element => { element.open = true; }")
        for table in TABLES:
            assert _cells(desk.page, table) == _cells(quiet.page, table), table
        assert len(quiet.page.query_selector_all("table")) >= len(TABLES) + 7
        quiet.screenshot("report-without-scripts", full_page=True)
    for details in desk.page.query_selector_all("details.as-table"):
        details.evaluate("element => { element.open = false; }")


def test_filters_combine_to_what_the_fact_says(demo: Demo, desk: Opened, file: Path) -> None:
    page = desk.page
    page.get_by_text("Environment: all").click()
    page.get_by_role("checkbox", name=ENVIRONMENT).check()
    page.get_by_text("User: all").click()
    page.get_by_placeholder("find users").fill("nadia.j")
    page.get_by_role("checkbox", name=USER).check()
    page.keyboard.press("Escape")
    cost, requests = query(
        demo.database,
        "select sum(cost_usd), count(*) filter (where is_final_attempt) from llm_spend.fct_llm_requests"
        f" where is_of_record and {MONTH} and user_id = '{USER}' and environment = '{ENVIRONMENT}'",
    )[0]
    assert _chosen(page) == cost
    expect(page.locator("#selection")).to_contain_text(f"{requests:,} requests")
    # Every breakdown is of the same usage.
    for dimension in DIMENSIONS:
        total = page.locator(f"#by-{dimension.name} tr.total td").first
        assert _exact(total.get_attribute("title")) == cost
    expect(page.locator("#by-user tbody tr")).to_have_count(2)
    desk.screenshot("report-filtered")

    # A third, by pressing a name, and fewer days; the address brings the same to somebody else.
    page.locator("#by-feature").get_by_role("button", name="code-review").click()
    page.get_by_label("From", exact=True).fill("2026-10-12")
    assert page.get_by_label("Time", exact=True).evaluate("list => list.selectedOptions[0].text") == "these days"
    cost = query(
        demo.database,
        "select sum(cost_usd) from llm_spend.llm_usage_daily where usage_date between '2026-10-12' and '2026-10-31'"
        f" and user_id = '{USER}' and environment = '{ENVIRONMENT}' and feature_id = 'code-review'",
    )[0][0]
    assert _chosen(page) == cost
    address = page.url
    assert "environment=prod" in address and "from=2026-10-12" in address
    page.goto("about:blank")
    _open(page, address)
    assert _chosen(page) == cost
    expect(page.get_by_text("Feature: code-review")).to_be_visible()
    page.get_by_role("button", name="Reset").click()
    assert (
        _chosen(page)
        == query(demo.database, f"select sum(cost_usd) from llm_spend.llm_usage_daily where {MONTH}")[0][0]
    )
    assert page.url == file.as_uri()


def test_what_to_do_is_what_the_tables_say(demo: Demo, desk: Opened) -> None:
    """Forecast, anomalies, KPIs, plans, savings and tags of the whole month."""
    page = desk.page
    forecast = query(
        demo.database,
        "select forecast_usd from llm_spend.llm_spend_forecast where member_type = 'total' order by horizon_months",
    )
    everything = next(row for row in _cells(page, "table-forecast") if row[0] == "Everything")
    assert everything[1:5] == [usd(amount) for (amount,) in forecast]

    month = f"{MONTH} and severity_usd is not null"
    worst, gravest = query(
        demo.database,
        "select max(severity_usd), arg_max(explanation, severity_usd) from llm_spend.llm_usage_anomalies"
        f" where {month} and severity = (select min(severity) from llm_spend.llm_usage_anomalies where {month}"
        " and severity in ('high', 'medium'))",
    )[0]
    first = _cells(page, "table-anomalies")[1]
    assert (first[5], first[6]) == (usd(worst), gravest)

    of_month = "where billing_period = '2026-10-01'"
    kpis = query(
        demo.database,
        "select kpi_name, kpi_value, unit, coverage_ratio from llm_spend.llm_unit_economics"
        f" {of_month} and member_type = 'total'",
    )
    titles, total = _cells(page, "table-kpis")[:2]
    for name, *of_kpi in kpis:
        assert total[titles.index(name)] == kpi_words(*of_kpi)
    assert any("known)" in cell for cell in total)
    expect(page.locator("#value")).to_contain_text("Where events are known for less than 90% of the cost")
    revenue = query(
        demo.database,
        f"select design_name, sum(revenue_usd), sum(customers), sum(revenue_change_usd), sum(customers_compared)"
        f" from llm_spend.llm_plan_designs {of_month} group by 1",
    )
    designs = {row[0]: row for row in _cells(page, "table-designs")}
    for name, amount, customers, change, compared in revenue:
        assert designs[name][1:5] == [count(customers), usd(amount), usd(change), count(compared)]
        assert designs[name][-1] == ""
    expect(page.locator("#value")).to_contain_text("margins at most what stands here")

    parts = ("cost", "uncached_input_cost", "cache_read_cost", "cache_write_cost", "output_cost", "other_cost")
    paid = query(
        demo.database,
        f"select {', '.join(f'sum({part}_usd)' for part in parts)} from llm_spend.fct_llm_requests"
        f" where is_of_record and {MONTH}",
    )[0]
    assert _cells(page, "table-model-costs")[-1] == ["Total", *(usd(amount) if amount else "" for amount in paid)]

    kinds = query(
        demo.database,
        f"select count(distinct kind), sum(spend_usd) from llm_spend.llm_optimization_candidates {of_month}",
    )[0]
    shown = _cells(page, "table-candidate-kinds")[1:]
    assert len(shown) == kinds[0]
    failures, unpriced = query(
        demo.database,
        "select sum(requests), sum(unpriced_requests) from llm_spend.llm_optimization_candidates"
        f" {of_month} and kind = 'paid_failures'",
    )[0]
    assert unpriced > 0
    assert [count(failures), count(unpriced)] in [row[-2:] for row in shown]
    largest = query(demo.database, f"select max(saving_usd) from llm_spend.llm_model_switch_savings {of_month}")[0][0]
    assert _cells(page, "table-switches")[1][5] == usd(largest)
    covered = query(
        demo.database,
        "select sum(requests_with_tag) from llm_spend.llm_tag_coverage"
        f" {of_month} and tag_key = 'environment' and not is_owner",
    )[0][0]
    assert ["environment", count(covered)] in [[row[0], row[3]] for row in _cells(page, "table-coverage")]
    assert len(_cells(page, "table-findings")) > 2
    assert desk.console_errors == []


def test_a_month_that_is_past_says_what_is_of_now(demo: Demo, tmp_path: Path, file: Path) -> None:
    """And in which zone its statement is, and that nobody said which seeds are theirs."""
    said = {
        "As of 2026-10-31, not of August 2026.": 2,
        "midnight in Europe/Berlin": 1,
        "No folder of seeds was given": 1,
    }
    past = write_report(
        DuckDb(demo.database), tmp_path / "past.html", date(2026, 8, 1), now=NOW, billing_timezone="Europe/Berlin"
    )
    pages = [each.read_text(encoding="utf-8") for each in (past.file, file)]
    assert {words: pages[0].count(words) for words in said} == said
    assert "As of 2026" not in pages[1] and "Months begin and end" not in pages[1]


def test_a_link_with_an_unknown_name_shows_nobodys_usage(desk: Opened, file: Path) -> None:
    page = desk.page
    page.goto("about:blank")
    _open(page, f"{file.as_uri()}#user=nobody&environment={ENVIRONMENT}")
    assert page.locator("#selected-cost").inner_text() == "-"
    expect(page.locator("#selection")).to_contain_text("The filters of this page know no user nobody.")
    expect(page.locator("#by-user tbody tr")).to_have_count(1)
    # It can be taken off where it was chosen.
    page.get_by_text("User: nobody").click()
    page.get_by_role("checkbox", name="nobody").click()
    page.keyboard.press("Escape")
    assert _chosen(page) > 0
    page.get_by_role("button", name="Reset").click()
    assert desk.console_errors == []


def test_models_without_a_price_entry_have_latencies_together(demo: Demo, desk: Opened) -> None:
    page = desk.page
    unresolved = "model_id = '(unresolved)'"
    name = query(demo.database, f"select max(resolved_model) from llm_spend.llm_usage_daily where {unresolved}")[0][0]
    page.get_by_text("Model: all").click()
    page.get_by_role("checkbox", name=name, exact=True).check()
    page.keyboard.press("Escape")
    attempts = query(
        demo.database,
        f"select provider, operation, sum(attempts) from llm_spend.llm_performance_daily where {unresolved} and {MONTH}"
        " group by 1, 2",
    )
    assert {tuple(row[:3]) for row in _cells(page, "table-latency")[1:]} == {
        (f"{provider} / (unresolved)", operation, f"{number:,}") for provider, operation, number in attempts
    }
    page.get_by_role("button", name="Reset").click()


def test_tags_dates_and_order_follow_what_is_chosen(demo: Demo, desk: Opened, file: Path) -> None:
    page = desk.page
    page.get_by_label("Tag key").select_option("plan")
    page.get_by_label("Time", exact=True).select_option("before")
    september = "usage_date between '2026-09-01' and '2026-09-30'"
    cost = query(
        demo.database,
        f"select sum(cost_usd) from llm_spend.llm_usage_by_tag_daily where tag_key = 'plan' and {september}",
    )[0][0]
    assert _exact(page.locator("#by-tag tr.total td").first.get_attribute("title")) == cost
    assert (
        _chosen(page)
        == query(demo.database, f"select sum(cost_usd) from llm_spend.llm_usage_daily where {september}")[0][0]
    )
    page.locator("#by-user .sort").nth(1).click()
    top = query(
        demo.database,
        f"select user_id from llm_spend.llm_usage_by_user_daily where {september} and user_id <> '(unallocated)'"
        " group by 1 order by sum(requests) desc, sum(cost_usd) desc limit 1",
    )[0][0]
    assert page.locator("#by-user tbody th").first.inner_text() == top
    page.get_by_role("button", name="Show all 13 teams").click()
    assert page.locator("#by-team tbody tr").count() == 14
    assert desk.console_errors == []
    _open(page, file)


def test_it_fits_a_phone_dark_or_light_and_paper(file: Path) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    with launch(**phone, color_scheme="dark") as opened:
        page = opened.page
        _open(page, file)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator(".more-filters summary").first.click()
        page.get_by_text("Team: all").click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_text("Team: all").click()
        opened.screenshot("report-phone-dark")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(media="print", color_scheme="dark")
        expect(page.locator(".controls")).to_be_hidden()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
        opened.screenshot("report-print")
        assert opened.console_errors == []


def test_a_large_warehouse_is_collapsed_and_stays_exact(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_module, "_MOST_JOINT_ROWS", 5_000)
    monkeypatch.setattr(read_module, "_MOST_ROWS_OF_ONE", 3_000)
    monkeypatch.setattr(read_module, "_MOST_TAG_ROWS", 1_000)
    asked: set[str] = set()
    rows = marts_module.Marts.rows
    monkeypatch.setattr(marts_module.Marts, "rows", lambda self, sql, *given: asked.add(sql) or rows(self, sql, *given))
    written = write_report(DuckDb(demo.database), tmp_path / "small.html", now=NOW)
    assert any("Filters know the" in note for note in written.notes)
    _is_for_warehouses_too(asked)
    with launch() as opened:
        page = opened.page
        _open(page, written.file)
        whole = query(demo.database, f"select sum(cost_usd) from llm_spend.llm_usage_daily where {MONTH}")[0][0]
        assert _chosen(page) == whole
        for dimension in DIMENSIONS:
            assert _exact(page.locator(f"#by-{dimension.name} tr.total td").first.get_attribute("title")) == whole
        page.locator("#by-environment").get_by_role("button", name=ENVIRONMENT).click()
        page.locator("#by-user").get_by_role("button", name=USER).click()
        both = f"{MONTH} and environment = '{ENVIRONMENT}' and user_id = '{USER}'"
        assert (
            _chosen(page)
            == query(demo.database, f"select sum(cost_usd) from llm_spend.llm_usage_daily where {both}")[0][0]
        )
        # A day in the middle of a month that is only known as a whole: the page says what it shows instead.
        page.get_by_label("From", exact=True).fill("2026-09-10")
        expect(page.locator("#selection .snapped")).to_be_visible()
        assert opened.console_errors == []


def test_what_is_missing_is_said_and_names_are_only_names(demo: Demo, tmp_path: Path) -> None:
    """A warehouse with one day of usage and nothing else: no bill, no quota, no tag; and a name that is markup."""
    name = "<img src=x onerror=alert(1)></script>'\u202e"
    database = tmp_path / "spend.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"attach '{demo.database}' as demo (read_only)")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'demo'"
            " and (schema_name = 'llm_spend' or table_name in ('llm_spend__files', '_dlt_loads'))"
        ).fetchall()
        for schema in {schema for schema, _ in tables}:
            connection.execute(f"create schema {schema}")
        for schema, table in tables:
            connection.execute(f"create table {schema}.{table} as from demo.{schema}.{table} limit 0")
    with pytest.raises(UserError, match="Nothing was loaded"):
        write_report(DuckDb(database), tmp_path / "none.html", now=NOW)
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"attach '{demo.database}' as demo (read_only)")
        usage = "llm_spend.llm_usage_daily"
        connection.execute(
            f"insert into {usage} select * replace (? as user_id, ? as model_id, null as cost_usd) from demo.{usage}"
            " where usage_date = '2026-10-05' limit 3",
            [name, name],
        )
        connection.execute(
            "insert into llm_spend.llm_usage_by_team_daily from demo.llm_spend.llm_usage_by_team_daily"
            " where usage_date = '2026-10-05' limit 1"
        )
        connection.execute("insert into llm_spend.llm_source_health from demo.llm_spend.llm_source_health limit 1")
    written = write_report(DuckDb(database), tmp_path / "little.html", now=NOW)
    with pytest.raises(UserError, match="no usage in September 2026"):
        write_report(DuckDb(database), tmp_path / "little.html", date(2026, 9, 1), now=NOW)
    with launch() as opened:
        page = opened.page
        _open(page, written.file)
        assert opened.console_errors == [] and opened.requests == [written.file.as_uri()]
        assert page.locator("#by-user tbody th").first.inner_text() == name.replace("\u202e", "\ufffd")
        assert page.locator("img").count() == 0
        # Nothing has a price: unknown, not zero.
        assert page.locator("#selected-cost").inner_text() == "-"
        for said in (
            "No bill of this month is loaded",
            "There is no statement",
            "There are no quota rules",
            "No request carries a tag",
            "There is no forecast",
            "No day of the month is unusual",
            "Nothing was found that could cost less",
            "name pairs in seeds/mapping/model_switches.csv",
            "write sessions, conversions, revenue",
            "There is no design yet",
            "Nothing is wrong with the tags",
        ):
            expect(page.get_by_text(said)).to_be_visible()
        opened.screenshot("report-little", full_page=True)
        page.get_by_label("Divide the chart by").select_option("user")
        assert page.url == f"{written.file.as_uri()}#by=user"


def _data(file: Path) -> str:
    """What the page has for its scripts."""
    return file.read_text(encoding="utf-8").partition('id="facts"')[2].partition("!function")[0]


def _is_for_warehouses_too(asked: set[str]) -> None:
    """Whether every query is one in the other dialects, as far as sqlglot knows them."""

    class Elsewhere:
        name = ""
        schemas = Schemas()

    # What is counted first is what is read then.
    read_then = [sql for sql in asked if "select count(*) from (select distinct period_start" not in sql]
    assert len(read_then) > 20
    for Elsewhere.name in ("snowflake", "bigquery"):
        for sql in read_then:
            translated = marts_module._translated(sql, Elsewhere())  # type: ignore[arg-type]
            assert sqlglot.parse_one(translated, read=Elsewhere.name).sql(Elsewhere.name) == translated


def _open(page: Page, where: Path | str) -> None:
    page.goto(where.as_uri() if isinstance(where, Path) else where)
    page.wait_for_selector("html[data-ready=yes]")


def _cells(page: Page, table: str) -> list[list[str]]:
    cells: list[list[str]] = page.eval_on_selector_all(
        f"#{table} tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    assert len(cells) > 1
    return cells


def _chosen(page: Page) -> Decimal:
    return _exact(page.locator("#selected-cost").get_attribute("data-exact"))


def _exact(text: str | None) -> Decimal:
    return Decimal(re.sub(r"[$,]", "", text or "nothing"))


def _rows_by(codes: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for row, code in enumerate(codes):
        found[code].append(row)
    return found


def _money(columns: Any, rows: Any) -> Decimal | None:
    known = [(columns["micro"][row], columns["pico"][row]) for row in rows if columns["micro"][row] is not None]
    return Decimal(sum(micro * 10**6 + pico for micro, pico in known)).scaleb(-12) if known else None
