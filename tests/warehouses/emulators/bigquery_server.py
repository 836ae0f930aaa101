"""Start bqemulator, an emulator of BigQuery on DuckDB, with what it lacks for dlt, dbt-bigquery and this project.

usage: bigquery_server.py PORT FOLDER   (serves 127.0.0.1:PORT until SIGTERM or the end of its standard input)

Every function called by `patch` closes one gap between bqemulator 1.4.0 and BigQuery; its docstring names both sides.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlglot
from bqemulator import server
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs as job_routes
from bqemulator.api.routes.tables import _parse_schema_fields
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.models import JobMeta, TableFieldSchema
from bqemulator.config import Settings
from bqemulator.jobs import executor
from bqemulator.sql import inner_query, parameters, rules
from bqemulator.sql.rewriter import create_table_schema_ctas, numeric_literals
from bqemulator.sql.rules._base import TranslationRule
from bqemulator.sql.rules.aggregate_types import AvgDecimalRule, DivDecimalRule
from bqemulator.sql.rules.numeric_types import ParseBignumericRule
from bqemulator.sql.rules.string_helpers import UpperUnicodeRule
from bqemulator.sql.translator import SQLTranslator
from bqemulator.storage import arrow_bridge, type_map
from bqemulator.storage.engine import DuckDBEngine
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from shared import NoServerErrors, create_division, division_by, end_with_parent, is_division, select_json_lines
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.expressions import core
from sqlglot.generators.duckdb import DuckDBGenerator
from sqlglot.parsers.bigquery import BigQueryParser
from starlette.requests import Request
from starlette.responses import Response

BIGNUMERIC = "DECIMAL(38, 12)"
NUMERIC_SCALE = 9
DIVIDE = "warehouse_divide"
STATEMENTS_KEPT = 200
# Modules that change no tree that they parse.
ONLY_READ = {
    "bqemulator.catalog.ddl_sync",
    "bqemulator.jobs.ddl_result",
    "bqemulator.jobs.executor",
    "bqemulator.jobs.routine_ddl",
}


def patch() -> None:
    """Close every gap."""
    no_geography()
    numeric_with_9_decimals()
    bignumeric_with_12_decimals()
    bignumeric_stays_bignumeric()
    tables_with_the_types_of_queries()
    contracts()
    expressions()
    names_as_written()
    json_lines()
    statements_of_dlt_and_dbt()
    tokens()
    errors_that_end()
    errors_of_queries()
    parse_once()
    generate_without_copies()
    views_as_they_are()


def no_geography() -> None:
    """BigQuery has GEOGRAPHY; the emulator downloads a DuckDB extension for it whenever it starts."""
    DuckDBEngine._load_spatial = lambda self: None


def numeric_with_9_decimals() -> None:
    """NUMERIC has 9 decimals; the emulator leaves it to DuckDB, whose DECIMAL has 3."""
    DuckDBGenerator.TYPE_PARAM_SETTINGS[exp.DType.DECIMAL] = ((38, NUMERIC_SCALE), (38, 38))


def bignumeric_with_12_decimals() -> None:
    """BIGNUMERIC has 76 digits, 38 of them decimals; the emulator's has 5 decimals, and DuckDB has 38 digits at all.

    Here it is DECIMAL(38, 12), which is what the project needs, and BIGNUMERIC(p, s) is DECIMAL(p, s).
    """
    DuckDBGenerator.TYPE_PARAM_SETTINGS[exp.DType.BIGDECIMAL] = ((38, 12), (38, 38))
    type_map._BQ_TO_DUCKDB["BIGNUMERIC"] = BIGNUMERIC
    parameters._BQ_SCALAR_TO_DUCKDB["BIGNUMERIC"] = BIGNUMERIC
    numeric_literals._rewrite_bignumeric = lambda match: f"cast('{match.group(2)}' as bignumeric)"
    ParseBignumericRule.rewrite = lambda self, node: exp.cast(node.this.copy(), BIGNUMERIC)


def bignumeric_stays_bignumeric() -> None:
    """A BIGNUMERIC that is rounded stays one; the emulator calls every decimal of up to 9 decimals NUMERIC.

    So that it is told by its 38 digits, NUMERIC(p, s) that is summed is BIGNUMERIC here.
    """

    def decimal_type(arrow_type: pa.Decimal128Type) -> str:
        return "NUMERIC" if arrow_type.precision < 38 or arrow_type.scale == NUMERIC_SCALE else "BIGNUMERIC"

    executor._ARROW_TO_BQ_RULES = tuple(
        (predicate, decimal_type if mapper is executor._decimal_bq_type else mapper)
        for predicate, mapper in executor._ARROW_TO_BQ_RULES
    )


def tables_with_the_types_of_queries() -> None:
    """A table has the types of the query that made it; the emulator tells JSON as STRING and BIGNUMERIC as NUMERIC."""

    def table_field(field: pa.Field, mode_override: str | None = None) -> TableFieldSchema:
        entry = executor._arrow_field_to_schema_entry(field)
        if mode_override and entry["mode"] != "REPEATED":
            entry["mode"] = mode_override
        return _parse_schema_fields([entry])[0]

    def table_schema(engine: DuckDBEngine, table: str) -> pa.Schema:
        return engine.fetch_arrow(f"select * from {table} limit 0").schema

    ddl_sync._arrow_field_to_table_field = table_field
    arrow_bridge.introspect_arrow_schema = table_schema


def contracts() -> None:
    """CREATE TABLE with columns takes AS (SELECT ..), as dbt writes it; the emulator takes it without the parentheses.

    NOT NULL is not enforced.
    """

    def first_select(body: exp.Expression | None) -> exp.Select | None:
        return original(body.unnest() if isinstance(body, exp.Subquery) else body)

    original = create_table_schema_ctas._first_select
    create_table_schema_ctas._first_select = first_select


class ExactDivision(TranslationRule):
    """A quotient or an average of decimals is a decimal; the emulator's has the digits of a DOUBLE."""

    def applies_to(self, node: exp.Expression) -> bool:
        return is_division(node)

    def rewrite(self, node: exp.Expression) -> exp.Expression:
        return division_by(DIVIDE, node)


