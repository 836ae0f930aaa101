"""The answers of a tiny database, written by hand: what adds up, what is unknown, what the user is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console, RenderableType

from llm_spend.answers import Answers, answers, render, render_status, status, to_json
from llm_spend.answers.formats import age, percent, printable, ratio, usd
from llm_spend.answers.month import Breakdown
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError

_MEASURES = """
    requests bigint, attempts bigint, total_tokens bigint, cost_usd decimal(38, 12),
    unpriced_requests bigint, unpriced_tokens bigint
"""
_TABLES = {
    "llm_usage_by_user_daily": f"usage_date date, user_id text, {_MEASURES}",
    "llm_usage_by_feature_daily": f"usage_date date, feature_id text, {_MEASURES}",
    "llm_usage_by_team_daily": f"usage_date date, team_id text, cost_center_id text, {_MEASURES}",
    "llm_usage_by_customer_daily": f"usage_date date, customer_id text, {_MEASURES}",
    "llm_usage_by_model_daily": f"""
        usage_date date, provider text, model_id text, resolved_model text, {_MEASURES}
    """,
    "fct_llm_requests": """
        request_key text, usage_date date, model_id text, resolved_model text, cost_usd decimal(38, 12),
        user_id text, team_id text, feature_id text, customer_id text,
        user_attribution text, team_attribution text, feature_attribution text, customer_attribution text,
        is_of_record boolean
    """,
    "llm_quota_rules": "rule_key text, subject text",
    "llm_quota_usage": "window_start timestamp, used_ratio decimal(18, 6)",
    "llm_quota_breaches": """
        breached_at timestamp, rule_id text, subject_type text, subject text, unit text, limit_to bigint,
        used bigint, overage bigint, observed_blocks bigint, breach_request_key text, voided_at timestamp
    """,
    "llm_chargeback_lines": """
        billing_period date, provider text, amount_usd decimal(38, 2), exact_cost_usd decimal(38, 12),
        is_closed boolean
    """,
    "llm_chargeback_statements": """
        billing_period date, cost_center_id text, team_id text, total_usd decimal(38, 2),
        share_of_bill decimal(18, 6), unpriced_requests bigint
    """,
    "llm_reconciliation": """
        billing_period date, provider text, cause text, cause_number bigint, gateway_usd decimal(38, 12),
        provider_usd decimal(38, 12), amount_usd decimal(38, 12), unexplained_ratio decimal(18, 6)
    """,
    "llm_unpriced_models": """
        source_system text, provider text, resolved_model text, model_id text, price_status text,
        unpriced_requests bigint, unpriced_tokens bigint, first_seen_at timestamp, last_seen_at timestamp
    """,
    "llm_source_health": """
        source_system text, source_instance text, attempts bigint, attempts_without_usage bigint,
        attempts_with_unreadable_metadata bigint, unpriced_attempts bigint, attempts_without_team bigint,
        duplicate_rows bigint, lines_quarantined bigint, first_event_at timestamp, last_event_at timestamp,
        last_loaded_at timestamp, known_to timestamp, is_waited_for boolean
    """,
    "llm_load_history": """
        load_id text, source text, source_instance text, loaded_at timestamp, files bigint, size_bytes bigint
    """,
}
Row = Sequence[Any]

# Requests, attempts, tokens, cost, unpriced attempts, unpriced tokens. The last has no cost that is known.
_TEAMS: dict[str, Row] = {
    "alpha": (10, 11, 1000, "5.005", 0, 0),
    "beta": (20, 20, 900, "7.50", 1, 10),
    "gamma": (1, 1, 800, "0.000000000001", 0, 0),
    "delta": (1, 1, 700, "1", 0, 0),
    "epsilon": (1, 1, 600, "2", 0, 0),
    "zeta": (1, 1, 500, "0.25", 0, 0),
    "eta": (1, 2, 400, "0.125", 0, 0),
    "(unallocated)": (3, 3, 50, "3.333333333333", 0, 0),
    "theta": (2, 2, 30, None, 2, 30),
}
_TOTAL = Decimal("19.213333333334")


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"insert into llm_spend.{table} values ({marks})", list(row))


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A database whose marts have no row."""
    database = tmp_path / "spend.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create schema llm_spend")
        for name, columns in _TABLES.items():
            connection.execute(f"create table llm_spend.{name} ({columns})")
    return database


