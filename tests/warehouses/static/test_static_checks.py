"""The static checks themselves: each finds its deliberate break in a small project, and is silent on what is right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_spend.schema import BOOKKEEPING_TABLES
from llm_spend.sources import raw_formats
from tests.warehouses.servers import VENVS
from tests.warehouses.static import check_googlesql, check_sqlglot
from tests.warehouses.static.constants import unpruned
from tests.warehouses.static.raw_types import TYPES, Warehouse, raw_tables
from tests.warehouses.static.words import wrong_words

PYTHON = VENVS / "googlesql" / "bin" / "python"
CACHE = VENVS / "googlesql" / "cache"
KINDS = {
    "id": "text",
    "source": "text",
    "tokens": "bigint",
    "cost_usd": "money",
    "sent_at": "timestamp",
    "is_stream": "bool",
    "metadata": "json",
}


@dataclass(frozen=True)
class Case:
    """A model, and what a check must say about it; None where it must say nothing.

    `contract`: declared types; `later`: its SQL once its table exists. `{requests}` is a raw table, `{days}` a model
    of it, `{this}` the model itself, and every other model goes by its name.
    """

    sql: str
    problem: str | None = None
    contract: Mapping[str, str] | None = None
    later: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    resource_type: str = "model"


DAYS = """
    select
        cast(sent_at as date) as usage_date,
        id,
        tokens,
        cost_usd,
        sent_at,
        metadata
    from {requests}