class TruncatedDateStaysDate(TranslationRule):
    """DATE_TRUNC of a DATE is a DATE; the emulator's is a DATETIME, as in DuckDB."""

    def applies_to(self, node: exp.Expression) -> bool:
        return isinstance(node, exp.TimestampTrunc)

    def rewrite(self, node: exp.Expression) -> exp.Expression:
        return exp.Anonymous(this="cast_to_type", expressions=[node.copy(), node.this.copy()])


class MidnightInZone(TranslationRule):
    """TIMESTAMP(date, zone) takes any date and zone; the emulator's takes a zone that is written out."""

    def applies_to(self, node: exp.Expression) -> bool:
        return isinstance(node, exp.Timestamp) and bool(node.args.get("zone"))

    def rewrite(self, node: exp.Expression) -> exp.Expression:
        moment = exp.cast(node.this.copy(), exp.DType.TIMESTAMP)
        return exp.Anonymous(this="timezone", expressions=[node.args["zone"].copy(), moment])


class DateInZone(TranslationRule):
    """DATE(timestamp, zone) takes any zone; the emulator's takes one that is written out."""

    def applies_to(self, node: exp.Expression) -> bool:
        return isinstance(node, exp.Date) and bool(node.args.get("zone"))

    def rewrite(self, node: exp.Expression) -> exp.Expression:
        moment = exp.cast(node.this.copy(), exp.DType.TIMESTAMPTZ)
        local = exp.Anonymous(this="timezone", expressions=[node.args["zone"].copy(), moment])
        return exp.cast(local, exp.DType.DATE)


