"""The database of a LiteLLM proxy: a real PostgreSQL server with the tables of its package, loaded for real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import litellm_api
from llm_spend.sources.litellm import SPEND_LOGS
from llm_spend.sources.litellm_database import DATABASE, Address, LiteLLMDatabase, spend_logs_sql
from llm_spend.sources.shared_tables import observed, totals_format
from llm_spend.windows import LoadedWindow, Window, plan

from .conftest import Warehouse
from .fake_litellm import PASSWORD, SCHEMA, SECRET, LiteLLMScene, insert, log, postgres, refusal
from .fake_server import WHOLE_DAY

NOON = datetime(2026, 11, 2, 12, 15)
IN_A_WEEK = datetime(2026, 11, 7, 3)
TOTALS = totals_format("litellm")


@dataclass
class Server:
    """A PostgreSQL server: the address of its administrator, and a connection of his to the tables of a proxy."""

    address: str
    proxy: psycopg.Connection[Any]

    def write(self, table: str, *rows: dict[str, Any]) -> None:
        insert(self.proxy, table, *rows)

    def run(self, statement: str) -> None:
        self.proxy.execute(statement)


@pytest.fixture(scope="module")
def empty_server() -> Iterator[Server]:
    # The path of a socket is short, and the server may have to run as another user.
    with TemporaryDirectory(prefix="llm_spend_pg_") as folder:
        Path(folder).chmod(0o755)
        with postgres(Path(folder)) as address, psycopg.connect(address, autocommit=True) as connection:
            yield Server(address, connection)


@pytest.fixture
def server(empty_server: Server) -> Server:
    """The server with the tables of a proxy, and no rows in them."""
    tables = SCHEMA.read_text(encoding="utf-8")
    empty_server.run(f"DROP SCHEMA public CASCADE; DROP ROLE IF EXISTS reader; CREATE SCHEMA public; {tables}")
    return empty_server


@dataclass
class Database(LiteLLMScene):
    """A proxy's database and ours. `clock`: what time it is for the one who reads it."""

    server: Server = field(default_factory=lambda: Server("", None))  # type: ignore[arg-type]
    clock: list[datetime] = field(default_factory=lambda: [IN_A_WEEK])
    address: str = ""

    def ids(self) -> list[str]:
        """What counts: the rows of loads that no later one replaces."""
        superseded = (
            "select older._dlt_load_id from raw.llm_spend__files as older, raw.llm_spend__files as newer"
            " where older._dlt_load_id < newer._dlt_load_id and older.window_start >= newer.window_start"
            " and older.window_end <= newer.window_end and older.entity = newer.entity"
        )
        query = f"select id from raw.litellm__payloads where _dlt_load_id not in ({superseded}) order by 1"
        return [row[0] for row in self.warehouse.rows(query)]