@pytest.fixture
def database(empty: Path) -> Path:
    """September has one request; October is `_TEAMS`, spread over two days, in every dimension."""
    with duckdb.connect(str(empty)) as connection:
        for name, key in (
            ("llm_usage_by_user_daily", 1),
            ("llm_usage_by_feature_daily", 1),
            ("llm_usage_by_team_daily", 2),
            ("llm_usage_by_customer_daily", 1),
        ):
            keys = [None] * (key - 1)
            _insert(connection, name, [("2026-09-30", "alpha", *keys, 1, 1, 10, "0.5", 0, 0)])
            _insert(connection, name, [("2026-10-02", team, *keys, *row) for team, row in _TEAMS.items()])
        _insert(connection, "llm_usage_by_team_daily", [("2026-10-31", "alpha", "moved", 0, 0, 0, "0", 0, 0)])
        _insert(
            connection,
            "llm_usage_by_model_daily",
            [
                ("2026-10-02", "openai", "gpt-4o", "gpt-4o-2024-08-06", 5, 5, 10, "1", 0, 0),
                ("2026-10-03", "openai", "gpt-4o", "gpt-4o", 5, 5, 10, "1.5", 0, 0),
                ("2026-10-03", "openai", "(unresolved)", "house-model", 5, 5, 10, None, 5, 10),
            ],
        )
        model = ("2026-10-02", "gpt-4o", "gpt-4o")
        _insert(
            connection,
            "fct_llm_requests",
            [
                ("r1", *model, "1", "ann", "alpha", "f", "c", *["tag"] * 4, True),
                ("r2", *model, "3", "ann", "(unallocated)", "f", "c", "tag", "unknown", "tag", "tag", True),
                ("r3", *model, None, "ann", "(unallocated)", "f", "c", "tag", "missing", "tag", "tag", True),
                ("r4", *model, None, "ann", "(unallocated)", "f", "c", "tag", "missing", "tag", "tag", True),
                ("elsewhere", *model, "9", "ann", "(unallocated)", "f", "c", *["tag"] * 4, False),
            ],
        )  # fmt: skip
        _insert(connection, "llm_quota_rules", [("rules|daily|2026-08-01", "a"), ("rules|daily|2026-08-01", "b")])
        _insert(connection, "llm_quota_usage", [("2026-10-02", "1.25")])
        _insert(
            connection,
            "llm_quota_breaches",
            [
                ("2026-09-30 23:59:59", "daily", "user", "old", "requests_per_day", 5, 6, 1, 0, "r0", None),
                (
                    "2026-10-02 10:00:00",
                    "daily",
                    "user",
                    "ann",
                    "tokens_per_day",
                    5000,
                    6250,
                    1250,
                    2,
                    "r1",
                    None,
                ),
                (
                    "2026-10-03 10:00:00",
                    "daily",
                    "user",
                    "void",
                    "tokens_per_day",
                    1,
                    2,
                    1,
                    0,
                    "r2",
                    "2026-10-04",
                ),
            ],
        )
        _insert(
            connection,
            "llm_chargeback_lines",
            [
                ("2026-09-01", "openai", "0.50", "0.5", False),
                ("2026-10-01", "openai", "12.51", "12.505", False),
                ("2026-10-01", "anthropic", "6.71", "6.708333333334", False),
                ("2026-10-01", "self-hosted", None, None, False),
            ],
        )
        _insert(
            connection,
            "llm_chargeback_statements",
            [
                ("2026-09-01", "cc-1", "alpha", "0.50", "1", 0),
                ("2026-10-01", "cc-1", "beta", "7.50", "0.390218", 1),
                ("2026-10-01", "(unallocated)", "(unallocated)", "3.33", "0.173257", 0),
                ("2026-10-01", "cc-2", "alpha", "8.39", "0.436525", 0),
                ("2026-10-01", "cc-1", "theta", None, None, 2),
            ],
        )
        _insert(
            connection,
            "llm_reconciliation",
            [
                ("2026-09-01", "openai", "unexplained", 13, "0.50", "0.50", "0", "0"),
                ("2026-10-01", "anthropic", "unexplained", 13, "7", "9", "0", "0"),
                ("2026-10-01", "anthropic", "outside_gateway", 1, "7", "9", "2", "0"),
                ("2026-10-01", "openai", "unexplained", 13, "10.5", "12.75", "0.25", "0.019608"),
                ("2026-10-01", "openai", "tier_or_batch", 2, "10.5", "12.75", "-1", "0.019608"),
                ("2026-10-01", "openai", "outside_gateway", 1, "10.5", "12.75", "3", "0.019608"),
                ("2026-10-01", "google", "no_bill", 12, "3", None, "-3", "0"),
            ],
        )
        seen = ("2026-08-18 10:00:00", "2026-10-31 09:00:00")
        _insert(
            connection,
            "llm_unpriced_models",
            [
                ("portkey", "openai", "house-model", None, "unpriced", 4, 1000, *seen),
                (
                    "litellm",
                    "openai",
                    "house-model",
                    None,
                    "unpriced",
                    1,
                    500,
                    "2026-08-01 00:00:00",
                    seen[1],
                ),
                ("litellm", "openai", "gpt-4o", "gpt-4o", "no_usage", 7, 0, *seen),
            ],
        )
        _insert(
            connection,
            "llm_source_health",
            [
                ("portkey", "ws", 200, 3, 1, 7, 50, 4, 2, seen[0], seen[1], *["2026-11-01 00:00:00"] * 2, True),
                ("litellm", "proxy", 0, 0, 0, 0, 0, 0, 9, None, None, None, None, False),
            ],
        )
        _insert(
            connection,
            "llm_load_history",
            [
                ("1", "portkey", "ws", "2026-11-01 00:00:00", 3, 100),
                ("2", "portkey", "ws", "2026-11-02 00:00:00", 1, 50),
            ],
        )
    return empty