def expressions() -> None:
    """Rewrite expressions that DuckDB evaluates to something else than BigQuery.

    UPPER is DuckDB's own: the emulator calls Python for every value, 0.2 ms each.
    """

    def create_functions(self: DuckDBEngine) -> None:
        original(self)
        create_division(self.connection, DIVIDE, lambda dividend: 12, exact_integers=False)

    original = DuckDBEngine._register_builtin_udfs
    DuckDBEngine._register_builtin_udfs = create_functions
    kept = [rule for rule in rules._REGISTRY if rule not in (AvgDecimalRule, DivDecimalRule, UpperUnicodeRule)]
    rules._REGISTRY[:] = [*kept, ExactDivision, TruncatedDateStaysDate, MidnightInZone, DateInZone]
    executor._translator = SQLTranslator()


def names_as_written() -> None:
    """A column is called as it was written; the emulator writes it in lower case where it looks types up.

    Only the rules for averages and quotients ask for types, and they are others here.
    """
    inner_query.build_catalog_schema = lambda *args, **context: {}


def json_lines() -> None:
    """A load of JSON lines takes gzip and all digits of a number, and refuses unknown fields; the emulator does not."""

    def load(path: str, job: Any, ctx: AppContext) -> None:
        if job.source_format not in ("NEWLINE_DELIMITED_JSON", "JSON"):
            original(path, job, ctx)
            return
        columns = [row[:2] for row in ctx.engine.execute(f"describe {job.target_ref}").fetchall()]
        strict = not job.raw_config.get("ignoreUnknownValues")
        rows = select_json_lines(ctx.engine.connection, Path(path), columns, strict=strict)
        ctx.engine.execute(f"insert into {job.target_ref} by name {rows}")

    original = executor._load_path_into_target
    executor._load_path_into_target = load


def statements_of_dlt_and_dbt() -> None:
    """Several columns can be added at once, and dbt's insert_overwrite runs; the emulator stops at their syntax."""

    async def execute(project_id: str, job_id: str, sql: str, *args: Any, **options: Any) -> JobMeta:
        sql = one_column_each(without_ignore_nulls(plain_assignment(without_first_comment(sql))))
        return await original(project_id, job_id, sql, *args, **options)

    original = job_routes.execute_query_job
    job_routes.execute_query_job = execute


def without_first_comment(sql: str) -> str:
    """Without dbt's comment, which the emulator leaves out for some of its questions: it would parse two texts."""
    return re.sub(r"\A\s*/\*.*?\*/\s*", "", sql, flags=re.DOTALL)


def without_ignore_nulls(sql: str) -> str:
    """array_agg(distinct x ignore nulls) without `ignore nulls`, for an x that is never NULL."""
    x = r"((?:[^()]|\([^()]*\))+?)"
    return re.sub(
        rf"array_agg\(\s*distinct\s+{x}\s+ignore\s+nulls\s*\)", r"array_agg(distinct \1)", sql, flags=re.IGNORECASE
    )


def plain_assignment(sql: str) -> str:
    """set (x) = (select as struct ..) as set x = (select ..)."""
    assignment = r"\bset\s*\(\s*(\w+)\s*\)\s*=\s*\(\s*select\s+as\s+struct\b"
    return re.sub(assignment, r"set \1 = (select", sql, flags=re.IGNORECASE)


def one_column_each(sql: str) -> str:
    """alter table t add column a .., add column b .. as one statement a column."""
    if not re.match(r"\s*alter\s+table\s.*\sadd\s+column\s.*,\s*add\s+column\s", sql, re.IGNORECASE | re.DOTALL):
        return sql
    tree = sqlglot.parse_one(sql, read="bigquery")
    table = tree.this.sql(dialect="bigquery")
    columns = [action.sql(dialect="bigquery") for action in tree.args["actions"]]
    return "; ".join(f"alter table {table} add column {column}" for column in columns)


