"""Start fakesnow, an emulator of Snowflake on DuckDB, with what it lacks for dlt, dbt-snowflake and this project.

usage: snowflake_server.py PORT   (serves 127.0.0.1:PORT until SIGTERM or the end of its standard input)

Every function called by `patch` closes one gap between fakesnow 0.12.1 and Snowflake; its docstring names both sides.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import snowflake.connector.errors
import sqlglot
from fakesnow import arrow, copy_into, cursor, dialect, rowtype, transforms
from fakesnow import server as serve  # the function: importing the module of this name hides it
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.server import app
from shared import NoServerErrors, create_division, division_by, end_with_parent, is_division, select_json_lines
from sqlglot import exp

DIVIDE = "_fs_global.main.warehouse_divide"
VARIANT_TEXT = "_fs_global.main.warehouse_variant_text"
ROWS_OF_LITERALS = (exp.Values, exp.Tuple, exp.Literal, exp.Null)
DAYS_AND_LONGER = {"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"}

server = sys.modules["fakesnow.server"]
current = threading.local()


def patch() -> None:
    """Close every gap."""
    several_statements()
    statements_as_written()
    remove_from_stage()
    json_lines_by_column_name()
    numbers_stay_numbers()
    expressions()
    try_cast_to_timestamp()
    fast_seeds()  # skips what is above it
    values_as_answered()
    merge_of_duckdb()
    errors_that_end()


def several_statements() -> None:
    """A request may hold several statements, as dlt sends them; the emulator runs a request as one."""

    def execute(self: FakeSnowflakeCursor, command: str, *args: Any, **options: Any) -> FakeSnowflakeCursor:
        for statement in statements(command):
            original(self, statement, *args, **options)
        return self

    original = FakeSnowflakeCursor.execute
    FakeSnowflakeCursor.execute = execute


def statements(command: str) -> list[str]:
    """The statements of a request; a request without any is one."""
    if ";" not in command:
        return [command]
    tokens = sqlglot.tokenize(command, read="snowflake")
    ends = [token.start for token in tokens if token.token_type == sqlglot.TokenType.SEMICOLON]
    starts = [0, *(end + 1 for end in ends)]
    found = [command[start:end] for start, end in zip(starts, [*ends, len(command)], strict=True)]
    return [statement for statement in found if statement.strip()] or [command]


def statements_as_written() -> None:
    """Snowflake takes stages and options of COPY as string literals, and temporary tables with a schema.

    The emulator knows stages and options without quotes only, and DuckDB has no schema for what is temporary.
    """

    def parse_one(command: str) -> exp.Expression:
        tree = original(statements(command)[-1])
        for rewrite in (unquote_stage, unquote_options, make_permanent):
            rewrite(tree)
        return tree

    original = dialect.parse_one
    server.parse_one = cursor.parse_one = parse_one


def unquote_stage(tree: exp.Expression) -> None:
    """PUT .. '@"S"."%T"/"1.2"' and COPY INTO .. FROM '@"S"."%T"/"1.2"/f.jsonl': the stage as the emulator reads it."""
    if isinstance(tree, exp.Put):
        tree.set("target", stage(tree.args["target"].name))
    elif isinstance(tree, exp.Copy):
        for file in tree.args["files"]:
            if isinstance(file.this, exp.Literal) and file.this.name.startswith("@"):
                file.set("this", stage(file.this.name))


def stage(location: str) -> exp.Var:
    """A stage location, quotes around its folders taken off."""
    name, slash, folders = location.strip("'").partition("/")
    return exp.Var(this=name + slash + folders.replace('"', ""))


def unquote_options(tree: exp.Expression) -> None:
    """MATCH_BY_COLUMN_NAME = 'CASE_INSENSITIVE' and FILE_FORMAT = (TYPE = 'JSON', BINARY_FORMAT = ..) of COPY."""
    if not isinstance(tree, exp.Copy):
        return
    for option in tree.args["params"]:
        if option.name.upper() == "MATCH_BY_COLUMN_NAME" and isinstance(option.expression, exp.Literal):
            option.set("expression", exp.Var(this=option.expression.name))
        elif option.name.upper() == "FILE_FORMAT":
            option.set("expressions", [part for part in option.expressions if part.name.upper() == "TYPE"])


def make_permanent(tree: exp.Expression) -> None:
    """CREATE TEMPORARY TABLE with a schema: as permanent. dbt and dlt drop what they create."""
    properties = tree.args.get("properties") if isinstance(tree, exp.Create) else None
    if properties and tree.find(exp.Table).db:
        kept = [item for item in properties.expressions if not isinstance(item, exp.TemporaryProperty)]
        properties.set("expressions", kept)


def remove_from_stage() -> None:
    """REMOVE takes files off a stage; the emulator has no such statement, and here the stage goes with the server."""

    def execute(self: FakeSnowflakeCursor, command: str, *args: Any, **options: Any) -> FakeSnowflakeCursor:
        is_remove = command.lstrip().upper().startswith("REMOVE ")
        return original(self, "select 1 as removed" if is_remove else command, *args, **options)

    original = FakeSnowflakeCursor.execute
    FakeSnowflakeCursor.execute = execute


def fast_seeds() -> None:
    """INSERT of literals, as of a seed, is fast; the emulator looks at every literal sixty times, 0.3 ms each."""

    def transform(self: FakeSnowflakeCursor, tree: exp.Expression, *args: Any) -> exp.Expression:
        values = tree.expression if isinstance(tree, exp.Insert) else None
        if not (isinstance(values, exp.Values) and all(isinstance(node, ROWS_OF_LITERALS) for node in values.walk())):
            return original(self, tree, *args)
        tree.set("expression", exp.values([(1,)]))
        transformed = original(self, tree, *args)
        transformed.set("expression", values)
        return transformed

    original = FakeSnowflakeCursor._transform
    FakeSnowflakeCursor._transform = transform


def json_lines_by_column_name() -> None:
    """COPY .. MATCH_BY_COLUMN_NAME fills columns from the keys of JSON lines; the emulator has it for Parquet only."""

    def copy(connection: duckdb.DuckDBPyConnection, database: str, schema: str, *args: Any, **options: Any) -> str:
        current.session = (connection, database, schema)
        return original_copy(connection, database, schema, *args, **options)

    def inserts(copying: exp.Copy, params: Any, urls: list[str], *args: Any) -> list[exp.Expression]:
        by_name = params.match_by_column_name is not copy_into.MatchByColumnName.NONE
        if not (by_name and isinstance(params.file_format, copy_into.ReadJSON)):
            return original_inserts(copying, params, urls, *args)
        connection, database, schema = current.session
        table = copy_into._extract_table(copying.this)
        columns = copy_into._describe_table(table, connection, database, schema)
        selects = [select_json_lines(connection, Path(url), columns, strict=False) for url in urls]
        target = table.sql(dialect="duckdb")
        return [exp.Command(this=f"insert into {target} by name {select}") for select in selects]

    original_copy, original_inserts = cursor.copy_into, copy_into._inserts
    cursor.copy_into, copy_into._inserts = copy, inserts


def numbers_stay_numbers() -> None:
    """SUM of NUMBER is NUMBER; the emulator casts the argument of every aggregate to DOUBLE."""
    transforms.numeric_agg_implicit_cast = lambda expression: expression


def expressions() -> None:
    """Rewrite expressions that DuckDB evaluates to something else than Snowflake, innermost first."""

    def transform(self: FakeSnowflakeCursor, *args: Any) -> exp.Expression:
        tree = original(self, *args)
        for node in reversed(list(tree.walk())):
            for rewrite in (exact_division, dates_stay_dates, text_of_variants):
                if replacement := rewrite(node):
                    node.replace(replacement)
                    break
        return tree

    original = FakeSnowflakeCursor._transform
    FakeSnowflakeCursor._transform = transform
    create_functions(server.shared_fs.duck_conn)


def create_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Create what the rewritten expressions call."""
    create_division(connection, DIVIDE, decimals_of_quotient, exact_integers=True)
    text = "case when typeof(v) = 'JSON' then json_extract_string(cast(v as varchar), '$') else cast(v as varchar) end"
    connection.execute(f"create macro {VARIANT_TEXT}(v) as {text}")


