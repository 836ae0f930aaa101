"""`llm-spend doctor`: every missing right is named with its remedy, hides nothing else, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dlt.common.configuration.specs.gcp_credentials import GcpDefaultCredentials

from llm_spend import doctor
from llm_spend.destinations import BigQuery, Destination, Snowflake
from llm_spend.doctor import TABLE_PREFIX, Check, examine
from llm_spend.errors import UserError
from llm_spend.settings import Settings, SourceSettings
from tests.unit.test_cli import run

NOTHING = "(?!)"
MOMENT = datetime(2026, 1, 31, 23, 59, 59, 123456)
ARRIVED = (MOMENT, MOMENT, Decimal("12345678901234567890123456.123456789012"), '{"team": "x"}')


class FakeSession:
    """A warehouse that refuses the statements that match `refuses`, and remembers what is there."""

    def __init__(self, there: set[str], refuses: str = NOTHING, arrived: tuple[Any, ...] = ARRIVED) -> None:
        self.there = set(there)
        self.refuses = refuses
        self.arrived = arrived
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if re.search(self.refuses, statement):
            raise RuntimeError(f"Insufficient privileges for {statement.split()[0]}\nthe rest of a long message")
        match statement.split():
            case ["create", _, name, *_]:
                self.there.add(name)
            case ["drop", _, "if", "exists", name] | ["drop", _, name]:
                self.there.discard(name)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self.execute(sql)
        if sql.startswith("select current_"):
            return [(f"THE_{sql.removeprefix('select current_').removesuffix('()').upper()}",)]
        if "session_user" in sql:
            return [("robot@p.iam.gserviceaccount.com",)]
        if "to_char" in sql:
            return [("2026-01-31 23", "2026-01-31 23")]
        return [self.arrived]

    def has_schema(self, schema: str) -> bool:
        return schema in self.there

    def create_schema(self, schema: str) -> None:
        self.execute(f"create schema {schema}")

    def load(self, table: str, kinds: Mapping[str, str], row: Mapping[str, Any]) -> None:
        self.execute(f"copy into {table}")
        assert kinds.keys() == row.keys()


class Fake:
    """What a destination and its fake need of each other."""

    session_: FakeSession

    def dlt_destination(self) -> None: ...

    @contextmanager
    def session(self) -> Iterator[FakeSession]:
        yield self.session_

    def tables(self, schema: str) -> frozenset[str]:
        return frozenset(name.partition(".")[2] for name in self.session_.there if name.startswith(f"{schema}."))


class FakeSnowflake(Fake, Snowflake):  # type: ignore[misc]
    def dbt_environment(self) -> dict[str, str]:
        public = {"SNOWFLAKE_ACCOUNT": "acme", "SNOWFLAKE_DATABASE": "my-db", "LLM_SPEND_DESTINATION": "snowflake"}
        return {**public, "DBT_ENV_SECRET_SNOWFLAKE_PASSWORD": "opensesame"}


class FakeBigQuery(Fake, BigQuery):  # type: ignore[misc]
    def dbt_environment(self) -> dict[str, str]:
        return {"BIGQUERY_PROJECT": "p", "BIGQUERY_LOCATION": "EU"}


THERE = {"llm_spend_raw", "llm_spend_raw.portkey__logs", "llm_spend_raw._dlt_loads", "llm_spend"}


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Examine a fake; its session and its checks by name."""

    def examine_fake(
        session: FakeSession, fake: type[Destination] = FakeSnowflake, **settings: Any
    ) -> dict[str, Check]:
        destination = fake()
        destination.session_ = session  # type: ignore[attr-defined]
        monkeypatch.setattr(doctor, "destination_of", lambda settings: destination)
        checks = list(examine(Settings(**settings)))
        assert len({check.name for check in checks}) == len(checks)
        return {check.name: check for check in checks}

    return examine_fake


def failed(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.status == "failed"}


def skipped(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.status == "skipped"} - {"sources", "seeds"}