"""
RIGHT = {
    "names with capitals": Case("select id as ResourceId from {requests}", contract={"ResourceId": "string"}),
    "aggregates": Case("""
        select usage_date, sum(cost_usd) as cost_usd, count(*) as requests, cast(max(tokens) as bigint) as most
        from {days}
        where usage_date >= cast('2026-01-01' as date) and id is not null
        group by usage_date
        having count(*) > 1
    """),
    "windows": Case("""
        select id, row_number() over (partition by usage_date order by tokens desc, id) as number,
            sum(tokens) over (partition by usage_date) as day_tokens,
            sum(sum(tokens)) over (partition by usage_date) as total
        from {days} group by id, usage_date, tokens
    """),
    "subqueries": Case("""
        with many as (select id from {requests} group by id having count(*) > 1)
        select days.id, days.tokens + 1 as more,
            (select max(requests.tokens) from {requests} as requests where requests.id = days.id) as most
        from {days} as days
        left join many on days.id = many.id and days.tokens > 5
        where days.id not in (select many.id from many)
            and not exists (select 1 from {requests} as requests where requests.id = days.id and requests.is_stream)
    """),
    "grouped by position": Case("select usage_date, count(*) as requests from {days} group by 1"),
    # Deeper than protobuf decodes.
    "nested": Case("select id from " + "(select id from " * 60 + "{requests}" + ")" * 60),
    "joined in any order": Case("""
        select a.id from {days} as a
        left join {requests} as b on a.sent_at >= b.sent_at and (b.id = a.id) and b.is_stream
    """),
}
RIGHT_ON: dict[Warehouse, dict[str, Case]] = {
    "bigquery": {
        "functions": Case("""
            select round(coalesce(safe_divide(tokens, 2), 0), 2) as half, if(is_stream, 1, 0) as streams,
                json_value(metadata['a']) as tag,
                timestamp_sub(sent_at, interval 60 minute) as earlier, safe_cast(id as bigint) as number,
                round(cast(tokens as bignumeric) / 3, 2) as third
            from {requests}
            where true
            qualify row_number() over (partition by id order by sent_at) = 1
        """),
        "contract": Case(
            "select id, tokens, cost_usd, sent_at, metadata, is_stream, usage_date "
            "from (select *, cast(sent_at as date) as usage_date from {requests})",
            contract={
                "id": "string",
                "tokens": "bigint",
                "cost_usd": "bignumeric(38, 12)",
                "sent_at": "timestamp",
                "metadata": "json",
                "is_stream": "boolean",
                "usage_date": "date",
            },
            config={"partition_by": {"field": "usage_date", "data_type": "date"}, "cluster_by": ["id"]},
        ),
        "later variant": Case(
            "select id, sent_at from {requests}",
            later="select id, sent_at from {requests} where sent_at > (select max(sent_at) from {this})",
        ),
        "script": Case(
            "select id, usage_date from {days} "
            "where usage_date in unnest(dates) and sent_at >= since and usage_date >= _dbt_max_partition",
            config={
                "sql_header": """
                    -- a comment; with a semicolon
                    declare dates array<date>;
                    declare since timestamp default timestamp('2026-01-01 00:00:00;');
                    set dates = (select array_agg(distinct usage_date) from {days});
                """,
                "partition_by": {"field": "usage_date", "data_type": "date"},
                "materialized": "view",
            },
        ),
    },
    "snowflake": {
        "functions": Case("""
            select iff(is_stream, 1, 0) as streams, count_if(tokens > 1) as big, metadata:a::varchar as tag,
                sent_at - interval '60 minutes' as earlier, try_cast(id as bigint) as number,
                round(tokens / 3, 2) as third, to_char(cast(sent_at as date), 'YYYY-MM-DD') as day_text
            from {requests}
            group by all
        """),
        "entries": Case("""
            select id, entries.key as tag_key, entries.value::varchar as tag_value
            from {requests}, lateral flatten(input => metadata) as entries
        """),
        "contract": Case(
            "select id, tokens, cost_usd, sent_at, metadata, is_stream from {requests}",
            contract={
                "id": "string",
                "tokens": "bigint",
                "cost_usd": "decimal(38, 12)",
                "sent_at": "timestamp_ntz",
                "metadata": "variant",
                "is_stream": "boolean",
            },
        ),
        "later variant": Case(
            "select id, sent_at from {requests}",
            later="select id, sent_at from {requests} where sent_at > (select max(sent_at) from {this})",
        ),
        "zones": Case("select convert_timezone('UTC', sent_at)::timestamp_ntz as sent_at from {requests}"),
    },
}

# Broken alike for both checkers of BigQuery.
BROKEN_BIGQUERY = {
    "unknown column": Case("select costs_usd from {days}", "costs_usd"),
    "unknown table": Case("select * from `p`.`d`.`nothing`", "nothing"),
    "sum over text": Case("select sum(id) as total from {days}", "sum"),
    "wrong group by": Case("select id, usage_date, count(*) as n from {days} group by id", "grouped"),
    "date with timestamp": Case("select id from {days} where usage_date >= sent_at", "timestamp"),
    "grouped by json": Case("select metadata, count(*) as n from {days} group by metadata", "group"),
    "qualify alone": Case("select id from {days} qualify row_number() over (order by id) = 1", "qualify"),
    "missing column": Case("select id from {days}", "is missing", contract={"id": "string", "tokens": "bigint"}),
    "added column": Case("select id, tokens from {days}", "not in the contract", contract={"id": "string"}),
    "other family": Case("select id from {days}", "contract has", contract={"id": "bigint"}),
    "later unknown column": Case("select id from {days}", "until", later="select id from {this} where until > 1"),
    "function of duckdb": Case("select strftime(sent_at, '%Y') as year from {days}", "strftime"),
    "type of snowflake": Case("select cast(id as varchar) as id from {days}", "varchar"),
    "sum of truth": Case("select sum(tokens > 1) as n from {days}", "sum"),
}
BROKEN_GOOGLESQL = BROKEN_BIGQUERY | {
    "bare union": Case("select id from {days} union select id from {requests}", "expected keyword all"),
    "alias of the same select": Case("select tokens as n, n + 1 as m from {days}", "unrecognized name: n"),
    "datetime function": Case("select datetime_diff(sent_at, sent_at, millisecond) as ms from {days}", "datetime_diff"),
    "whole row": Case("with source as (select * from {requests}) select source from source", "struct"),
    "precise type": Case(
        "select sent_at from {days}", "is timestamp, the contract has datetime", contract={"sent_at": "datetime"}
    ),
    "float for money": Case(
        "select cast(cost_usd as float64) as c from {days}", "float64", contract={"c": "bignumeric"}
    ),
    "filter": Case("select count(*) filter (where tokens > 1) as n from {days}", "syntax error"),
    "partition": Case("select id from {days}", "partition column", config={"partition_by": {"field": "usage_date"}}),
    "cluster": Case("select id, metadata from {days}", "cluster column", config={"cluster_by": ["metadata"]}),
    "other columns later": Case("select id from {days}", "first build", later="select id, tokens from {days}"),
    "undeclared variable": Case("select id from {days}", "undeclared", config={"sql_header": "set since = 1;"}),
    "wrong variable": Case(
        "select id from {days}",
        "coalesce",
        config={"sql_header": "declare since date default timestamp('2026-01-01');"},
    ),
}
BROKEN_SQLGLOT_BIGQUERY = BROKEN_BIGQUERY | {
    "left join without equality": Case(
        "select a.id from {days} as a left join {requests} as b on a.sent_at > b.sent_at",
        "without an equality of both sides",
    ),
    "left join on one side": Case(
        "select a.id from {days} as a left join {requests} as b on b.id = b.source", "without an equality of both sides"
    ),
    "quantile": Case("select percentile_cont(tokens, 0.5) as p from {days}", "without over"),
    "star": Case("select * exclude (id) from {days}", "exclude"),
}
BROKEN_SNOWFLAKE = {
    "unknown column": Case("select costs_usd from {days}", "costs_usd"),
    "column in lower case": Case('select "id" from {days}', "'id' could not be resolved"),
    "unknown table": Case("select * from db.d.nothing", "nothing"),
    "sum over text": Case("select sum(id) as total from {days}", "calculates with text"),
    "text and number": Case("select id + 1 as n from {days}", "calculates with text"),
    "wrong group by": Case("select id, usage_date, count(*) as n from {days} group by id", "neither grouped"),
    "no group by": Case("select id, count(*) as n from {days}", "neither grouped"),
    "ungrouped in having": Case("select id from {days} group by id having tokens > 1", "neither grouped"),
    "ungrouped in a window": Case(
        "select id, sum(count(*)) over (order by tokens) as n from {days} group by id", "neither grouped"
    ),
    "number with date": Case("select id from {days} where tokens > usage_date", "compares a number with a date"),
    "number in text": Case("select id from {days} where tokens in (select id from {requests})", "compares"),
    "number with text in a join": Case(
        "select a.id from {days} as a join {requests} as b on a.tokens = b.id", "compares"
    ),
    "countif": Case("select countif(tokens > 1) as n from {days}", "countif"),
    "if": Case("select if(tokens > 1, 1, 0) as n from {days}", "function if"),
    "safe_divide": Case("select safe_divide(tokens, 2) as n from {days}", "safe_divide"),
    "strftime": Case("select strftime(sent_at, '%Y') as n from {days}", "strftime"),
    "unnest": Case("select unnest(metadata) as n from {days}", "unnest"),
    "star except": Case("select * except (id) from {days}", "no * except"),
    "grouped by variant": Case("select metadata, count(*) as n from {days} group by metadata", "of a document"),
    "distinct variant": Case("select distinct metadata from {days}", "of a document"),
    "counted variants": Case("select count(distinct metadata) as n from {days}", "of a document"),
    "division": Case("select cost_usd / tokens as price from {days}", "neither rounded nor cast"),
    "division then product": Case("select round(cost_usd / tokens * 10, 2) as price from {days}", "neither rounded"),
    "union of types": Case("select id from {days} union all select tokens from {days}", "of a union"),
    "union of widths": Case("select id from {days} union all select id, tokens from {days}", "union"),
    "try_cast of a number": Case("select try_cast(tokens as varchar) as n from {days}", "text only"),
    "type of bigquery": Case("select cast(tokens as int64) as n from {days}", "int64"),
    "timestamp of the account": Case("select cast(id as timestamp) as n from {days}", "account's settings"),
    "decimal without a scale": Case("select cast(id as decimal) as n from {days}", "whole numbers"),
    "date of the session": Case("select cast(usage_date as varchar) as n from {days}", "name the format"),
    "reserved name": Case("select count(*) as rows from {days}", "reserves the name rows"),
    "subquery in a join": Case(
        "select a.id from {days} as a join {requests} as b on a.id = b.id and a.id in (select id from {days})",
        "inside the condition of a join",
    ),
    "correlated without equality": Case(
        "select id from {days} as a where exists (select 1 from {requests} as b where b.sent_at > a.sent_at)",
        "without an equality with the outer query",
    ),
    "correlated value": Case(
        "select (select b.tokens from {requests} as b where b.id = a.id) as n from {days} as a", "no aggregate"
    ),
    "missing column": Case("select id from {days}", "is missing", contract={"id": "string", "tokens": "bigint"}),
    "added column": Case("select id, tokens from {days}", "not in the contract", contract={"id": "string"}),
    "other family": Case("select id from {days}", "the contract has", contract={"id": "bigint"}),
    "zone": Case(
        "select convert_timezone('UTC', sent_at) as z from {zoned}", "contract has", contract={"z": "timestamp_ntz"}
    ),
    "later unknown column": Case("select id from {days}", "until", later="select id from {this} where until > 1"),
    "two statements": Case("select id from {days}; select id from {days}", "not one select"),
}


TWO_GENERATIONS = {"broken": Case("select nothing from {days}"), "child": Case("select something from {broken}")}


def write_project(folder: Path, warehouse: Warehouse, cases: Mapping[str, Case]) -> tuple[Path, Path]:
    """The manifests of a first and a later build of a project with a node for every case."""
    database, quoted = ("p", "`p`.`{}`.`{}`") if warehouse == "bigquery" else ("DB", "DB.{}.{}")
    models = {"days": Case(DAYS), **cases}
    schemas = {"requests": "raw", "zoned": "raw", **dict.fromkeys(models, "marts")}
    keys = {name: f"{'source' if schema == 'raw' else 'model'}.shop.{name}" for name, schema in schemas.items()}
    relations = {name: quoted.format(schema, _alias(name)) for name, schema in schemas.items()}

    def node(name: str) -> dict[str, Any]:
        shared = {"unique_id": keys[name], "name": name, "database": database, "schema": schemas[name]}
        if name not in models:
            return {**shared, "resource_type": "source", "identifier": name, "config": {}}
        case = models[name]
        config = {
            "materialized": "incremental" if case.later else "table",
            "contract": {"enforced": case.contract is not None},
            **case.config,
        }
        if "sql_header" in config:
            config["sql_header"] = filled(config["sql_header"], name)
        return {
            **shared,
            "resource_type": case.resource_type,
            "alias": _alias(name),
            "depends_on": {"nodes": [keys[other] for other in keys if f"{{{other}}}" in case.sql]},
            "columns": {column: {"data_type": kind} for column, kind in (case.contract or {}).items()},
            "config": config,
        }

    def filled(sql: str, name: str) -> str:
        for other, relation in {**relations, "this": relations[name]}.items():
            sql = sql.replace(f"{{{other}}}", relation)
        return sql

    def write(build: str, compiled: Mapping[str, str]) -> Path:
        nodes = {keys[name]: {**node(name), "compiled_code": filled(sql, name)} for name, sql in compiled.items()}
        sources = {keys[name]: node(name) for name in ("requests", "zoned")}
        path = folder / build / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"nodes": nodes, "sources": sources}), encoding="utf-8")
        return path

    first = write("first", {name: case.sql for name, case in models.items()})
    return first, write("later", {name: case.later or case.sql for name, case in models.items()})


def _alias(name: str) -> str:
    return name.replace(" ", "_")


def source_types(warehouse: Warehouse) -> dict[str, dict[str, str]]:
    types = {name: TYPES[warehouse][kind] for name, kind in KINDS.items()}  # type: ignore[index]
    zoned = "TIMESTAMP_TZ" if warehouse == "snowflake" else "TIMESTAMP"
    return {"requests": types, "zoned": {"sent_at": zoned}}


def sqlglot_problems(folder: Path, warehouse: Warehouse, cases: Mapping[str, Case]) -> list[str]:
    first, later = write_project(folder, warehouse, cases)
    return check_sqlglot(first, warehouse, later, sources=source_types(warehouse))


def googlesql_problems(folder: Path, cases: Mapping[str, Case]) -> list[str]:
    first, later = write_project(folder, "bigquery", cases)
    return check_googlesql(first, later, python=PYTHON, cache=CACHE, sources=source_types("bigquery"))


def of_model(problems: list[str], name: str) -> list[str]:
    """What was found in a model or its second variant, in lower case, without the name."""
    labels = (f"model {name}: ", f"model {name} (incremental): ")
    return [problem.split(": ", 1)[1].lower() for problem in problems if problem.startswith(labels)]


@pytest.fixture(scope="module")
def broken_googlesql(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return googlesql_problems(tmp_path_factory.mktemp("broken"), BROKEN_GOOGLESQL)


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN_GOOGLESQL)
def test_googlesql_finds(broken_googlesql: list[str], name: str) -> None:
    found = of_model(broken_googlesql, name)
    expected = BROKEN_GOOGLESQL[name].problem
    assert expected and any(expected in problem for problem in found), found


@pytest.mark.slow
def test_googlesql_is_silent_on_what_is_right(tmp_path: Path) -> None:
    assert googlesql_problems(tmp_path, RIGHT | RIGHT_ON["bigquery"]) == []


@pytest.mark.parametrize("name", BROKEN_SQLGLOT_BIGQUERY)
def test_sqlglot_finds_on_bigquery(tmp_path: Path, name: str) -> None:
    case = BROKEN_SQLGLOT_BIGQUERY[name]
    found = of_model(sqlglot_problems(tmp_path, "bigquery", {name: case}), name)
    assert case.problem and any(case.problem in problem for problem in found), found


@pytest.mark.parametrize("name", BROKEN_SNOWFLAKE)
def test_sqlglot_finds_on_snowflake(tmp_path: Path, name: str) -> None:
    case = BROKEN_SNOWFLAKE[name]
    found = of_model(sqlglot_problems(tmp_path, "snowflake", {name: case}), name)
    assert case.problem and any(case.problem in problem for problem in found), found


@pytest.mark.parametrize("warehouse", ["bigquery", "snowflake"])
def test_sqlglot_is_silent_on_what_is_right(tmp_path: Path, warehouse: Warehouse) -> None:
    assert sqlglot_problems(tmp_path, warehouse, RIGHT | RIGHT_ON[warehouse]) == []


def test_data_tests_are_checked(tmp_path: Path) -> None:
    cases = {"assert_days": Case("select * from {days} where cost > 1", resource_type="test")}
    assert sqlglot_problems(tmp_path, "snowflake", cases) == [
        "test assert_days: Column 'COST' could not be resolved. Line: 1, Col: 38"
    ]


def test_one_break_is_one_problem(tmp_path: Path) -> None:
    """What reads a broken model would fail for the same reason: it is named, and not checked."""
    broken, passed_over = sqlglot_problems(tmp_path, "snowflake", TWO_GENERATIONS)
    assert broken.startswith("model broken:")
    assert passed_over == "not checked, because what they read has problems: model child"


@pytest.mark.slow
def test_one_break_is_one_problem_of_googlesql(tmp_path: Path) -> None:
    broken, passed_over = googlesql_problems(tmp_path, TWO_GENERATIONS)
    assert broken.startswith("model broken:")
    assert passed_over == "not checked, because what they read has problems: model child"


def test_a_child_gets_the_types_of_its_parent(tmp_path: Path) -> None:
    cases = {
        "parent": Case("select id || 'x' as n from {days}"),
        "child": Case("select sum(n) as n from {parent}", "calculates with text"),
    }
    assert "calculates with text" in of_model(sqlglot_problems(tmp_path, "snowflake", cases), "child")[0]


def test_compiled_sql_may_be_in_the_results(tmp_path: Path) -> None:
    """And a model without any is a problem: nothing was checked."""
    manifest, _ = write_project(tmp_path, "snowflake", {"bad": Case("select nothing from {days}")})
    content = json.loads(manifest.read_text(encoding="utf-8"))
    results = [{"unique_id": key, "compiled_code": node.pop("compiled_code")} for key, node in content["nodes"].items()]
    manifest.write_text(json.dumps(content), encoding="utf-8")
    types = source_types("snowflake")
    assert check_sqlglot(manifest, "snowflake", sources=types) == [
        "model days: there is no compiled SQL",
        "model bad: there is no compiled SQL",
    ]
    manifest.with_name("run_results.json").write_text(json.dumps({"results": results}), encoding="utf-8")
    found = check_sqlglot(manifest, "snowflake", sources=types)
    assert found == ["model bad: Column 'NOTHING' could not be resolved. Line: 1, Col: 14"]


def test_seeds_have_the_columns_of_their_header_as_text(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("model,price\na,1\n", encoding="utf-8")
    seed = {
        "resource_type": "seed",
        "unique_id": "seed.shop.prices",
        "name": "prices",
        "alias": "prices",
        "database": "DB",
        "schema": "seeds",
        "root_path": str(tmp_path),
        "original_file_path": "prices.csv",
        "config": {"column_types": {"model": "string"}},
    }
    manifest, _ = write_project(tmp_path, "snowflake", {"sums": Case("select sum(price) as n from DB.seeds.prices")})
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["nodes"]["seed.shop.prices"] = seed
    manifest.write_text(json.dumps(content), encoding="utf-8")
    assert check_sqlglot(manifest, "snowflake", sources=source_types("snowflake")) == [
        "seed prices: dbt would guess the type of column price",
        "model sums: SUM(PRICES.PRICE) calculates with text: PRICES.PRICE",
    ]


def test_a_source_without_known_types_is_a_problem(tmp_path: Path) -> None:
    manifest, _ = write_project(tmp_path, "snowflake", {})
    found = check_sqlglot(manifest, "snowflake", sources={})
    assert found[0] == "source requests: no column types are known for requests"


def test_raw_tables_are_those_of_the_product() -> None:
    tables = raw_tables("snowflake")
    assert set(tables) == set(raw_formats()) | set(BOOKKEEPING_TABLES) | {"_dlt_loads"}
    assert tables["portkey__logs"]["_dlt_load_id"] == "VARCHAR"
    assert tables["_dlt_loads"]["inserted_at"] == "TIMESTAMP_TZ"
    assert set(raw_tables("bigquery")["litellm__payloads"].values()) <= set(TYPES["bigquery"].values())


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select left(id, 1) as l, replace(id, 'if(', '') as r from t -- if(", None),
        ("with numbers (n) as (select 1) select n from numbers", None),
        ("select n::number(38, 2) as n, cast(coalesce(n, 0) as decimal(3, 2)) as m from t", None),
        ("select cast(cast(n as int64) as varchar) as n from t", "int64"),
        ("select n::text::hugeint as n from t", "hugeint"),
        ("select arg_max(n, m) as n from t", "arg_max"),
        ('select "if"(n) as n from t', None),
    ],
)
def test_words(sql: str, word: str | None) -> None:
    found = wrong_words(sql, "snowflake")
    assert (found == []) if word is None else (len(found) == 1 and word in found[0])


DATES = "usage_date in (date '2026-11-01', date '2026-11-03')"
TIMES = """(
    started_at >= timestamp '2026-11-01 00:00:00+00' and started_at < timestamp '2026-11-02 00:00:00+00'
    or started_at >= timestamp '2026-11-03 00:00:00+00' and started_at < timestamp '2026-11-04 00:00:00+00'
)"""


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (f"{DATES} and {TIMES} and id in (select id from others)", []),
        ("usage_date = date '2026-11-01' and started_at < timestamp '2026-11-01 00:00:00+00'", []),
        (DATES, ["requests: started_at"]),
        (f"({DATES} or id = '1') and {TIMES}", ["requests: usage_date"]),
        (f"usage_date in (select usage_date from dates) and {TIMES}", ["requests: usage_date"]),
        (f"usage_date = others.usage_date and {TIMES}", ["requests: usage_date"]),
        (f"usage_date not in (date '2026-11-01') and {TIMES}", ["requests: usage_date"]),
        ("true", ["requests: started_at", "requests: usage_date"]),
    ],
)
def test_reads_of_history_are_found(condition: str, found: list[str]) -> None:
    sql = f"""
        with wanted as (select id from `project`.`dataset`.`requests` where {condition}),
        small as (select id from `project`.`dataset`.`others`)
        select id from wanted inner join small using (id)
    """
    assert unpruned(sql, {"requests": {"usage_date", "started_at"}}) == found
