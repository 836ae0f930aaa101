"""What both emulators lack in the same way: exact quotients, exact decimals from JSON, errors clients understand."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Places = Callable[[Decimal], int]

SCALE = 12
DECIMAL = f"DECIMAL(38, {SCALE})"
GZIP = b"\x1f\x8b"


def end_with_parent() -> None:
    """End this process when its standard input ends, so that a test run that was killed leaves no server behind."""

    def wait() -> None:
        while os.read(stdin, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    stdin = sys.stdin.fileno()
    threading.Thread(target=wait, daemon=True).start()


# Division


def create_division(connection: duckdb.DuckDBPyConnection, macro: str, places: Places, *, exact_integers: bool) -> None:
    """Create the SQL macro `macro`(a, b): a / b, exact and rounded half up when one is a decimal and none is a float.

    The warehouses divide decimals as decimals, DuckDB divides them as DOUBLE. `places` tells the decimals of a quotient
    from its dividend; at most 12 are kept. With `exact_integers` two integers are divided like decimals.
    """
    connection.create_function("exact_quotient", quotients(places), ["VARCHAR", "VARCHAR"], "VARCHAR", type="arrow")
    # It has the type of the quotient: ROUND of an integer is one in DuckDB, FLOOR of an integer is a DOUBLE.
    whole = "round(coalesce(a + b, 0), 0)" if exact_integers else "floor(a + b)"
    example = f"cast(0 as {DECIMAL}) + {whole}"
    exact = "exact_quotient(cast(a as varchar), cast(b as varchar))"
    quotient = f"case when typeof({example}) = 'DOUBLE' then cast(a / b as varchar) else {exact} end"
    connection.execute(f"create or replace macro {macro}(a, b) as cast_to_type({quotient}, {example})")


def quotients(places: Places) -> Callable[[pa.Array, pa.Array], pa.Array]:
    """Quotients of two columns of text. DuckDB calls it once a chunk: a call for every row takes 30 times as long."""

    def of_columns(dividends: pa.Array, divisors: pa.Array) -> pa.Array:
        with localcontext(prec=80, rounding=ROUND_HALF_UP):
            pairs = zip(dividends.to_pylist(), divisors.to_pylist(), strict=True)
            return pa.array([str(quotient(Decimal(a), Decimal(b), places)) for a, b in pairs], type=pa.string())

    return of_columns


def quotient(dividend: Decimal, divisor: Decimal, places: Places) -> Decimal:
    """dividend / divisor, rounded as the current context says."""
    return (dividend / divisor).quantize(Decimal(1).scaleb(-min(places(dividend), SCALE)))


def is_division(node: exp.Expression) -> bool:
    """Whether a node of SQL is a quotient or an average, which is one too."""
    if isinstance(node, exp.Window):
        return isinstance(node.this, exp.Avg)
    return isinstance(node, exp.Div) or (isinstance(node, exp.Avg) and not isinstance(node.parent, exp.Window))


def division_by(macro: str, node: exp.Expression) -> exp.Expression:
    """A quotient or an average as a call of the macro that `create_division` made."""
    return exp.Anonymous(this=macro, expressions=[*parts(node)])


def parts(node: exp.Expression) -> tuple[exp.Expression, exp.Expression]:
    """What a quotient or an average divides by what."""
    if isinstance(node, exp.Div):
        return node.this.copy(), node.expression.copy()
    if isinstance(node, exp.Window):
        total, number = parts(node.this)
        return over(node, total), over(node, number)
    return exp.Sum(this=node.this.copy()), exp.Count(this=node.this.copy())


def over(window: exp.Window, aggregate: exp.Expression) -> exp.Expression:
    """Another aggregate over the same window."""
    other = window.copy()
    other.set("this", aggregate)
    return other


# JSON lines


def select_json_lines(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Iterable[tuple[str, str]], *, strict: bool
) -> str:
    """A SELECT that reads JSON lines, plain or gzipped, as those of `columns` (name, DuckDB type) that the file has.

    Keys and columns are matched without regard to case; null is NULL. Raises ValueError for a key without a column
    when `strict`; otherwise such keys are left out.
    """
    types = {name.lower(): (name, kind) for name, kind in columns}
    keys = file_keys(connection, path)
    if strict and (unknown := [key for key in keys if key.lower() not in types]):
        raise ValueError(f"No such field: {', '.join(unknown)}")
    kinds = {key: types[key.lower()][1] for key in keys if key.lower() in types}
    if not kinds:
        nothing = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in types.values())
        return f"select {nothing} where false"
    decimals = [key for key, kind in kinds.items() if kind.startswith("DECIMAL")]
    if has_unquoted_decimals(connection, path, decimals):
        quote_decimals(path, decimals)
    casts = [f"cast({quoted(key)} as {kind}) as {quoted(types[key.lower()][0])}" for key, kind in kinds.items()]
    read = {key: "JSON" if kind == "JSON" else "VARCHAR" for key, kind in kinds.items()}
    return f"select {', '.join(casts)} from {read_json(path, read)}"


def file_keys(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Every top-level key of a file of JSON lines."""
    objects = f"read_json_objects({source(path)})"
    return [key for (key,) in connection.execute(f"select distinct unnest(json_keys(json)) from {objects}").fetchall()]