@pytest.fixture
def october(database: Path) -> Answers:
    return answers(DuckDb(database))


def _screen(shown: RenderableType, width: int = 100) -> str:
    text = StringIO()
    Console(file=text, width=width).print(shown)
    return text.getvalue()


def _part_names(breakdown: Breakdown) -> list[str | None]:
    return [part.name or part.kind for part in breakdown.parts]


def test_the_month_is_the_latest_with_usage(october: Answers) -> None:
    assert october.month == date(2026, 10, 1)
    assert (october.first_usage_date, october.last_usage_date) == (date(2026, 10, 2), date(2026, 10, 31))
    assert october.previous_cost_usd == Decimal("0.5")


@pytest.mark.parametrize("dimension", ["users", "features", "teams", "customers", "models"])
def test_parts_add_up_to_the_total(october: Answers, dimension: str) -> None:
    found: Breakdown = getattr(october, dimension)
    usages = [part.usage for part in found.parts]
    assert sum(u.requests for u in usages) == found.total.requests
    assert sum(u.attempts for u in usages) == found.total.attempts
    assert sum(u.tokens or 0 for u in usages) == found.total.tokens
    assert sum((u.cost_usd or Decimal(0) for u in usages), Decimal(0)) == found.total.cost_usd
    assert sum(u.unpriced_attempts for u in usages) == found.total.unpriced_attempts


def test_top_others_and_unallocated(october: Answers) -> None:
    assert october.total.cost_usd == _TOTAL
    assert _part_names(october.teams) == [
        "beta",
        "alpha",
        "epsilon",
        "delta",
        "zeta",
        "others",
        "unallocated",
    ]
    others = october.teams.parts[5]
    assert others.names == 3
    assert others.usage.cost_usd == Decimal("0.125000000001")
    assert _part_names(october.users) == [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "others",
        "unallocated",
    ]


def test_an_unknown_cost_stays_unknown_and_comes_last(database: Path) -> None:
    parts = answers(DuckDb(database), top=8).teams.parts
    assert [part.name for part in parts][-2:] == ["theta", None]
    assert parts[-2].usage.cost_usd is None
    assert parts[-2].share_of_cost is None


def test_versions_of_a_model_are_one_model(october: Answers) -> None:
    assert _part_names(october.models) == ["openai / gpt-4o", "openai / house-model"]
    assert october.models.parts[0].usage.cost_usd == Decimal("2.5")


def test_quota_breaches_of_the_month(october: Answers) -> None:
    assert (october.quotas.rules, october.quotas.breaches) == (1, 1)
    breach = october.quotas.latest[0]
    assert (breach.subject, breach.request_key, breach.request_model) == ("ann", "r1", "gpt-4o")
    assert "user ann  6,250 of 5,000 tokens per day" in _screen(render(october))


