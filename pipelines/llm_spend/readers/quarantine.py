"""Find the lines of a log file that could not be read: which line, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from llm_spend.readers.files import LogFile, layout_of
from llm_spend.readers.records import LogFormat, problem_sql, read_sql
from llm_spend.readers.sql import identifier, quote


@dataclass(frozen=True)
class UnreadableLine:
    """A line (1-based; None where records are not lines), why it could not be read, and its text."""

    number: int | None
    reason: str
    text: str | None


def unreadable_lines(fmt: LogFormat, file: LogFile) -> Iterator[UnreadableLine]:
    """The records of a file that the format can't read, in order.

    A second reading of the few files that have some: numbering every line of every file would cost the load its
    second core.
    """
    layout = layout_of(file)
    with duckdb.connect() as connection:
        if layout == "newline_delimited":
            query = _lines_sql(fmt, file)
        else:
            query = (
                f"SELECT row_number() OVER (), {problem_sql(fmt)} AS problem, NULL"
                f" FROM {read_sql(fmt, layout, [file.local_path])}"
            )
        rows = connection.execute(f"SELECT * FROM ({query}) WHERE problem IS NOT NULL").fetchall()
    for number, reason, text in rows:
        yield UnreadableLine(number, reason, text)


def _lines_sql(fmt: LogFormat, file: LogFile) -> str:
    """The lines of a file, numbered, with the same fields under the same alias as the reader's."""
    structure = ", ".join(
        f'"{name}": "{"JSON" if name in fmt.json_fields else "VARCHAR"}"' for name in fmt.fields
    )
    lines = (
        f"SELECT row_number() OVER () AS number, line FROM read_csv({quote(file.local_path)},"
        " columns={'line': 'VARCHAR'}, delim='\x01', quote='', escape='', header=false, auto_detect=false,"
        " strict_mode=false, max_line_size=134217728)"
    )
    parsed = f"from_json(CASE WHEN json_valid(line) THEN line END, {quote('{' + structure + '}')})"
    fields = ", ".join(f"parsed.{identifier(name)} AS {identifier(name)}" for name in fmt.fields)
    return (
        f"SELECT r.number, CASE WHEN NOT json_valid(r.line) THEN 'not valid JSON' ELSE {problem_sql(fmt)} END"
        f" AS problem, r.line FROM (SELECT number, line, {fields} FROM"
        f" (SELECT number, line, {parsed} AS parsed FROM ({lines}) WHERE trim(line) <> '')) AS r"
    )