@pytest.mark.parametrize("fake", [FakeSnowflake, FakeBigQuery])
def test_all_is_tried_and_all_is_left_as_it_was(examined: Any, fake: type[Destination]) -> None:
    session = FakeSession(THERE)
    checks = examined(session, fake)
    assert failed(checks) == skipped(checks) == set()
    assert session.there == THERE
    for schema in ("llm_spend_raw", "llm_spend_seeds", "llm_spend_internal", "llm_spend"):
        for what in ("schema", "create table", "insert", "read", "delete", "drop table"):
            assert f"{schema}: {what}" in checks
    assert "llm_spend_internal: create view" in checks
    assert checks["llm_spend_raw: tables that are there"].found == "2 tables can be written to"
    assert checks["llm_spend_seeds: leave it as it was"].found == "dropped again"
    assert "llm_spend: leave it as it was" not in checks  # it was there


def test_nothing_that_existed_is_changed(examined: Any) -> None:
    session = FakeSession(THERE)
    examined(session)
    own = re.compile(
        rf"{TABLE_PREFIX}|^select current_|^alter session|^insert into \S+ select \* from \S+ where false$"
        r"|^(create|drop) schema llm_spend_(seeds|internal)$"
    )
    assert [statement for statement in session.statements if not own.search(statement)] == []


@pytest.mark.parametrize(
    ("refuses", "failing", "follow", "grant"),
    [
        (
            "create schema llm_spend_seeds",
            "llm_spend_seeds: schema",
            {f"llm_spend_seeds: {what}" for what in ("create table", "insert", "read", "delete", "drop table")},
            'grant usage, create schema on database "my-db" to role THE_ROLE;',
        ),
        (
            r"create table llm_spend\.",
            "llm_spend: create table",
            {f"llm_spend: {what}" for what in ("insert", "read", "delete", "drop table")},
            'grant usage, create table, create view on schema "my-db".llm_spend to role THE_ROLE;',
        ),
        (
            f"insert into llm_spend_seeds.{TABLE_PREFIX}",
            "llm_spend_seeds: insert",
            set(),
            'grant ownership on all tables in schema "my-db".llm_spend_seeds to role THE_ROLE copy current grants;',
        ),
        (r"select count\(\*\) from llm_spend\.", "llm_spend: read", set(), '"my-db".llm_spend to'),
        (r"delete from llm_spend\.", "llm_spend: delete", set(), '"my-db".llm_spend to'),
        (
            "create view",
            "llm_spend_internal: create view",
            {"llm_spend_internal: drop view"},
            'create view on schema "my-db".llm_spend_internal to role THE_ROLE;',
        ),
        (
            "insert into llm_spend_raw.portkey__logs",
            "llm_spend_raw: tables that are there",
            set(),
            "grant ownership on all tables in schema",
        ),
        ("copy into", "stage and copy", {"time zone"}, "system$allowlist"),
    ],
)
def test_a_missing_right_is_named_with_its_grant_and_hides_nothing(
    refuses: str, failing: str, follow: set[str], grant: str, examined: Any
) -> None:
    session = FakeSession(THERE, refuses)
    checks = examined(session)
    assert failed(checks) == {failing}
    assert skipped(checks) == follow
    assert grant in checks[failing].remedy
    assert "Insufficient privileges" in checks[failing].found
    assert "long message" not in checks[failing].found
    assert session.there == THERE


def test_the_table_that_is_in_the_way_is_named(examined: Any) -> None:
    checks = examined(FakeSession(THERE, "insert into llm_spend_raw.portkey__logs"))
    assert checks["llm_spend_raw: tables that are there"].found.startswith("portkey__logs: Insufficient")


def test_grants_of_bigquery(examined: Any) -> None:
    checks = examined(FakeSession(THERE, r"create (schema|table) llm_spend(_seeds)?\b"), FakeBigQuery)
    assert failed(checks) == {"llm_spend_seeds: schema", "llm_spend: create table"}
    member = "serviceAccount:robot@p.iam.gserviceaccount.com"
    binding = f"gcloud projects add-iam-policy-binding p --member={member} --role=roles/bigquery.user"
    assert binding in checks["llm_spend_seeds: schema"].remedy
    grant = f'grant `roles/bigquery.dataEditor` on schema `p`.`llm_spend` to "{member}";'
    assert grant in checks["llm_spend: create table"].remedy
    assert "DESTINATION__BIGQUERY__LOCATION" in checks["llm_spend: create table"].remedy


