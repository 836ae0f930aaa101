"""Find the lines of a log file that could not be read: which line, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from tempfile import NamedTemporaryFile

import duckdb

from llm_spend.readers.checks import UnreadableLine
from llm_spend.readers.files import LogFile, format_of, layout_of
from llm_spend.readers.records import (
    LogFormat,
    document_fields,
    json_sql,
    literal_path,
    problem_sql,
    read_sql,
    unnested_sql,
    unwrapped_sql,
    with_texts_sql,
)
from llm_spend.readers.sql import identifier, quote


def unreadable_lines(fmt: LogFormat, file: LogFile, limit: int) -> Iterator[UnreadableLine]:
    """The first `limit` records of a file that the format can't read, in order.

    A second reading of the few files that have some: numbering every line of every file would cost the load its
    second core.
    """
    fmt, layout = format_of(fmt, file), layout_of(file)
    if layout != "newline_delimited":
        query = (
            f"SELECT row_number() OVER () AS number, {problem_sql(fmt)} AS problem, NULL AS text"
            f" FROM {read_sql(fmt, layout, [file.local_path])}"
        )
        # A record is not a line here: a CSV field may hold line breaks, an array may be one line.
        for record in _first(query, limit):
            yield UnreadableLine(None, f"record {record.number}: {record.reason}")
        return
    if (suspects := _suspects(fmt, file, limit)) is not None:
        lines = "SELECT unnest($numbers) AS number, unnest($lines) AS line"
        yield from _first(
            _lines_sql(fmt, lines), limit, {"numbers": list(suspects), "lines": [*map(_decoded, suspects.values())]}
        )
        return
    try:
        yield from _first(_lines_sql(fmt, _numbered(file.local_path)), limit)
    except duckdb.InvalidInputException:
        with (
            NamedTemporaryFile("w", prefix="llm_spend_", suffix=".txt", encoding="utf-8") as copy,
            file.open() as stream,
        ):
            copy.writelines(map(_decoded, stream))
            copy.flush()
            yield from _first(_lines_sql(fmt, _numbered(copy.name)), limit)


def _first(query: str, limit: int, parameters: Mapping[str, object] | None = None) -> list[UnreadableLine]:
    found = f"SELECT * FROM ({query}) WHERE problem IS NOT NULL ORDER BY number LIMIT {limit}"
    with duckdb.connect() as connection:
        return [UnreadableLine(*row) for row in connection.execute(found, parameters).fetchall()]


def _suspects(fmt: LogFormat, file: LogFile, limit: int) -> dict[int, bytes] | None:
    """The first `limit` lines, by number, that DuckDB's reader of JSON makes no whole record of; None if it can't tell.

    It takes less than half the time of reading each line by itself. It counts documents: those are the lines that are
    not blank, unless one of them took its neighbour with it, and then the numbers differ.
    """
    if fmt.unnest or fmt.line_prefix or file.is_zstandard:
        return None
    numbered = (
        f"(SELECT row_number() OVER () AS number, * FROM {json_sql(fmt, 'newline_delimited', [file.local_path])})"
    )
    query = (
        f"SELECT count(*), list(number ORDER BY number) FILTER (WHERE problem IS NOT NULL) FROM (SELECT r.number,"
        f" {problem_sql(fmt)} AS problem FROM {with_texts_sql(fmt, unwrapped_sql(fmt, f'{numbered} AS r'))})"
    )
    try:
        with duckdb.connect() as connection:
            documents, found = connection.execute(query).fetchall()[0]
    except duckdb.InvalidInputException:  # a document over several lines, for one
        return None
    wanted = set((found or [])[:limit])
    suspects: dict[int, bytes] = {}
    seen = 0
    with file.open() as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            seen += 1
            if seen in wanted:
                suspects[number] = line.rstrip(b"\r\n")
    return suspects if seen == documents else None


def _decoded(line: bytes) -> str:
    """A line as text; one that is not UTF-8 is no JSON either."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return f"not UTF-8: {line.decode('utf-8', errors='replace')}"


def _numbered(path: str) -> str:
    """A SELECT of the lines of a file, as `line`, with their numbers."""
    return (
        f"SELECT row_number() OVER () AS number, line FROM read_csv({quote(literal_path(path))},"
        " columns={'line': 'VARCHAR'}, delim='\x01', quote='', escape='', header=false, auto_detect=false,"
        " strict_mode=false, max_line_size=134217728)"
    )


def _lines_sql(fmt: LogFormat, lines: str) -> str:
    """Numbered lines and what is wrong with them, by the same fields under the same alias as the reader's."""
    types = document_fields(fmt)
    if fmt.line_prefix:
        lines = f"SELECT number, regexp_replace(line, {quote(fmt.line_prefix)}, '') AS line FROM ({lines})"
    parsed = f"from_json(CASE WHEN json_valid(line) THEN line END, {quote(json.dumps(types))})"
    fields = ", ".join(f"parsed.{identifier(name)} AS {identifier(name)}" for name in types)
    documents = (
        f"(SELECT number, line, {fields} FROM"
        f" (SELECT number, line, {parsed} AS parsed FROM ({lines}) WHERE trim(line) <> '')) AS r"
    )
    return (
        f"SELECT r.number, CASE WHEN NOT json_valid(r.line) THEN 'not valid JSON' ELSE {problem_sql(fmt)} END"
        f" AS problem, r.line AS text FROM {with_texts_sql(fmt, unnested_sql(fmt, unwrapped_sql(fmt, documents)))}"
    )