def exact_division(node: exp.Expression) -> exp.Expression | None:
    """A quotient or an average of NUMBER has the dividend's decimals plus 6, up to 12; the emulator's is a DOUBLE."""
    return division_by(DIVIDE, node) if is_division(node) else None


def decimals_of_quotient(dividend: Decimal) -> int:
    """Decimals of a quotient of NUMBER."""
    scale = -int(dividend.as_tuple().exponent)
    return max(scale, min(scale + 6, 12))


def dates_stay_dates(node: exp.Expression) -> exp.Expression | None:
    """DATE_TRUNC of a DATE, and days or months added to one, are a DATE; the emulator's are a TIMESTAMP."""
    adds_days = isinstance(node, exp.DateAdd) and node.text("unit").upper() in DAYS_AND_LONGER
    if not (adds_days or isinstance(node, exp.DateTrunc | exp.TimestampTrunc)) or isinstance(node.this, exp.Literal):
        return None
    return exp.Anonymous(this="cast_to_type", expressions=[node.copy(), node.this.copy()])


def text_of_variants(node: exp.Expression) -> exp.Expression | None:
    """A VARIANT cast to text is the text itself, NULL for null; the emulator's is in quotes unless taken by a path."""
    is_text = isinstance(node, exp.Cast) and node.to.this in exp.DataType.TEXT_TYPES
    if not is_text or isinstance(node, exp.TryCast) or isinstance(node.this, exp.Literal):
        return None
    # A bare `variant -> key` would be read as a lambda.
    return exp.Anonymous(this=VARIANT_TEXT, expressions=[exp.Coalesce(this=node.this.copy())])