def test_a_row_that_arrives_changed_is_a_failure(examined: Any) -> None:
    rounded = (MOMENT, MOMENT, Decimal("12345678901234567890123456.12345678901"), '{"team": "x"}')
    assert failed(examined(FakeSession(THERE, arrived=rounded))) == {"stage and copy"}
    assert failed(examined(FakeSession(THERE, arrived=(*ARRIVED[:3], '"{}"')))) == {"stage and copy"}


def test_a_session_that_keeps_its_zone_is_told(examined: Any) -> None:
    checks = examined(FakeSession(THERE, "alter session set timezone = 'Pacific"))
    assert checks["time zone"].status == "skipped"
    assert "can't have another zone here: Insufficient" in checks["time zone"].found


def test_times_that_move_with_the_zone_are_a_failure(examined: Any) -> None:
    session = FakeSession(THERE)
    read = session.rows
    session.rows = lambda sql: [("2026-02-01 13", "2026-01-31 23")] if "to_char" in sql else read(sql)  # type: ignore[method-assign]
    assert failed(examined(session)) == {"time zone"}
    assert session.statements.count("alter session set timezone = 'UTC'") == 1


def test_what_could_not_be_dropped_is_told_and_tried_again(examined: Any) -> None:
    session = FakeSession(THERE, "drop table if exists llm_spend_seeds")
    checks = examined(session)
    assert failed(checks) == {"llm_spend_seeds: drop table"}
    assert sum(statement.startswith("drop table if exists llm_spend_seeds") for statement in session.statements) == 2
    assert checks["llm_spend_seeds: leave it as it was"].found == "kept: meanwhile it has tables"


def test_whoever_stops_it_finds_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(THERE)
    destination = FakeSnowflake()
    destination.session_ = session
    monkeypatch.setattr(doctor, "destination_of", lambda settings: destination)
    checks = examine(Settings())
    for check in checks:
        if check.name == "llm_spend_internal: create view":
            break
    assert session.there > THERE
    checks.close()
    assert session.there == THERE


def test_no_connection(examined: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def refused(self: Any) -> Iterator[FakeSession]:
        raise UserError("Snowflake refused: user u, password=opensesame, or opensesame", "Ask the doctor.")
        yield FakeSession(set())

    monkeypatch.setattr(FakeSnowflake, "session", refused)
    checks = examined(FakeSession(set()), sources=[{"source": "portkey", "path": "nothing*"}])
    assert failed(checks) == {"connection", "source portkey"}
    assert skipped(checks) == {"rights"}
    assert "opensesame" not in str(checks)
    assert "Ask the doctor" not in checks["connection"].remedy
    assert "grant usage on warehouse <warehouse> to role <role>;" in checks["connection"].remedy


def test_no_warehouse_to_compute_with(examined: Any) -> None:
    session = FakeSession(THERE)
    read = session.rows
    session.rows = lambda sql: [(None,)] if "current_warehouse" in sql else read(sql)  # type: ignore[method-assign]
    checks = examined(session)
    assert failed(checks) == {"connection"}
    assert "no warehouse" in checks["connection"].found


def test_what_can_be_shown_is_shown(examined: Any) -> None:
    checks = examined(FakeSession(THERE, "current_region"))
    assert checks["credentials"].found == "account acme, database my-db"
    found = checks["connection"].found
    assert "role THE_ROLE" in found and "warehouse THE_WAREHOUSE" in found and "region" not in found
    found = examined(FakeSession(THERE), FakeBigQuery)["query job"].found
    assert found == "project p, location EU, user robot@p.iam.gserviceaccount.com"


@pytest.mark.parametrize(("destination", "extra"), [(Snowflake, "snowflake"), (BigQuery, "bigquery")])
def test_missing_packages(destination: type[Snowflake | BigQuery], extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "modules", ("no_such_module",))
    checks = {check.name: check for check in examine(Settings(destination=extra))}
    assert failed(checks) == {"packages"}
    assert "no_such_module" in checks["packages"].found
    assert f"pip install 'llm-spend[{extra}]'" in checks["packages"].remedy
    assert {"credentials", "rights"} <= skipped(checks)


@pytest.mark.parametrize(
    ("destination", "given", "missing"),
    [
        ("snowflake", {}, "database, host missing"),
        ("snowflake", {"HOST": "acme", "USERNAME": "u"}, "database missing"),
        ("snowflake", {"HOST": "acme", "DATABASE": "d", "USERNAME": "u"}, "`username` and `password`"),
        ("bigquery", {"PROJECT_ID": "p", "CLIENT_EMAIL": "e@p"}, "private_key missing"),
    ],
)
def test_missing_credentials(
    destination: str, given: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    # dlt remembers for minutes that there were none.
    monkeypatch.setattr(GcpDefaultCredentials, "_LAST_FAILED_DEFAULT", 0.0)
    for name, value in given.items():
        monkeypatch.setenv(f"DESTINATION__{destination.upper()}__CREDENTIALS__{name}", value)
    checks = {check.name: check for check in examine(Settings(destination=destination))}
    assert failed(checks) == {"credentials"}
    assert missing in checks["credentials"].found
    assert f"DESTINATION__{destination.upper()}__CREDENTIALS__<NAME>" in checks["credentials"].remedy


def duckdb_checks(database: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(Settings(database=database))}


def test_duckdb_is_well(tmp_path: Path) -> None:
    checks = duckdb_checks(tmp_path / "new" / "a.duckdb")
    assert failed(checks) == set()
    assert "does not exist yet" in checks["database"].found
    assert list(tmp_path.iterdir()) == []
    duckdb.connect(str(tmp_path / "a.duckdb")).close()
    checks = duckdb_checks(tmp_path / "a.duckdb")
    assert failed(checks) == set()
    assert duckdb.__version__ in checks["DuckDB"].found
    assert "can be opened" in checks["database"].found


def test_a_database_that_is_locked(tmp_path: Path) -> None:
    database = tmp_path / "a.duckdb"
    hold = f"import duckdb; c = duckdb.connect({str(database)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        checks = duckdb_checks(database)
        holder.communicate("\n")
    assert failed(checks) == {"database"}
    assert "Another program is writing to it" in checks["database"].remedy


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.duckdb").write_text("not a database, but long enough to look at " * 200)
    assert failed(duckdb_checks(tmp_path / "a.duckdb")) == {"database"}


def test_no_room_and_no_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**8))
    checks = duckdb_checks(tmp_path / "a.duckdb")
    assert failed(checks) == {"folder", "disk"}
    assert "Permission denied" in checks["folder"].found
    assert "--database" in checks["folder"].remedy
    assert "100.0 MB" in checks["disk"].found


