"""Find the lines of a log file that could not be read: which line, and why."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from tempfile import NamedTemporaryFile

import duckdb

from llm_spend.readers.checks import UnreadableLine
from llm_spend.readers.files import LogFile, format_of, layout_of
from llm_spend.readers.records import (
    LogFormat,
    document_fields,
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
    try:
        yield from _first(_lines_sql(fmt, file.local_path), limit)
    except duckdb.InvalidInputException:
        with NamedTemporaryFile("w", prefix="llm_spend_", suffix=".txt", encoding="utf-8") as copy:
            copy.writelines(_decoded_lines(file))
            copy.flush()
            yield from _first(_lines_sql(fmt, copy.name), limit)


def _first(query: str, limit: int) -> list[UnreadableLine]:
    found = f"SELECT * FROM ({query}) WHERE problem IS NOT NULL ORDER BY number LIMIT {limit}"
    with duckdb.connect() as connection:
        return [UnreadableLine(*row) for row in connection.execute(found).fetchall()]


def _decoded_lines(file: LogFile) -> Iterator[str]:
    """The lines of a file that is not UTF-8 throughout; lines that are not are no JSON either."""
    opener = gzip.open if file.local_path.lower().endswith(".gz") else open
    with opener(file.local_path, "rb") as stream:
        for line in stream:
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                yield f"not UTF-8: {line.decode('utf-8', errors='replace')}"


def _lines_sql(fmt: LogFormat, path: str) -> str:
    """The lines of a file, numbered, with the same fields under the same alias as the reader's."""
    types = document_fields(fmt)
    lines = (
        f"SELECT row_number() OVER () AS number, line FROM read_csv({quote(literal_path(path))},"
        " columns={'line': 'VARCHAR'}, delim='\x01', quote='', escape='', header=false, auto_detect=false,"
        " strict_mode=false, max_line_size=134217728)"
    )
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