def try_cast_to_timestamp() -> None:
    """TRY_CAST to a timestamp is NULL for other text; the emulator makes it a cast, which fails."""
    original = transforms.to_timestamp
    transforms.to_timestamp = lambda node: node if isinstance(node, exp.TryCast) else original(node)


def values_as_answered() -> None:
    """A timestamp that is NULL is answered as NULL; the emulator answers 1970, and fails for integers of one byte."""

    def encoded(values: pa.ChunkedArray) -> pa.StructArray:
        whole = values.combine_chunks()
        seconds = original(whole)
        return pa.StructArray.from_arrays(seconds.flatten(), fields=list(seconds.type), mask=whole.is_null())

    original = arrow.timestamp_to_sf_struct
    arrow.timestamp_to_sf_struct = encoded
    rowtype.duckdb_to_sf_type.update(TINYINT="fixed", SMALLINT="fixed", UTINYINT="fixed", USMALLINT="fixed")


def merge_of_duckdb() -> None:
    """MERGE may insert a column of the source by its bare name, as dbt does; the emulator calls it ambiguous.

    DuckDB has MERGE itself. The numbers of rows that are answered are 0.
    """

    def merge(tree: exp.Expression) -> list[exp.Expression]:
        return [tree, sqlglot.parse_one(counts, read="snowflake")] if isinstance(tree, exp.Merge) else [tree]

    counts = 'select 0 as "number of rows inserted", 0 as "number of rows updated"'
    transforms.merge = merge


def errors_that_end() -> None:
    """A statement that fails is answered with its error, and the session goes on.

    The emulator's transaction is dead after an error, so it is rolled back here. For its own gaps the emulator answers
    with HTTP 500, which the connector takes for an outage.
    """

    def execute(self: FakeSnowflakeCursor, *args: Any, **options: Any) -> FakeSnowflakeCursor:
        try:
            return original(self, *args, **options)
        except snowflake.connector.errors.Error:
            roll_back(self)
            raise
        except Exception as error:
            roll_back(self)
            message = f"the emulator failed: {type(error).__name__}: {error}"
            raise snowflake.connector.errors.ProgrammingError(msg=message, errno=9999, sqlstate="99999") from error

    def answer(message: str) -> dict[str, Any]:
        data = {"errorCode": "009999", "sqlState": "99999"}
        return {"data": data, "code": "009999", "message": message, "success": False}

    original = FakeSnowflakeCursor.execute
    FakeSnowflakeCursor.execute = execute
    app.add_middleware(NoServerErrors, status=200, body=answer)


def roll_back(self: FakeSnowflakeCursor) -> None:
    """End the transaction of a session, when there is one."""
    with suppress(duckdb.Error):
        self._duck_conn.execute("rollback")
    self._conn._in_transaction = False


def main(port: int) -> None:
    """Serve until SIGTERM."""
    patch()
    end_with_parent()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with serve(port=port):
        stop.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