@pytest.fixture
def scene(server: Server, make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database(DATABASE, make_warehouse("litellm-database"), [], server, address=server.address)

    @contextmanager
    def opened(instance: str) -> Iterator[LiteLLMDatabase]:
        address = Address.of(made.address)
        with LiteLLMDatabase(address, clock=lambda: made.clock[-1], sleep=made.pauses.append) as database:
            yield database

    made.source = replace(DATABASE, open=opened)
    monkeypatch.setattr(litellm_api, "api_source", lambda instance: made.source)
    return made


def only(scene: Database, *names: str) -> None:
    """Leave out streams and lists that a test is not about: each of them is a load."""
    scene.source = replace(
        scene.source,
        streams=tuple(each for each in scene.source.streams if each.name in ("requests", *names)),
        listings=tuple(each for each in scene.source.listings if each.name in names),
    )


def test_rows_become_payloads(scene: Database) -> None:
    usage = {
        "usage_object": {
            "prompt_tokens_details": {"cached_tokens": 70, "audio_tokens": 9},
            "completion_tokens_details": {"reasoning_tokens": 8},
            "service_tier": "flex",
        }
    }
    older = {"usage_object": None, "additional_usage_values": {"cache_read_input_tokens": 60}}
    tags = {"feature": 'quo"ted', "path": "back\\slash", "text": "line\nend é"}
    budget = {"error_rate_limit_type": "budget", "error_budget_entity_id": "t"}
    scene.server.write(
        "SpendLogs",
        log("plain", spend=0.1 + 0.2),
        log("tiny", spend=1.5e-7),
        log("usage", metadata=usage),
        log("older", metadata=older),
        log("tags", metadata={"spend_logs_metadata": tags}),
        log("no-object", metadata={"spend_logs_metadata": ["a"]}),
        log("hit", cache_hit="True", spend=0),
        log("unsure", cache_hit="None"),
        log("", litellm_call_id="call-of-nobody"),
        log("stream", completionStartTime=datetime(2026, 11, 2, 10, 0, 0, 250_000)),
        log("group", metadata={"original_model_group": "smart", "is_silent_experiment": True}),
        log("morning", "00:00:00"),
        log("evening", "2026-11-03T00:00:00"),
        log("budget", **refusal("BudgetExceededError", "422", **budget)),
        log("wording", **refusal("RateLimitError", "tokens_exceeded", error_rate_limit_category="litellm_rate_limit")),
    )
    scene.server.run(
        f"""UPDATE "LiteLLM_SpendLogs" SET metadata = '["{SECRET}"]', cache_hit = '' WHERE request_id = 'morning'"""
    )
    rows = {row["id"]: row for row in scene.read(SPEND_LOGS, scene.fetch())}
    assert len(rows) == 14 and "evening" not in rows
    assert [row["_problem"] for row in rows.values()] == [None] * 14

    def of(record_id: str, *columns: str) -> Any:
        found = tuple(rows[record_id][column] for column in columns)
        return found[0] if len(found) == 1 else found

    times, day = ("start_time", "end_time", "updated_at"), datetime(2026, 11, 2, 10)
    assert of("plain", *times) == (day, day + timedelta(seconds=2), day + timedelta(seconds=30))
    counts = of("plain", "prompt_tokens", "completion_tokens", "response_cost", "response_time")
    assert counts == (100, 20, Decimal("0.300000000000"), Decimal(2))
    who = of("plain", "api_key_hash", "api_key_alias", "key_owner_user_id", "team_id", "team_alias", "end_user")
    assert who == ("hash-of-key-1", "chat-backend", "svc-chat", "team-1", "search", "ann@acme.io")
    assert of("plain", "trace_id", "litellm_call_id", "status") == ("trace-plain", "call-plain", "success")
    assert of("tiny", "response_cost") == Decimal("0.000000150000")
    columns = ("cache_read_tokens", "reasoning_tokens", "service_tier", "other_usage")
    assert of("usage", *columns) == (70, 8, "flex", '{"input_audio_tokens":9}')
    assert of("older", "cache_read_tokens") == 60
    assert json.loads(of("tags", "metadata")) == tags
    assert of("no-object", "metadata", "_metadata_error") == (None, True)
    assert of("hit", "is_cache_hit", "response_cost") == (True, Decimal(0))
    assert [of(name, "is_cache_hit") for name in ("unsure", "morning", "plain")] == [None, None, False]
    assert of("call-of-nobody", "litellm_call_id") == "call-of-nobody"
    assert of("stream", "completion_start_time") == datetime(2026, 11, 2, 10, 0, 0, 250_000)
    assert of("group", "original_model_group", "is_shadow") == ("smart", True)
    columns = ("status", "error_code", "error_class", "error_rate_limit_type", "error_budget_entity_id")
    assert of("budget", *columns) == ("failure", 422, "BudgetExceededError", "budget", "t")
    columns = ("error_code", "error_class", "error_rate_limit_category")
    assert of("wording", *columns) == (None, "RateLimitError", "litellm_rate_limit")


def test_no_body_is_asked_for(scene: Database) -> None:
    blocked = {"guardrail_information": [{"guardrail_status": "guardrail_intervened", "guardrail_response": SECRET}]}
    scene.server.write("SpendLogs", log("a", **refusal("BadRequestError", "400")), log("b", metadata=blocked))
    rows = {row["request_id"]: row for row in scene.fetch()}
    assert SECRET not in json.dumps(rows)
    assert rows["b"]["metadata"]["guardrail_status"] == "guardrail_intervened"
    assert rows["a"]["metadata"]["error_information"]["error_class"] == "BadRequestError"


def test_of_a_cache_key_only_a_hash_is_asked_for(scene: Database) -> None:
    keys = {"a": "ns:" + "AB" * 32, "b": "Cache OFF", "c": f"model: gpt-4o messages: {SECRET}"}
    scene.server.write("SpendLogs", *[log(name, cache_key=key) for name, key in keys.items()])
    rows = {row["request_id"]: row["cache_key"] for row in scene.fetch()}
    assert rows == {"a": "ab" * 32, "b": None, "c": None}


def test_an_empty_window_is_one(scene: Database) -> None:
    assert scene.fetch() == []
    assert scene.fetch(stream="totals") == []


def waiting(scene: Database, settle: timedelta) -> None:
    """Leave out what is not about requests, each of which is a load, and what is newer than a time."""
    stream = replace(scene.source.streams[0], settle=settle)
    scene.source = replace(scene.source, streams=(stream,), listings=())


def test_a_run_goes_on_where_it_was_killed_and_finds_what_changes_later(
    scene: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.server.write("SpendLogs", log("a"), log("gone"), log("b", "2026-11-03T05:00:00"))
    waiting(scene, timedelta(hours=30))
    copied = LiteLLMDatabase._copy

    def killed(self: LiteLLMDatabase, query: str, spool: Spool) -> None:
        copied(self, query, spool)
        if "2026-11-03 00:00" in query.split("startTime")[-2]:
            raise KeyboardInterrupt

    now = datetime(2026, 11, 4, 12)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(LiteLLMDatabase, "_copy", killed)
        scene.load(now)
    assert scene.ids() == ["a", "gone"]
    assert scene.load(now).windows == 1
    assert scene.ids() == ["a", "b", "gone"]
    # The day is asked for once more because one of its rows has changed: the others are as they are now, too.
    scene.server.run(
        """DELETE FROM "LiteLLM_SpendLogs" WHERE request_id = 'gone';
        UPDATE "LiteLLM_SpendLogs" SET spend = 7, updated_at = '2026-11-04 13:00' WHERE request_id = 'a'"""
    )
    scene.clock.append(now + timedelta(hours=2))
    waiting(scene, timedelta(hours=32))
    report = scene.load(now + timedelta(hours=2))
    assert (report.windows, report.rows, report.quarantined, report.warnings) == (1, 1, 0, ())
    assert scene.ids() == ["a", "b"]
    costs = scene.warehouse.rows("select response_cost from raw.litellm__payloads where id = 'a' order by updated_at")
    assert [cost for (cost,) in costs] == [Decimal("0.0000015"), Decimal(7)]
    assert scene.load(now + timedelta(hours=2)).windows == 0
    scene.warehouse.assert_nowhere(SECRET)
    scene.warehouse.assert_nowhere(PASSWORD)


@pytest.mark.parametrize(
    "lacking",
    [
        ("updated_at", "litellm_call_id", "request_duration_ms", "status", "session_id"),
        ("updated_at", "metadata", "model_group", "end_user", "team_id"),
    ],
)
def test_tables_of_other_versions_are_read(scene: Database, lacking: tuple[str, ...]) -> None:
    dropped = ", ".join(f'DROP COLUMN "{name}"' for name in lacking)
    added = f"""ADD COLUMN later_column text DEFAULT '{SECRET}', ADD COLUMN "newTokens" integer DEFAULT 7"""
    scene.server.run(f"""ALTER TABLE "LiteLLM_SpendLogs" {dropped}, {added}""")
    for table in ("BudgetWindowSpend", "DeletedTeamTable", "TagTable", "DailyEndUserSpend"):
        scene.server.run(f'DROP TABLE "LiteLLM_{table}"')
    scene.server.write("SpendLogs", {name: value for name, value in log("a").items() if name not in lacking})
    (row,) = scene.fetch()
    assert (row["request_id"], row["spend"], row.keys() & {*lacking, "later_column"}) == ("a", 1.5e-6, set())
    # The loader tells of a number that it does not know, and keeps it.
    assert (row.keys() - SPEND_LOGS.file_fields.keys(), row["newTokens"]) == ({"newTokens"}, 7)
    with scene.source.open("default") as database:
        assert database.changed_days(datetime(2026, 11, 1)) == {}
    assert "does not tell of late changes" in scene.check()
    assert scene.lines("members") == scene.lines("limits") == scene.fetch(stream="totals") == []


def test_another_schema_is_named_in_the_address(scene: Database) -> None:
    scene.server.run("ALTER SCHEMA public RENAME TO litellm; CREATE SCHEMA public")
    scene.server.write("SpendLogs")
    with pytest.raises(UserError, match="no table LiteLLM_SpendLogs"):
        scene.fetch()
    # What Prisma takes besides is none of PostgreSQL's own options.
    scene.address += "&schema=litellm&connection_limit=5&pgbouncer=true"
    assert scene.fetch() == []
    scene.server.run("DROP SCHEMA litellm CASCADE")


def test_a_wrong_password_is_told_and_not_shown(scene: Database) -> None:
    scene.address = scene.address.replace(PASSWORD, "wr0ng-pass")
    with pytest.raises(UserError, match="password authentication failed") as refused:
        scene.check()
    assert "Check the user and the password" in refused.value.remedy
    assert "wr0ng-pass" not in str(refused.value)
    assert scene.pauses == []


@pytest.mark.parametrize("url", ["https://x:sEcret@host/db", "postgresql://u:sE cret%zz@host:port/db", "sEcret"])
def test_what_is_no_address_is_not_shown(url: str) -> None:
    with pytest.raises(UserError, match="no address of a PostgreSQL database") as refused:
        Address.of(url)
    assert "sE" not in str(refused.value)


def test_an_address_is_read_as_the_proxy_has_it() -> None:
    address = Address.of("postgresql://llm:p%40ss@db.acme.io:6432/litellm?sslmode=require&schema=x&pool_timeout=3")
    assert address.schema == "x" and "p%40ss" not in repr(address)
    assert address.settings == {
        **{"sslmode": "require", "host": "db.acme.io", "port": "6432"},
        **{"user": "llm", "password": "p@ss", "dbname": "litellm"},
    }
    assert (
        address.without_secrets("p@ss at postgresql://llm:p%40ss@db.acme.io")
        == "*** at postgresql://llm:***@db.acme.io"
    )


def test_a_server_that_does_not_answer_is_asked_again(scene: Database, tmp_path: Path) -> None:
    scene.address = f"postgresql://postgres:{PASSWORD}@/postgres?host={tmp_path}"
    with pytest.raises(UserError, match="can't be read") as failed:
        scene.fetch()
    assert "Check the address" in failed.value.remedy and PASSWORD not in str(failed.value)
    assert len(scene.pauses) == 2


def test_a_connection_that_breaks_is_made_again(scene: Database) -> None:
    scene.server.write("SpendLogs", log("a"))
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'llm-spend'"
    with scene.source.open("default") as database:
        assert database.check() == "the spend log can be read"
        scene.server.run(end)
        assert "updated_at" in database._columns_of_log()
        assert database.changed_days(datetime(2026, 11, 1)) == {}
    assert scene.pauses == [1.0]


def reader(scene: Database, *grants: str) -> None:
    """Read as a user with these rights only."""
    scene.server.run("CREATE ROLE reader LOGIN PASSWORD 'r3ader'; GRANT USAGE ON SCHEMA public TO reader")
    for grant in grants:
        scene.server.run(f"GRANT {grant} TO reader")
    scene.address = scene.address.replace("postgres:" + PASSWORD, "reader:r3ader")


def test_the_right_to_columns_is_enough_and_other_tables_are_told(scene: Database) -> None:
    scene.server.write("SpendLogs", log("a"))
    columns = '"request_id", "startTime", "endTime", spend, model, prompt_tokens, completion_tokens, metadata'
    reader(scene, f'SELECT ({columns}) ON "LiteLLM_SpendLogs"')
    assert [row["request_id"] for row in scene.fetch()] == ["a"]
    for ask in (lambda: scene.lines("members"), lambda: scene.lines("limits"), lambda: scene.fetch(stream="totals")):
        with pytest.raises(NotAllowedError, match="may not read LiteLLM_") as refused:
            ask()
        assert "GRANT SELECT ON" in refused.value.remedy


def test_the_rights_that_the_documentation_grants_are_enough(people: Database) -> None:
    page = (Path(__file__).parents[2] / "docs" / "api-sources.md").read_text(encoding="utf-8")
    before = [people.lines(listing.name) for listing in people.source.listings]
    people.server.run(page.split("```sql\n")[1].split("```")[0].replace("llm_spend", "reader").replace("…", "r3ader"))
    people.server.run("GRANT USAGE ON SCHEMA public TO reader")
    people.address = people.address.replace("postgres:" + PASSWORD, "reader:r3ader")
    assert [people.lines(listing.name) for listing in people.source.listings] == before
    people.server.write("SpendLogs", log("a"))
    assert len(people.fetch()) == 1 and people.fetch(stream="totals") == []
    with psycopg.connect(people.address) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute('SELECT messages FROM "LiteLLM_SpendLogs"')


def test_without_the_right_to_the_log_nothing_is_loaded(scene: Database) -> None:
    reader(scene)
    with pytest.raises(NotAllowedError, match="may not read LiteLLM_SpendLogs") as refused:
        scene.fetch()
    assert "without messages, response and proxy_server_request" in refused.value.remedy


def test_sql_names_no_column_of_bodies() -> None:
    statement = spend_logs_sql(["request_id", "startTime", "messages", "response", "proxy_server_request"], WHOLE_DAY)
    assert not any(name in statement for name in ("messages", "response", "proxy_server_request"))
    part = Window(datetime(2026, 11, 2, 9, 30), datetime(2026, 11, 2, 10))
    assert "timestamp '2026-11-02 09:30:00'" in spend_logs_sql(["startTime"], part)


def daily(date: str, **fields: Any) -> dict[str, Any]:
    counts = {"api_requests": 3, "successful_requests": 2, "failed_requests": 1, "cache_read_input_tokens": 40}
    tokens = {"prompt_tokens": 100, "completion_tokens": 20, "spend": 0.1}
    return {
        **{"id": json.dumps(fields), "date": date, "api_key": "k1", "model": "gpt-4o", "updated_at": NOON},
        **counts,
        **tokens,
        **fields,
    }


def test_totals_are_what_the_proxy_added_up(scene: Database) -> None:
    day = "2026-11-02"
    scene.server.write(
        "DailyUserSpend",
        daily(day, user_id="ann", spend=0.1),
        daily(day, user_id="bob", spend=0.2, model="o3"),
        daily(day, user_id="", spend=1e-9, api_key="k2"),
        daily("2026-11-01", user_id="ann", spend=100),
    )
    scene.server.write("DailyTeamSpend", daily(day, team_id="search"))
    scene.server.write("DailyTagSpend", daily(day, tag="prod"), daily(day, tag="red"))
    rows = scene.fetch(stream="totals")
    assert {row["_problem"] for row in scene.read(TOTALS, rows)} == {None}
    found = {(row["dimension"], row["member"]): row for row in rows}
    assert sorted(map(str, found)) == sorted(
        map(str, [("all", None), ("user", "ann"), ("user", "bob"), ("user", None), ("model", "gpt-4o"), ("model", "o3"),
        ("api_key", "k1"), ("api_key", "k2"), ("team", "search"), ("tag", "prod"), ("tag", "red")])
    )  # fmt: skip
    whole = found["all", None]
    assert Decimal(whole["cost_amount"]) == Decimal("0.300000001")
    assert (whole["requests"], whole["errors"], whole["input_tokens"], whole["total_tokens"]) == (
        "9",
        "3",
        "300",
        "360",
    )
    assert (whole["bucket_start"], whole["bucket_end"]) == ("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z")
    assert whole["raw"] == {"cache_read_input_tokens": "120", "cache_creation_input_tokens": "0"}


BUDGET = {"created_by": "x", "updated_by": "x"}
RESET = datetime(2026, 12, 1)


@pytest.fixture
def people(scene: Database) -> Database:
    write = scene.server.write
    write("BudgetTable", {"budget_id": "b1", "max_budget": 5.5, "budget_duration": "1d", "rpm_limit": 60, **BUDGET})
    raised = {"temp_budget_increase": 2, "temp_budget_expiry": IN_A_WEEK + timedelta(days=1)}
    write("BudgetTable", {"budget_id": "b2", "max_budget": 10, **raised, **BUDGET})
    metadata = {"cost_center": "c-7", "logging": [{"callback_vars": {"secret": SECRET}}], "api_key": SECRET}
    write(
        "VerificationToken",
        {
            **{"token": "hash-1", "key_name": "sk-...cret", "key_alias": "chat", "user_id": "ann", "team_id": "search"},
            **{"max_budget": 100, "budget_duration": "30d", "budget_reset_at": RESET, "spend": 12.25},
            **{"total_spend": 300, "metadata": metadata, "tpm_limit": 1000, "tpd_limit": 5000},
            "model_max_budget": {"gpt-4o": {"budget_limit": 3, "time_period": "7d"}},
            "budget_limits": [{"budget_duration": "1h", "max_budget": 2, "reset_at": "2026-11-07T04:00:00Z"}],
        },
        {"token": "hash-2", "key_alias": "old", "blocked": True, "budget_id": "b1", "spend": 6},
    )  # fmt: skip
    write(
        "DeletedVerificationToken",
        {"id": "d1", "token": "hash-3", "key_alias": "gone", "team_id": "ml", "deleted_at": NOON},
    )
    write(
        "TeamTable",
        {
            "team_id": "search",
            "team_alias": "Search",
            "admins": [],
            "members": [],
            "models": ["gpt-4o"],
            "soft_budget": 80,
            "spend": 81,
        },
    )
    write("DeletedTeamTable", {"id": "d2", "team_id": "ml", "team_alias": "ML", "deleted_at": NOON})
    write(
        "UserTable",
        {"user_id": "ann", "user_email": "ann@acme.io", "password": SECRET, "teams": ["search"], "models": []},
    )
    write("EndUserTable", {"user_id": "customer-1", "alias": "Customer", "budget_id": "b1", "spend": 1})
    write(
        "OrganizationTable",
        {"organization_id": "o1", "organization_alias": "Acme", "budget_id": "b2", "spend": 12, "models": [], **BUDGET},
    )
    write("ProjectTable", {"project_id": "p1", "project_alias": "Bot", "team_id": "search", "models": [], **BUDGET})
    write("TagTable", {"tag_name": "prod", "budget_id": "b1", "spend": 2, "models": []})
    write("TeamMembership", {"user_id": "ann", "team_id": "search", "budget_id": "b2", "spend": 3, "total_spend": 9})
    counted = {"entity_type": "key", "entity_id": "hash-1", "window_duration": "1h"}
    write("BudgetWindowSpend", {**counted, "window_start": datetime(2026, 11, 7, 3), "spend": 1.5, "updated_at": NOON})
    return scene


def test_members_are_those_of_all_tables(people: Database) -> None:
    rows = people.lines("members")
    found = {(row["member_type"], row["member_id"]): row for row in rows}
    assert len(rows) == len(found) == 9
    key = found["api_key", "hash-1"]
    assert (key["name"], key["owner_type"], key["owner_id"], key["team_ids"]) == ("chat", "user", "ann", ["search"])
    assert key["metadata"] == {"cost_center": "c-7"}
    assert found["api_key", "hash-2"]["status"] == "blocked"
    gone = found["api_key", "hash-3"]
    assert (gone["is_deleted"], gone["status"], gone["team_ids"], gone["deleted_at"]) == (
        True,
        "deleted",
        ["ml"],
        "2026-11-02T12:15:00Z",
    )
    assert (found["team", "ml"]["name"], found["team", "ml"]["is_deleted"]) == ("ML", True)
    assert (found["user", "ann"]["email"], found["user", "ann"]["team_ids"]) == ("ann@acme.io", ["search"])
    assert (found["project", "p1"]["owner_type"], found["project", "p1"]["owner_id"]) == ("team", "search")
    assert {"end_user", "organization"} <= {kind for kind, _ in found}
    assert not any(secret in json.dumps(rows) for secret in (SECRET, "sk-"))


def test_limits_are_those_of_owners_and_of_shared_budgets(people: Database) -> None:
    found = {row["limit_id"]: row for row in people.lines("limits")}
    assert sorted(found) == [
        "api_key:hash-1:max_budget", "api_key:hash-1:max_budget:1h", "api_key:hash-1:max_budget:gpt-4o",
        "api_key:hash-1:tpd_limit", "api_key:hash-1:tpm_limit", "api_key:hash-2:max_budget", "api_key:hash-2:rpm_limit",
        "end_user:customer-1:max_budget", "end_user:customer-1:rpm_limit", "membership:search:ann:max_budget",
        "organization:o1:max_budget", "tag:prod:max_budget", "tag:prod:rpm_limit", "team:search:soft_budget",
    ]  # fmt: skip
    names = ("limit_kind", "measure", "limit_value", "limit_unit", "window_unit", "window_length", "enforcement")
    of_key = {limit_id[15:]: row for limit_id, row in found.items() if "hash-1" in limit_id}
    assert {limit_id: tuple(row[name] for name in names) for limit_id, row in of_key.items()} == {
        "max_budget": ("budget", "cost", "100", "usd", "month", 1, "enforce"),
        "max_budget:1h": ("budget", "cost", "2", "usd", "hour", 1, "enforce"),
        "max_budget:gpt-4o": ("budget", "cost", "3", "usd", "week", 1, "enforce"),
        "tpm_limit": ("rate_limit", "tokens", "1000", "tokens", "minute", 1, "enforce"),
        "tpd_limit": ("rate_limit", "tokens", "5000", "tokens", "day", 1, "enforce"),
    }
    assert of_key["max_budget:gpt-4o"]["scope"] == {"api_key": "hash-1", "model": "gpt-4o"}
    assert of_key["max_budget"]["next_reset_at"] == "2026-12-01T00:00:00Z"
    assert found["api_key:hash-2:max_budget"]["status"] == "blocked"
    membership = found["membership:search:ann:max_budget"]
    assert (membership["scope"], membership["window_unit"]) == ({"team": "search", "user": "ann"}, "lifetime")
    assert membership["limit_value"] == "12"
    assert found["team:search:soft_budget"]["enforcement"] == "soft"
    people.clock.append(IN_A_WEEK + timedelta(days=2))
    (later,) = [row for row in people.lines("limits") if row["limit_id"].startswith("membership")]
    assert later["limit_value"] == "10"


def test_usage_is_what_was_counted_in_the_period(people: Database) -> None:
    found = {row["limit_id"]: row for row in people.lines("limit_usage")}
    month = found["api_key:hash-1:max_budget"]
    counted = (month["used_value"], month["limit_value"], month["status"], month["raw"]["total_spend"])
    assert counted == ("12.25", "100", "active", 300)
    assert (month["period_start"], month["period_end"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert found["api_key:hash-2:max_budget"]["status"] == "exhausted"
    hour = found["api_key:hash-1:max_budget:1h"]
    assert (hour["used_value"], hour["period_start"]) == ("1.5", "2026-11-07T03:00:00Z")
    assert found["team:search:soft_budget"]["status"] == "active"
    assert not any("tpm" in limit_id or "gpt-4o" in limit_id for limit_id in found)


@pytest.mark.parametrize("listing", ["members", "limits", "limit_usage"])
def test_lists_have_the_columns_of_their_tables(people: Database, listing: str) -> None:
    (found,) = (each for each in people.source.listings if each.name == listing)
    lines = people.lines(listing)
    rows = people.read(observed(found.format, NOON), lines)
    assert len(rows) == len(lines) > 5 and {row["_problem"] for row in rows} == {None}
    assert not {name for line in lines for name in line} - set(found.format.fields)


def test_days_that_changed_after_they_were_asked_for_again(scene: Database) -> None:
    late = datetime(2026, 11, 6, 8)
    scene.server.write(
        "SpendLogs",
        log("in-time", updated_at=datetime(2026, 11, 3, 9, 59, 59)),
        log("late", "2026-11-03T10:00:00", updated_at=late),
        log("just-late", "2026-11-04T10:00:00", updated_at=datetime(2026, 11, 5, 10)),
        log("long-ago", "2026-10-20T10:00:00", updated_at=late),
    )
    with scene.source.open("default") as database:
        just = datetime(2026, 11, 5, 10)
        assert database.changed_days(datetime(2026, 11, 1)) == {date(2026, 11, 3): late, date(2026, 11, 4): just}
        assert database.changed_days(late + timedelta(seconds=1)) == {}


def test_a_cost_that_comes_after_its_hour_was_asked_for_again_is_found(scene: Database) -> None:
    day, hour, look_back = datetime(2026, 11, 2), timedelta(hours=1), DATABASE.streams[0].look_back[0]
    scene.server.write("SpendLogs", log("batch", "2026-11-02T01:30:00", updated_at=datetime(2026, 11, 3, 12)))
    hours = [Window(day + n * hour, day + (n + 1) * hour) for n in range(24)]
    once_more = [LoadedWindow(each, each.end + look_back + hour / 4, 1) for each in hours]
    after_that = [replace(each, asked_at=datetime(2026, 11, 4)) for each in once_more]
    with scene.source.open("default") as database:
        for loaded, due in ((once_more, [Window(day, day + 11 * hour)]), (after_that, [])):
            changed = database.changed_days(min(each.asked_at for each in loaded))
            now, settle = datetime(2026, 11, 4, 1), timedelta(hours=25)
            assert plan(loaded, day, now, settle=settle, look_back=(look_back,), changed=changed) == due