def parse_once() -> None:
    """Not a gap, but time: the emulator parses a statement some fifty times, and copies it with every position.

    Who only reads a tree is given the one that there is.
    """

    def trees(dialect: Dialect, sql: str) -> list[exp.Expression | None]:
        key = (type(dialect), sql)
        if key not in parsed:
            if len(parsed) >= STATEMENTS_KEPT:
                parsed.clear()
            parsed[key] = parse_always(dialect, sql)
        return parsed[key]

    def parse(self: Dialect, sql: str, **options: Any) -> list[exp.Expression | None]:
        if any(value is not None for value in options.values()):
            return parse_always(self, sql, **options)
        return [tree and tree.copy() for tree in trees(self, sql)]

    def parse_one(sql: str, read: str | None = None, **options: Any) -> exp.Expression:
        if not options and sys._getframe(1).f_globals["__name__"] in ONLY_READ:
            found = trees(Dialect.get_or_raise(read), sql)
            if len(found) == 1 and found[0]:
                return found[0]
        return parse_one_always(sql, read, **options)

    parsed: dict[tuple[type, str], list[exp.Expression | None]] = {}
    parse_always, parse_one_always = Dialect.parse, sqlglot.parse_one
    Dialect.parse, sqlglot.parse_one = parse, parse_one
    # Nobody here writes `from t, t.list`, which is looked for in copies of all that is read.
    BigQueryParser.SUPPORTS_IMPLICIT_UNNEST = False
    for kind in (exp.Expr, exp.Expression):
        kind.update_positions = lambda self, *args, **options: self

    def flat_copy(value: Any) -> Any:
        """Of a tree a copy, as before; what its nodes have beside is flat (positions, comments), or stays (a type)."""
        if isinstance(value, exp.DataType):
            return value
        return value.__deepcopy__({}) if isinstance(value, exp.Expr) else value.copy()

    core.deepcopy = flat_copy


def generate_without_copies() -> None:
    """Not a gap, but time: a tree is copied before its SQL is written, though nobody needs it afterwards."""

    def generate(self: DuckDB, expression: exp.Expression, copy: bool = True, **options: Any) -> str:
        return Dialect.generate(self, expression, copy=False, **options)

    DuckDB.generate = generate


def views_as_they_are() -> None:
    """Not a gap, but time: the emulator writes the body of each view into what reads it, for policies of rows.

    Nobody has any here, and DuckDB reads the view itself.
    """
    inner_query.rewrite_for_row_access = lambda sql, **context: sql


def tokens() -> None:
    """Google gives out tokens for keys of service accounts; the emulator needs none and gives none."""

    def token() -> dict[str, Any]:
        return {"access_token": "none", "token_type": "Bearer", "expires_in": 3600}

    changed_app(lambda app: app.post("/token")(token))


def errors_of_queries() -> None:
    """A query that fails is answered with 400; the emulator answers `jobs.query` with 200, which looks like no rows."""

    async def tell(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        if not request.url.path.endswith("/queries"):
            return response
        body = b"".join([chunk async for chunk in response.body_iterator])
        errors = json.loads(body).get("errors")
        if errors:
            return JSONResponse(query_error(errors[0]["message"]), 400)
        return Response(body, response.status_code, dict(response.headers))

    changed_app(lambda app: app.middleware("http")(tell))


def errors_that_end() -> None:
    """What can't be run is an error of the query; for its own gaps the emulator answers 500, an outage for clients."""
    changed_app(lambda app: app.add_middleware(NoServerErrors, status=400, body=query_error))


def query_error(message: str) -> dict[str, Any]:
    """The body of Google's answer to a query that fails."""
    details = {"reason": "invalidQuery", "message": message}
    return {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": message, "errors": [details]}}


def changed_app(change: Callable[[FastAPI], object]) -> None:
    """Change the web application that the emulator is going to make."""

    def create_app(context: AppContext) -> FastAPI:
        app = original(context)
        change(app)
        return app

    original = server.create_app
    server.create_app = create_app


def main(port: int, folder: Path) -> None:
    """Serve until SIGTERM."""
    patch()
    end_with_parent()
    server.run_forever(
        Settings(
            rest_port=port,
            grpc_port=0,
            upload_staging_dir=folder,
            enable_format_extensions=False,
            query_cache_ttl_seconds=0,
            log_format="console",
            log_level="warning",
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