def test_statements_add_up_to_the_bill(october: Answers) -> None:
    found = october.chargeback
    assert [(s.cost_center_id, s.team_id) for s in found.statements] == [
        ("cc-2", "alpha"),
        ("cc-1", "beta"),
        ("cc-1", "theta"),
        ("(unallocated)", "(unallocated)"),
    ]
    assert [(c.cost_center_id, c.total_usd) for c in found.cost_centers] == [
        ("cc-2", Decimal("8.39")),
        ("cc-1", Decimal("7.50")),
        ("(unallocated)", Decimal("3.33")),
    ]
    assert found.is_whole
    assert found.total_usd == found.bill_usd == Decimal("19.22")
    assert found.bill_by_provider[-1] == ("self-hosted", None)
    assert "before each provider was rounded to cents: $19.213333333334" in _screen(render(october)).lower()


def test_statements_that_miss_the_bill_are_not_called_the_bill(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("delete from llm_spend.llm_chargeback_statements where team_id = 'alpha'")
    found = answers(DuckDb(database))
    assert not found.chargeback.is_whole
    assert "The total is not that of the providers, $19.22" in _screen(render(found))


def test_long_statements_are_cut_with_the_rest_in_one_row(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        rows = [("2026-10-01", "cc-3", f"t{i:02}", "0.01", "0.0005", 0) for i in range(30)]
        _insert(connection, "llm_chargeback_statements", rows)
    found = answers(DuckDb(database))
    assert len(found.chargeback.statements) == 34
    assert "14 more statements" in _screen(render(found))


def test_bills_with_every_cause_of_a_difference(october: Answers) -> None:
    assert [bill.provider for bill in october.bills.providers] == ["openai", "anthropic"]
    assert october.bills.causes == ("outside_gateway", "tier_or_batch", "unexplained")
    for bill in october.bills.providers:
        assert (bill.gateway_usd or 0) + sum(bill.causes.values()) == bill.provider_usd
    lines = [line.split() for line in _screen(render(october)).splitlines()]
    assert ["outside", "gateway", "$3.00", "$2.00"] in lines
    assert ["tier", "or", "batch", "-$1.00"] in lines
    assert ["The", "providers", "billed", "$12.75", "$9.00"] in lines


def test_without_a_bill_the_screen_says_how_to_load_one(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("delete from llm_spend.llm_reconciliation where provider_usd is not null")
    assert "No bill is loaded." in _screen(render(answers(DuckDb(database))))


def test_unpriced_models_by_name_other_reasons_in_one(october: Answers) -> None:
    model, usage = october.unpriced.reasons
    assert (model.model, model.attempts, model.tokens) == ("openai / house-model", 5, 1500)
    assert model.first_seen_at == datetime(2026, 8, 1)
    assert (usage.reason, usage.models, usage.attempts, usage.tokens) == ("no_usage", 1, 7, None)
    assert october.unpriced.share_of_attempts == ratio(3, 42)


def test_unallocated_with_reasons(october: Answers) -> None:
    user, team, *_ = october.unallocated.dimensions
    assert (user.attempts, user.cost_usd, user.share_of_cost, user.reasons) == (0, Decimal(0), Decimal(0), ())
    assert (team.attempts, team.cost_usd) == (3, Decimal(3))
    assert (team.share_of_attempts, team.share_of_cost) == (Decimal("0.75"), Decimal("0.75"))
    assert team.reasons == (("missing", 2), ("unknown", 1))


def test_unallocated_usage_without_a_known_cost_is_not_free(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("update llm_spend.fct_llm_requests set team_id = 'alpha' where request_key = 'r2'")
    team = answers(DuckDb(database)).unallocated.dimensions[1]
    assert (team.attempts, team.cost_usd, team.share_of_cost) == (2, None, None)


def test_every_section_says_where_there_is_more(october: Answers) -> None:
    screen = _screen(render(october))
    assert "more: llm_spend.llm_usage_by_user_daily" in screen
    assert screen.count("more: llm_spend.") == 11


@pytest.mark.parametrize("width", [80, 100, 250])
def test_no_number_is_cut_and_no_line_is_longer_than_100(october: Answers, width: int) -> None:
    screen = _screen(render(october), width)
    assert max(len(line.rstrip()) for line in screen.splitlines()) <= 100
    assert "$0.000000000001" in screen
    assert screen.isascii()


def test_names_out_of_logs_are_only_text(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        name = "[bold]x[/bold]\x1b[2J:smile:"
        connection.execute("update llm_spend.llm_usage_by_user_daily set user_id = ? where user_id = 'alpha'", [name])
    screen = _screen(render(answers(DuckDb(database))))
    assert "[bold]x[/bold]?[2J:smile:" in screen


def test_json_is_exact(october: Answers) -> None:
    document = json.loads(json.dumps(to_json(october)), parse_float=lambda text: pytest.fail(f"float {text}"))
    assert document["month"] == "2026-10-01"
    assert Decimal(document["total"]["cost_usd"]) == _TOTAL
    assert document["quotas"]["latest"][0]["breached_at"] == "2026-10-02T10:00:00"
    assert document["teams"]["parts"][-2]["names"] == 3
    assert document["chargeback"]["statements"][2]["total_usd"] is None


def test_any_day_names_its_month(database: Path) -> None:
    september = answers(DuckDb(database), date(2026, 9, 17))
    assert september.month == date(2026, 9, 1)
    assert september.total.cost_usd == Decimal("0.5")
    assert september.previous_cost_usd is None
    assert september.quotas.breaches == 1
    assert "August 2026" not in _screen(render(september))


def test_december_ends_with_the_year(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        _insert(connection, "llm_usage_by_team_daily", [("2026-12-31", "alpha", None, 1, 1, 1, "1", 0, 0)])
        _insert(connection, "llm_usage_by_team_daily", [("2027-01-01", "alpha", None, 1, 1, 1, "2", 0, 0)])
    assert answers(DuckDb(database), date(2026, 12, 31)).total.cost_usd == 1
    assert answers(DuckDb(database)).month == date(2026, 10, 1), "what is dated after its loading is a wrong clock"
    with duckdb.connect(str(database)) as connection:
        connection.execute("update llm_spend.llm_source_health set last_loaded_at = timestamp '2027-01-02'")
    january = answers(DuckDb(database))
    assert (january.total.cost_usd, january.previous_cost_usd) == (2, 1)


def test_a_month_without_usage(database: Path) -> None:
    with pytest.raises(UserError, match=r"no usage in July 2026.*from 2026-09-30 to 2026-10-31"):
        answers(DuckDb(database), date(2026, 7, 1))


def test_a_month_in_which_nothing_has_a_price(empty: Path) -> None:
    with duckdb.connect(str(empty)) as connection:
        _insert(connection, "llm_usage_by_team_daily", [("2026-10-01", "alpha", None, 2, 2, 9, None, 2, 9)])
        _insert(connection, "llm_chargeback_statements", [("2026-10-01", "cc", "alpha", None, None, 2)])
        _insert(connection, "llm_chargeback_lines", [("2026-10-01", "openai", None, None, False)])
    found = answers(DuckDb(empty))
    assert (found.total.cost_usd, found.chargeback.total_usd, found.chargeback.is_whole) == (None, None, True)
    assert "$0.00" not in _screen(render(found)).split("What belongs to nobody?")[0]


@pytest.mark.parametrize("ask", [answers, status])
def test_what_the_user_has_to_do_first(ask: Any, empty: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Nothing was loaded"):
        ask(DuckDb(empty))
    with pytest.raises(UserError, match="There is no database"):
        ask(DuckDb(tmp_path / "none.duckdb"))
    text = tmp_path / "text.duckdb"
    text.write_text("not a database, but long enough to look like one" * 200)
    with pytest.raises(UserError, match="can't be opened"):
        ask(DuckDb(text))
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("create table t (a int)")
    with pytest.raises(UserError, match="Nothing was loaded"):
        ask(DuckDb(other))
    with duckdb.connect(str(other)) as connection:
        connection.execute("create schema llm_spend_raw; create table llm_spend_raw.llm_spend__files (a int)")
    with pytest.raises(UserError, match="llm-spend build"):
        ask(DuckDb(other))


def test_half_built_and_outdated_marts(empty: Path) -> None:
    with duckdb.connect(str(empty)) as connection:
        connection.execute("drop table llm_spend.llm_quota_rules")
    with pytest.raises(UserError, match="lacks llm_quota_rules"):
        answers(DuckDb(empty))
    with duckdb.connect(str(empty)) as connection:
        connection.execute("create table llm_spend.llm_quota_rules (a int)")
        connection.execute("insert into llm_spend.llm_usage_by_team_daily (usage_date) values ('2026-10-01')")
    with pytest.raises(UserError, match="not those of this version"):
        answers(DuckDb(empty))


def test_status_per_source(database: Path) -> None:
    found = status(DuckDb(database), now=datetime(2026, 11, 3, 9))
    litellm, portkey = found.sources
    assert (portkey.files, portkey.size_bytes, portkey.loads) == (4, 150, 2)
    assert portkey.last_loaded_at == datetime(2026, 11, 2)
    assert portkey.event_age == timedelta(days=3)
    assert portkey.unpriced_share == Decimal("0.035")
    assert portkey.without_team_share == Decimal("0.25")
    assert (litellm.files, litellm.unpriced_share, litellm.event_age) == (None, None, None)
    assert found.loads_not_built is None
    assert to_json(found)["sources"][1]["event_age"] == 259200


def test_status_screen(database: Path) -> None:
    screen = _screen(render_status(status(DuckDb(database), now=datetime(2026, 11, 3, 9))))
    assert max(len(line) for line in screen.splitlines()) <= 100
    assert "late" not in screen
    row = next(line for line in screen.splitlines() if line.startswith("portkey / ws"))
    assert row.split()[3:] == [
        "4",
        "200",
        "2026-10-31",
        "3",
        "d",
        "33",
        "h",
        "ago",
        "2",
        "4",
        "3.5%",
        "25.0%",
    ]


def test_status_names_sources_that_are_late(database: Path) -> None:
    """By a day or more, when they are waited for; a row that a wrong clock dates ahead makes nobody late."""
    of_others = ("kong", "langfuse", "otel", "own")
    known = ("2026-10-30 23:59:59", "2026-10-31 00:00:01", "2026-10-29 00:00:00", None)
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "update llm_spend.llm_source_health set known_to = timestamp '2026-10-31 03:00:00',"
            " last_loaded_at = timestamp '2026-10-31 03:00:00' where source_system = 'portkey'"
        )
        for source, known_to in zip(of_others, known, strict=True):
            numbers = [0] * 7
            row = (source, "one", *numbers, None, None, "2026-10-31 01:00:00", known_to, source != "otel")
            _insert(connection, "llm_source_health", [row])
        _insert(connection, "llm_usage_by_team_daily", [("2027-01-01", "alpha", None, 1, 1, 10, "0.5", 0, 0)])
    found = status(DuckDb(database), now=datetime(2026, 11, 3, 9))
    assert [source.source for source in found.sources if source.is_late] == ["kong"]
    assert to_json(found)["sources"][0]["known_to"] == "2026-10-30T23:59:59"
    screen = _screen(render_status(found))
    assert "kong / one is late: its usage is known up to 2026-10-30 23:59." in screen
    assert screen.count("is late") == 1 and screen.count("Forecasts and whole months end there") == 1


def test_status_says_what_is_not_built_yet(database: Path, empty: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("create schema llm_spend_raw")
        connection.execute("create table llm_spend_raw.llm_spend__files (_dlt_load_id text)")
        connection.execute("create table llm_spend_raw._dlt_loads (load_id text, status bigint)")
        connection.execute("insert into llm_spend_raw.llm_spend__files values ('1'), ('2'), ('3'), ('3'), ('broken')")
        connection.execute("insert into llm_spend_raw._dlt_loads values ('1', 0), ('2', 0), ('3', 0), ('broken', 1)")
    found = status(DuckDb(database))
    assert found.loads_not_built == 1
    assert "1 load is not in the tables yet: run `llm-spend build`." in _screen(render_status(found))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "-"),
        ("0", "$0.00"),
        ("0E-12", "$0.00"),
        ("1234567.005", "$1,234,567.01"),
        ("0.01", "$0.01"),
        ("0.0099", "$0.0099"),
        ("0.00999", "$0.01"),
        ("0.000000000001", "$0.000000000001"),
        ("-3.5", "-$3.50"),
        ("12345678901234567890123456.785", "$12,345,678,901,234,567,890,123,456.79"),
    ],
)
def test_usd(amount: str | None, text: str) -> None:
    assert usd(None if amount is None else Decimal(amount)) == text


def test_shares_ages_and_names() -> None:
    assert ratio(1, 3) == Decimal("0.333333")
    assert (ratio(1, 0), ratio(None, 3)) == (None, None)
    assert [percent(Decimal(s)) for s in ("0", "0.0004", "0.1235", "0.9999", "1")] == [
        "0.0%",
        "<0.1%",
        "12.4%",
        ">99.9%",
        "100.0%",
    ]
    assert [age(timedelta(minutes=m)) for m in (-1, 0, 59, 60, 2880)] == [
        "in the future",
        "0 min",
        "59 min",
        "1 h",
        "2 d",
    ]
    assert printable("a\x1b\nb") == "a??b"