def test_sources_and_seeds(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    (tmp_path / "mapping.yml").write_text("columns: {started_at: at, raw_model: model}")
    (tmp_path / "wrong.yml").write_text("columns: {raw_model: model}")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "unknown.csv").write_text("a\n")
    sources = [
        SourceSettings(source="portkey", path=f"{tmp_path}/*.jsonl", instance="works"),
        SourceSettings(source="portkey", path=f"{tmp_path}/*.csv", instance="empty"),
        SourceSettings(source="nobody", path=f"{tmp_path}/*"),
        SourceSettings(source="generic", path=f"{tmp_path}/*", instance="a", mapping=tmp_path / "mapping.yml"),
        SourceSettings(source="generic", path=f"{tmp_path}/*", instance="b", mapping=tmp_path / "wrong.yml"),
        SourceSettings(source="generic", path=f"{tmp_path}/*", instance="c"),
    ]
    settings = Settings(database=tmp_path / "a.duckdb", sources=sources, seeds=tmp_path / "seeds")
    checks = {check.name: check for check in examine(settings)}
    assert failed(checks) == {
        "source portkey (empty)",
        "source nobody",
        "source generic (b): mapping",
        "source generic (c): mapping",
        "seeds",
    }
    assert checks["source portkey (works)"].found.startswith("2 files")
    assert checks["source generic (a): mapping"].found == "2 columns are mapped"
    assert "started_at must be mapped" in checks["source generic (b): mapping"].found
    assert "unknown.csv" in checks["seeds"].found


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "doctor", "--json") == 0
    assert {check["status"] for check in json.loads(capsys.readouterr().out)} == {"ok", "skipped"}
    (tmp_path / "spend.duckdb").write_text("not a database, but long enough to look at " * 200)
    assert run(monkeypatch, "doctor", "--seeds", "nowhere") == 1
    shown = capsys.readouterr().out
    assert "failed  database: " in shown
    assert "failed  seeds: The seeds folder nowhere does not exist." in shown
    assert "        Give a folder with --seeds." in shown
