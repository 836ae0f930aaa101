"""The emulators do what the product needs of a warehouse: loads through dlt, exact numbers, statements of dbt."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.warehouses import servers
from tests.warehouses.conftest import set_environment
from tests.warehouses.servers import BigQueryServer, ServerDied, SnowflakeServer, bigquery_server, snowflake_server

pytestmark = pytest.mark.slow

Query = Callable[[str], list[tuple[Any, ...]]]

SMALL = Decimal("0.000000280000")
LARGE = Decimal("123456789012.123456789012")
MOMENT = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)

# All but the last as the pipelines write them: decimals as text, nothing for NULL.
FIRST = {
    "id": 1,
    "name": "naïve \"quotes\" 'n' \\ back",
    "active": True,
    "cost": str(SMALL),
    "latency": "123456789.123456",
    "made_at": "2026-01-31T23:59:59.123456Z",
    "tags": {"b": [1, None, 2.5], "a": {"team": "x"}},
}
SECOND = {"id": 2, "name": "", "active": False, "cost": str(LARGE), "tags": {}}
NULLS: dict[str, Any] = {"id": 3, "name": None, "tags": None}
NUMBERS = '{"id": 4, "cost": 123456789012.123456789012, "latency": 0.5, "tags": {"ratio": 0.5}}'


@dataclass(frozen=True)
class Warehouse:
    """A running emulator, and how its dialect says things."""

    name: str
    server: SnowflakeServer | BigQueryServer
    query: Query
    money: str
    timestamp_has_zone: bool

    def moment(self, value: datetime) -> datetime:
        return value if self.timestamp_has_zone else value.replace(tzinfo=None)


@pytest.fixture(scope="module", params=["snowflake", "bigquery"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as patch:
        yield from {"snowflake": start_snowflake, "bigquery": start_bigquery}[request.param](patch)


def start_snowflake(patch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    from snowflake import connector

    with snowflake_server() as server, connector.connect(**server.connection) as connection:
        set_environment(patch, server.environment)
        patch.setenv("DESTINATION__SNOWFLAKE__KEEP_STAGED_FILES", "false")

        def query(sql: str) -> list[tuple[Any, ...]]:
            cursor = connection.cursor().execute(sql)
            assert cursor is not None
            return [tuple(row) for row in cursor.fetchall()]

        query("create schema work")
        yield Warehouse("snowflake", server, query, "number(38, 12)", timestamp_has_zone=False)


def start_bigquery(patch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    from google.cloud import bigquery

    with bigquery_server() as server:
        set_environment(patch, server.environment)
        client = bigquery.Client()
        client.create_dataset("work")

        def query(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in client.query_and_wait(sql, job_retry=None)]

        yield Warehouse("bigquery", server, query, "bignumeric", timestamp_has_zone=True)


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path) -> Callable[..., None]:
    """Load lines of JSON into `raw.<test>` with a write disposition."""
    import dlt

    pipeline = dlt.pipeline("servers", tmp_path / "pipelines", destination=warehouse.name, dataset_name="raw")

    def load(
        table: str, *records: dict[str, Any] | str, write_disposition: str, new_columns: tuple[str, ...] = ()
    ) -> None:
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        path.write_text("\n".join(lines) + "\n")

        columns = [*hints(warehouse), *({"name": name, "data_type": "text"} for name in new_columns)]

        @dlt.resource(name=table, columns=columns, primary_key="id", write_disposition=write_disposition)
        def rows() -> Iterator[Any]:
            yield dlt.mark.with_file_import(str(path), "jsonl", len(lines))

        pipeline.run(rows()).raise_on_failed_jobs()

    return load


def hints(warehouse: Warehouse) -> Any:
    types: dict[str, dict[str, Any]] = {
        "id": {"data_type": "bigint"},
        "name": {"data_type": "text"},
        "active": {"data_type": "bool"},
        "cost": {"data_type": "decimal", "precision": 38, "scale": 12},
        "latency": {"data_type": "decimal", "precision": 18, "scale": 6},
        "made_at": {"data_type": "timestamp", "timezone": warehouse.timestamp_has_zone},
        "tags": {"data_type": "json"},
    }
    return [{"name": name, "nullable": name != "id", **hint} for name, hint in types.items()]


def documents(values: list[tuple[Any, ...]]) -> list[Any]:
    """JSON documents, which the Snowflake connector returns as text."""
    return [json.loads(value) if isinstance(value, str) else value for (value,) in values]


def test_appended_rows_have_every_digit(warehouse: Warehouse, load: Callable[..., None]):
    load("appended", FIRST, SECOND, write_disposition="append")
    load("appended", NULLS, NUMBERS, write_disposition="append")
    rows = warehouse.query("select id, name, active, cost, latency, made_at from raw.appended order by id")
    assert rows == [
        (1, FIRST["name"], True, SMALL, Decimal("123456789.123456"), warehouse.moment(MOMENT)),
        (2, "", False, LARGE, None, None),
        (3, None, None, None, None, None),
        (4, None, None, LARGE, Decimal("0.5"), None),
    ]


def test_json_stays_an_object_and_null_is_null(warehouse: Warehouse, load: Callable[..., None]):
    load("documents", FIRST, SECOND, NULLS, NUMBERS, write_disposition="append")
    assert documents(warehouse.query("select tags from raw.documents where tags is not null order by id")) == [
        FIRST["tags"],
        {},
        {"ratio": 0.5},
    ]
    team = {"snowflake": "tags:a.team::varchar", "bigquery": "json_value(tags, '$.a.team')"}[warehouse.name]
    assert warehouse.query(f"select id from raw.documents where {team} = 'x'") == [(1,)]


def test_replace_leaves_the_new_rows_only(warehouse: Warehouse, load: Callable[..., None]):
    load("replaced", FIRST, SECOND, write_disposition="replace")
    load("replaced", SECOND | {"cost": "7"}, write_disposition="replace")
    assert warehouse.query("select id, cost from raw.replaced") == [(2, 7)]


def test_merge_replaces_rows_by_key(warehouse: Warehouse, load: Callable[..., None]):
    load("merged", FIRST, SECOND, write_disposition="merge")
    load("merged", SECOND | {"cost": "7"}, NULLS, write_disposition="merge")
    assert warehouse.query("select id, cost from raw.merged order by id") == [(1, SMALL), (2, 7), (3, None)]


def test_columns_can_be_added(warehouse: Warehouse, load: Callable[..., None]):
    load("grown", FIRST, write_disposition="append")
    for number in (2, 3):
        record = {"id": number, "region": "eu", "tier": "flex"}
        load("grown", record, write_disposition="append", new_columns=("region", "tier"))
    rows = warehouse.query("select id, region, tier, cost from raw.grown order by id")
    assert rows == [(1, None, None, SMALL), (2, "eu", "flex", None), (3, "eu", "flex", None)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("small * 1000000", "0.28"),
        ("small * n", "0.00000084"),
        ("large * n", "370370367036.370370367036"),
        ("large * small", "34567.90092339456790092336"),
        ("large + small", "123456789012.123457069012"),
        ("large - small", "123456789012.123456509012"),
        ("large / 7", "17636684144.589065255573"),
        ("large / small", "440917103614726631.389328571429"),
        ("small / large", "0"),
        ("n * cast('1' as {money}) / 7", "0.428571428571"),
        ("sum(large) / sum(n)", "41152263004.041152263004"),
        ("round(large, 6)", "123456789012.123457"),
        ("round(large, 0)", "123456789012"),
        ("round(large / 7, 2)", "17636684144.59"),
        ("round(cast('2.5' as {money}), 0)", "3"),
        ("round(cast('-0.0000005' as {money}), 6)", "-0.000001"),
        ("floor(large * 100)", "12345678901212"),
        ("coalesce(nullif(large, 0), small)", "123456789012.123456789012"),
        ("case when n = 3 then small else 0 end", "0.00000028"),
    ],
)
def test_arithmetic_is_exact(warehouse: Warehouse, expression: str, expected: str):
    money = warehouse.money
    values = f"select cast('{SMALL}' as {money}) as small, cast('{LARGE}' as {money}) as large, 3 as n"
    sql = f"select {expression.format(money=money)} from ({values}) as v"
    if "sum" not in expression:
        sql += " group by small, large, n"
    ((value,),) = warehouse.query(sql)
    assert not isinstance(value, float)
    assert value == Decimal(expected)


def test_aggregates_are_exact(warehouse: Warehouse):
    warehouse.query(f"create table work.amounts (k int, amount {warehouse.money})")
    amounts = [LARGE, LARGE, SMALL, Decimal("0.000000000001")]
    rows = ", ".join(f"({k}, cast('{amount}' as {warehouse.money}))" for k, amount in enumerate(amounts))
    warehouse.query(f"insert into work.amounts (k, amount) values {rows}")
    total = sum(amounts)
    assert warehouse.query("select sum(amount), avg(amount), max(amount), min(amount) from work.amounts") == [
        (total, (total / 4).quantize(Decimal("1e-12")), LARGE, Decimal("0.000000000001"))
    ]
    running = "sum(amount) over (order by k rows between unbounded preceding and current row)"
    assert warehouse.query(f"select {running}, avg(amount) over (partition by k) from work.amounts order by k") == [
        (sum(amounts[: k + 1]), amount) for k, amount in enumerate(amounts)
    ]


def test_tables_views_and_merges_of_dbt_keep_every_digit(warehouse: Warehouse):
    money = warehouse.money
    made = f"select 1 as id, cast('{LARGE}' as {money}) as cost union all select 2, cast('{SMALL}' as {money})"
    warehouse.query(
        f"create or replace table work.facts (id int not null, cost {money}) as (select id, cost from ({made}) as m)"
    )
    newer = f"select 2 as id, cast('0.5' as {money}) as cost union all select 3, cast('{SMALL}' as {money}) * 2"
    temporary = "temporary" if warehouse.name == "snowflake" else ""
    warehouse.query(f"create or replace {temporary} table work.facts__dbt_tmp as ({newer})")
    warehouse.query(
        "merge into work.facts as old using work.facts__dbt_tmp as new on old.id = new.id"
        " when matched then update set cost = new.cost"
        " when not matched then insert (id, cost) values (id, cost)"
    )
    warehouse.query("create or replace view work.halves as select id, cost / 2 as half from work.facts")
    assert warehouse.query("select id, half from work.halves order by id") == [
        (1, Decimal("61728394506.061728394506")),
        (2, Decimal("0.25")),
        (3, SMALL),
    ]


def test_columns_are_told_by_their_types(warehouse: Warehouse):
    """A contract of dbt compares them."""
    warehouse.query(
        f"create or replace table work.typed as select cast('1.5' as {warehouse.money}) as cost,"
        f" round(cast('1.5' as {warehouse.money}), 2) as rounded, sum(1) as n, {json_literal(warehouse)} as tags"
    )
    found = "select lower(column_name), data_type from work.information_schema.columns where table_name = 'typed'"
    if warehouse.name == "snowflake":
        found = "select lower(column_name), data_type from information_schema.columns where table_name = 'TYPED'"
    decimal, integer, document = {
        "snowflake": ("NUMBER", "HUGEINT", "VARIANT"),
        "bigquery": ("BIGNUMERIC", "INT64", "JSON"),
    }[warehouse.name]
    assert dict(warehouse.query(found)) == {"cost": decimal, "rounded": decimal, "n": integer, "tags": document}


def json_literal(warehouse: Warehouse) -> str:
    return """parse_json('{"a": 1}')""" if warehouse.name == "snowflake" else """json '{"a": 1}'"""


def test_an_error_is_told_at_once_and_the_session_goes_on(warehouse: Warehouse):
    with pytest.raises(Exception, match=r"(?i)no_such_column"):
        warehouse.query("select no_such_column from (select 1 as a) as x")
    with pytest.raises(Exception, match=r"(?i)zero"):
        warehouse.query(f"select a / 0 from (select cast('1' as {warehouse.money}) as a) as x")
    assert warehouse.query("select 1") == [(1,)]


ON_SNOWFLAKE = pytest.mark.parametrize("warehouse", ["snowflake"], indirect=True)
ON_BIGQUERY = pytest.mark.parametrize("warehouse", ["bigquery"], indirect=True)


@ON_SNOWFLAKE
def test_expressions_of_snowflake(warehouse: Warehouse):
    warehouse.query(
        "create table work.expressions as"
        " select '2026-01-31'::date as day, 'text' as word, null::timestamp_ntz as nothing,"
        """ parse_json('{"team": "x", "none": null, "list": ["p"]}') as tags"""
    )
    for expression, expected in {
        "date_trunc('month', day)": date(2026, 1, 1),
        "dateadd('month', 1, day)": date(2026, 2, 28),
        "dateadd('hour', 1, day)": datetime(2026, 1, 31, 1),
        "try_cast(word as timestamp_ntz)": None,
        "nothing": None,
        "get(tags, 'team')::varchar": "x",
        "get(tags, 'none')::varchar": None,
        "get(tags:list, 0)::varchar": "p",
        "coalesce(tags:other, tags:team)::varchar": "x",
        "sign(-2)": -1,
        "avg(2) over (partition by day)": 2,
        "7 / 2": Decimal("3.5"),
        "2 / 3": Decimal("0.666667"),
        "cast(2 as number(38, 2)) / 3": Decimal("0.66666667"),
    }.items():
        assert warehouse.query(f"select {expression} from work.expressions") == [(expected,)], expression


@ON_BIGQUERY
def test_expressions_of_bigquery(warehouse: Warehouse):
    warehouse.query(
        "create table work.expressions as select date '2026-01-31' as day, timestamp '2026-01-31 10:11:12' as moment"
    )
    for expression, expected in {
        "date_trunc(day, month)": date(2026, 1, 1),
        "timestamp_trunc(moment, day)": datetime(2026, 1, 31, tzinfo=UTC),
        "cast('1.555' as bignumeric(38, 2))": Decimal("1.56"),
        "cast('0.1234567891' as numeric)": Decimal("0.123456789"),
        "bignumeric '0.000000000001'": Decimal("0.000000000001"),
        "7 / 2": 3.5,
        "upper('ab')": "AB",
    }.items():
        assert warehouse.query(f"select {expression} from work.expressions") == [(expected,)], expression


@ON_SNOWFLAKE
def test_several_statements_and_literals_with_semicolons(warehouse: Warehouse):
    warehouse.query("create table work.seeds (a varchar, b varchar, n bigint)")
    warehouse.query("begin; insert into work.seeds values ('a;b', 'it''s', null), ('', null, 2); commit;")
    assert warehouse.query("select * from work.seeds order by a desc") == [("a;b", "it's", None), ("", None, 2)]


@ON_BIGQUERY
def test_the_script_of_insert_overwrite(warehouse: Warehouse):
    def day(number: int) -> str:
        return f"date '2026-01-0{number}'"

    warehouse.query(f"create table work.days as select {day(1)} as d, 1 as n union all select {day(2)}, 2")
    warehouse.query(f"create table work.new_days as select {day(2)} as d, 7 as n union all select {day(3)}, 8")
    warehouse.query(
        "declare partitions array<date>;"
        " set (partitions) = (select as struct array_agg(distinct date(d) ignore nulls) from work.new_days);"
        " merge into work.days as old using (select * from work.new_days) as new on false"
        " when not matched by source and d in unnest(partitions) then delete"
        " when not matched then insert (d, n) values (d, n);"
    )
    assert warehouse.query("select extract(day from d), n from work.days order by d") == [(1, 1), (2, 7), (3, 8)]


@ON_BIGQUERY
def test_what_the_emulator_lacks_is_not_an_outage(warehouse: Warehouse):
    assert isinstance(warehouse.server, BigQueryServer)
    url = f"{warehouse.server.url}/bigquery/v2/projects/{warehouse.server.project}/queries"
    query = urllib.request.Request(url, b'{"query": "select ml.predict(1)"}', {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(query)
    assert answer.value.code == 400
    assert "not supported by bqemulator" in json.load(answer.value)["error"]["message"]


@ON_BIGQUERY
def test_json_lines_may_be_zipped_and_have_known_fields_only(warehouse: Warehouse):
    from google.cloud import bigquery

    warehouse.query("create table work.zipped (id int64, cost bignumeric)")
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")

    def upload(content: bytes) -> None:
        bigquery.Client().load_table_from_file(io.BytesIO(content), "work.zipped", job_config=config).result()

    upload(gzip.compress(b'{"id": 1, "cost": "0.000000280000"}\n{"id": 2, "cost": 123456789012.123456789012}\n'))
    with pytest.raises(Exception, match="No such field: other"):
        upload(b'{"id": 3, "other": 1}\n')
    assert warehouse.query("select * from work.zipped order by id") == [(1, SMALL), (2, LARGE)]


@pytest.mark.parametrize("server", [snowflake_server, bigquery_server])
def test_a_server_ends_with_its_block_and_leaves_a_log_where_told(server: Any, tmp_path: Path):
    log = tmp_path / "kept.log"
    with server(log=log) as running:
        os.kill(running.process_id, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(running.process_id, 0)
    assert log.exists()


@pytest.mark.parametrize("name", ["snowflake_server", "bigquery_server"])
def test_a_server_ends_when_the_process_that_started_it_is_killed(name: str):
    code = (
        f"import os, signal; from tests.warehouses.servers import {name} as server\n"
        "with server() as running: print(running.process_id, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, timeout=90)
    server = Path("/proc") / killed.stdout.decode().strip()
    deadline = time.monotonic() + 15
    while is_running(server):
        assert time.monotonic() < deadline, "the server outlived the process that started it"
        time.sleep(0.1)


def is_running(process: Path) -> bool:
    """Whether a process of /proc runs; an orphan that nobody waits for stays there as a zombie."""
    try:
        return "(zombie)" not in (process / "status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(("name", "server"), [("snowflake", snowflake_server), ("bigquery", bigquery_server)])
def test_a_server_that_dies_is_told_with_its_log(
    name: str, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / f"{name}_server.py").write_text("raise SystemExit('no luck today')")
    monkeypatch.setattr(servers, "LAUNCHERS", tmp_path)
    with (
        pytest.raises(ServerDied, match=rf"{name}_server\.py ended with exit code 1:\nno luck today"),
        server(),
    ):
        pass


def test_what_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(servers, "VENVS", tmp_path)
    with pytest.raises(FileNotFoundError, match="make emulators"), snowflake_server():
        pass