def has_unquoted_decimals(connection: duckdb.DuckDBPyConnection, path: Path, decimals: list[str]) -> bool:
    """Whether one of these keys holds a number that DuckDB would read as DOUBLE."""
    if not decimals:
        return False
    unquoted = " or ".join(f"json_type({quoted(key)}) = 'DOUBLE'" for key in decimals)
    rows = f"from {read_json(path, dict.fromkeys(decimals, 'JSON'))} where {unquoted} limit 1"
    return connection.execute(f"select 1 {rows}").fetchone() is not None


def quote_decimals(path: Path, decimals: list[str]) -> None:
    """Rewrite a file of JSON lines with the numbers of these keys as text: the warehouses read all digits of them."""
    compressed = is_gzip(path)
    content = path.read_bytes()
    lines = (gzip.decompress(content) if compressed else content).splitlines()
    records = [json.loads(line, parse_float=Decimal) for line in lines if line.strip()]
    for record in records:
        record.update({key: str(record[key]) for key in decimals if isinstance(record.get(key), int | Decimal)})
    quoted_lines = "".join(json.dumps(record, default=float) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(quoted_lines) if compressed else quoted_lines)


def read_json(path: Path, columns: dict[str, str]) -> str:
    """DuckDB's read_json of some columns."""
    fields = ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns.items())
    return f"read_json({source(path)}, columns={{{fields}}})"


def source(path: Path) -> str:
    """The arguments with which DuckDB reads a file of JSON lines, whatever its name ends with."""
    compression = "gzip" if is_gzip(path) else "auto_detect"
    return f"{text(str(path))}, format='newline_delimited', compression='{compression}'"


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed."""
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def quoted(name: str) -> str:
    """An identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string in SQL."""
    return "'" + value.replace("'", "''") + "'"


# Errors


class NoServerErrors:
    """ASGI middleware that answers with an error of the query where the emulator fails with HTTP 5xx.

    The clients of both warehouses take 5xx for an outage and repeat the request for minutes.
    """

    def __init__(self, app: App, status: int, body: Callable[[str], dict[str, Any]]) -> None:
        """`body` makes the warehouse's description of an error from a text; it is sent with HTTP `status`."""
        self.app = app
        self.status = status
        self.body = body

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, and the answer back unless it is a 5xx."""
        failed = started = False
        reason = b""

        async def send_unless_failed(message: Message) -> None:
            nonlocal failed, started, reason
            if message["type"] == "http.response.start":
                failed = message["status"] >= 500
            if failed:
                reason += message.get("body", b"")
            else:
                started = True
                await send(message)

        try:
            await self.app(scope, receive, send_unless_failed)
        except Exception as error:
            if started:
                raise
            failed = True
            reason = reason or repr(error).encode()
        if failed:
            await self.send_error(send, reason.decode(errors="replace")[:2000])

    async def send_error(self, send: Send, reason: str) -> None:
        """Send an error of the query."""
        content = json.dumps(self.body(f"the emulator failed: {reason}")).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
