"""One SELECT that reads log files: DuckDB parses, types and marks what it can't read.

Every field is read as text and cast by us, so a value of the wrong type is a marked row and not the end of the load.
Numbers reach us as the shortest text of the double they parse to, which is the written text up to 17 digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llm_spend.readers.sql import field as field_sql
from llm_spend.readers.sql import identifier, quote
from llm_spend.schema import DUCKDB_TYPES, EXTRA, KIND_NAMES, LOG_LINEAGE, Column, Kind

Layout = Literal["newline_delimited", "array", "unstructured", "csv", "parquet"]

_FIELD = re.compile(r'\br\."((?:[^"]|"")+)"')
_TEXT_IN_DOCUMENT = re.compile(r"""json_extract_string\(r\."((?:[^"]|"")+)", ('(?:[^']|'')+')\)""")
UNPACKED = ".llm_spend_unpacked"
"""What the name of an unpacked copy ends with, after the name of its file."""

IN_MEMORY = "llm-spend-memory://"
"""What the path of a file begins with that is unpacked in memory."""

_LINES = ",\n  "
_ID = "source_record_id"
_MAX_OBJECT_BYTES = 128 << 20
LONGEST_LINE_IN_MEMORY = 16 << 20
"""Twice as much DuckDB takes for each buffer, and the system has to give it memory for each: the less the faster."""

# Snowflake copies several files at the same time; BigQuery takes no compressed file above 4 GB.
_MAX_FILE_SIZE = "250MB"


@dataclass(frozen=True)
class Unnest:
    """Records that lie inside of the documents of a file: several in one of them, or none.

    `records`: a list of structs, from fields `r."field"` of the document. It is NULL when the document is none of the
    log; then it counts as a record without a value. `fields`: the names in the struct; a record has them beside the
    fields of its document. `types`: DuckDB types of fields of the document that are neither text nor JSON.
    """

    records: str
    fields: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """What a table keeps of the records that its format leaves out: a row for each group of them in a file.

    `by`: the columns that make a group. `sums`: by column, an aggregate of columns of the format. `count`: the column
    that counts the records; it is NULL in rows of records that are kept.
    """

    by: tuple[str, ...]
    sums: Mapping[str, str]
    count: str


@dataclass(frozen=True)
class Inside:
    """Fields of a record that are not at the top of its document: attributes of a span, counts of usage.

    `items`: those of a document that was parsed, by name, read or not, for as many records as it holds. `known`: the
    names of those that are read. `value`: the JSON of the one with a name, in a record that is made by `reading`, given
    the names that are wanted; by the format's own `unnest` if there is none.
    """

    items: Callable[[Mapping[str, Any]], Iterable[tuple[str, Any]]]
    known: frozenset[str]
    value: Callable[[str], str]
    reading: Callable[[Sequence[str]], Unnest] | None = None


@dataclass(frozen=True)
class LogFormat:
    """How the lines of one kind of log become rows of one raw table.

    `columns` are in the order of the table; `json_fields` are read as JSON documents, all others as text.
    `envelope` is a field that may hold the record: a field that is not at the top is looked for in there. `fuller`
    reads what this format reads and more, into the same table, and takes longer: it is for files that begin like
    `fuller_if`, a regular expression.
    `keep` restricts the records that become rows. `metadata_given` tells whether a record carried metadata at all,
    so that metadata that can't be read is told from none; `metadata_unreadable`, where a record has it in several
    places, that one of them can't be read. `unnest`: where a document of the file is not a record. `left_out`: what is
    kept of the records that `keep` leaves out, of which nothing else is looked at. `by_fields`: makes the format of a
    file, into the same table, from its URL and the names and types of its fields. It raises UserError for a file that
    is none of the source. `extra`: an object of further fields, for the column `_extra`, if any. `line_prefix`: a
    regular expression of what may stand before the document in each line of a file. `of_table`: like `by_fields`, for
    files that are tables: CSV and Parquet. `ignored`: fields that are not read and are not new either. `inside`: where
    else than at the top of a document a field may be new. `content`: text that tells records apart; one without a
    `source_record_id` gets it for an id, with the number that it has among the records of its file with this text. So
    the same file under another name, or grown, gives the same ids.
    """

    source: str
    table: str
    columns: Mapping[str, Column]
    json_fields: frozenset[str] = frozenset()
    envelope: str | None = None
    fuller: LogFormat | None = None
    fuller_if: str = ""
    keep: str | None = None
    metadata_column: str | None = None
    metadata_given: str | None = None
    metadata_unreadable: str | None = None
    record_name: str = field(default="log record")
    unnest: Unnest | None = None
    left_out: LeftOut | None = None
    by_fields: Callable[[str, Mapping[str, str]], LogFormat] | None = None
    extra: str = ""
    line_prefix: str = ""
    of_table: Callable[[str, Mapping[str, str]], LogFormat] | None = None
    ignored: frozenset[str] = frozenset()
    inside: Inside | None = None
    content: str = ""

    @property
    def kinds(self) -> dict[str, Kind]:
        """Name and kind of every column of the raw table, lineage included."""
        own = {name: column.kind for name, column in self.columns.items()}
        return {**own, **LOG_LINEAGE, **(EXTRA if self.extra else {})}

    @property
    def event_time(self) -> str:
        """The column that says when a record happened."""
        return next(name for name, column in self.columns.items() if column.kind == "timestamp" and column.required)

    @property
    def fields(self) -> list[str]:
        """The fields that the expressions of the format refer to as `r."field"`."""
        return sorted({name for sql in self._expressions for name in _named(sql)})

    @property
    def file_fields(self) -> dict[str, str]:
        """By field that is read from the file: its DuckDB type."""
        names, types = set(self.fields), dict.fromkeys(self.json_fields, "JSON")
        if self.unnest:
            names = names.difference(self.unnest.fields).union(_named(self.unnest.records))
            types.update(self.unnest.types)
        return {name: types.get(name, "VARCHAR") for name in sorted(names)}

    @property
    def texts(self) -> dict[str, list[str]]:
        """By field that holds a JSON document: the paths, as SQL literals, at which the format reads texts in it."""
        found: dict[str, dict[str, None]] = {}
        for sql in self._expressions:
            for name, path in _TEXT_IN_DOCUMENT.findall(sql):
                found.setdefault(name.replace('""', '"'), {})[path] = None
        return {name: list(paths) for name, paths in found.items() if len(paths) > 1}

    @property
    def _expressions(self) -> list[str]:
        columns = self.columns.values()
        given = [column.sql for column in columns] + [column.text or "" for column in columns]
        others = (self.keep, self.metadata_given, self.metadata_unreadable, self.extra, self.content)
        return [*given, *(sql or "" for sql in others)]


def _named(sql: str) -> list[str]:
    """The fields that an expression refers to."""
    return [name.replace('""', '"') for name in _FIELD.findall(sql)]


def problem_sql(fmt: LogFormat, values: Mapping[str, str] | None = None) -> str:
    """Why a record can't become a row (text), NULL when it can; `values`: columns that hold what was parsed."""
    values = values or {name: f"({column.sql})" for name, column in fmt.columns.items()}
    nothing = "coalesce(" + ", ".join(f"CAST(r.{identifier(name)} AS VARCHAR)" for name in fmt.fields) + ") IS NULL"
    branches = [f"WHEN {nothing} THEN {quote(f'not a JSON object with a field of a {fmt.record_name}')}"]
    if fmt.left_out:
        branches.insert(0, f"WHEN NOT coalesce({fmt.keep}, TRUE) THEN NULL")
    for name, column in fmt.columns.items():
        given = column.text or values[name]
        if column.required:
            branches.append(f"WHEN {given} IS NULL THEN {quote(f'{name}: missing')}")
        if column.text:
            reason = quote(f"{name}: not {column.expected or KIND_NAMES[column.kind]}: ")
            branches.append(
                f"WHEN {column.text} IS NOT NULL AND {values[name]} IS NULL THEN {reason} || left({column.text}, 40)"
            )
    return _with_texts(fmt, "CASE " + " ".join([*_first_branch(fmt, values), *branches]) + " END")


def _first_branch(fmt: LogFormat, values: Mapping[str, str]) -> list[str]:
    """Most records have nothing wrong, which is quickly told: no value is missing where there is a text."""
    conditions = []
    for name, column in fmt.columns.items():
        if column.required:
            conditions.append(f"{values[name]} IS NOT NULL")
        elif column.text:
            conditions.append(f"({values[name]} IS NOT NULL OR {column.text} IS NULL)")
    # Without a required value a record may have no field at all.
    has_required = any(column.required for column in fmt.columns.values())
    return [f"WHEN {' AND '.join(conditions)} THEN NULL"] if has_required else []


def unnested_sql(fmt: LogFormat, documents: str) -> str:
    """A table of records from one of documents, both with the alias `r`."""
    if not fmt.unnest:
        return documents
    inside = identifier(f"{_apart(fmt)}record")
    fields = ", ".join(f"struct_extract(r.{inside}, {quote(name)}) AS {identifier(name)}" for name in fmt.unnest.fields)
    return (
        f"(SELECT r.* EXCLUDE ({inside}), {fields} FROM"
        f" (SELECT r.*, unnest(coalesce({fmt.unnest.records}, [NULL])) AS {inside} FROM {documents}) AS r) AS r"
    )


def with_texts_sql(fmt: LogFormat, table: str) -> str:
    """A table of records, `table` with the alias `r`, with the texts in its documents beside them.

    For every text that it is asked for, DuckDB would parse a document again; for a list of them it parses it once.
    """
    lists = ", ".join(
        f"json_extract_string({field_sql(name)}, [{', '.join(paths)}]) AS {identifier(_list_name(fmt, name))}"
        for name, paths in fmt.texts.items()
    )
    return f"(SELECT r.*, {lists} FROM {table}) AS r" if lists else table


def _with_texts(fmt: LogFormat, sql: str) -> str:
    """An expression that takes the texts of documents from the lists of with_texts_sql."""
    texts = fmt.texts

    def listed(match: re.Match[str]) -> str:
        name, path = match[1].replace('""', '"'), match[2]
        if path not in texts.get(name, []):
            return match[0]
        return f"{field_sql(_list_name(fmt, name))}[{texts[name].index(path) + 1}]"

    return _TEXT_IN_DOCUMENT.sub(listed, sql)


def _list_name(fmt: LogFormat, name: str) -> str:
    return f"{_apart(fmt)}texts of {name}"


def _apart(fmt: LogFormat) -> str:
    """More underscores than any field starts with: what starts with them is no field."""
    return "_" * (1 + max(len(name) - len(name.lstrip("_")) for name in fmt.fields))


def read_sql(fmt: LogFormat, layout: Layout, paths: Sequence[str]) -> str:
    """What reads `paths`; its alias `r` has one text or JSON column a field, the texts of documents, and `filename`."""
    return with_texts_sql(fmt, unnested_sql(fmt, _read_sql(fmt, layout, paths)))


def _read_sql(fmt: LogFormat, layout: Layout, paths: Sequence[str]) -> str:
    if layout in ("csv", "parquet"):
        table = csv_sql(paths) if layout == "csv" else parquet_sql(paths)
        # JSON inside a table is text or a structure: either becomes a document, and text that is not JSON becomes NULL.
        documents = ", ".join(f"try_cast({identifier(name)} AS JSON) AS {identifier(name)}" for name in fmt.json_fields)
        return f"(SELECT * REPLACE ({documents}) FROM {table}) AS r" if documents else f"{table} AS r"
    return unwrapped_sql(fmt, f"{json_sql(fmt, layout, paths)} AS r")


def json_sql(fmt: LogFormat, layout: Layout, paths: Sequence[str]) -> str:
    """The table function that reads the fields of JSON documents; a line that is none is a row without values."""
    columns = ", ".join(f"{identifier(name)}: {quote(kind)}" for name, kind in document_fields(fmt).items())
    tolerant = ", ignore_errors=true" if layout == "newline_delimited" else ""
    is_in_memory = all(path.startswith(IN_MEMORY) for path in paths)
    longest = LONGEST_LINE_IN_MEMORY if is_in_memory else _MAX_OBJECT_BYTES
    return (
        f"read_json({_list(paths)}, format='{layout}', filename=true, maximum_object_size={longest},"
        f" columns={{{columns}}}{tolerant})"
    )


def document_fields(fmt: LogFormat) -> dict[str, str]:
    """By field that is read from a JSON document: its DuckDB type. The envelope has the same fields inside."""
    types = fmt.file_fields
    inside = ", ".join(f"{identifier(name)} {kind}" for name, kind in types.items())
    return {**types, fmt.envelope: f"STRUCT({inside})"} if fmt.envelope else types


def unwrapped_sql(fmt: LogFormat, documents: str) -> str:
    """A table of documents, `documents` with the alias `r`, whose fields are at the top."""
    if not fmt.envelope:
        return documents
    fields = ", ".join(
        f"coalesce({field_sql(name)}, {field_sql(fmt.envelope)}.{identifier(name)}) AS {identifier(name)}"
        for name in fmt.file_fields
    )
    return f"(SELECT r.* REPLACE ({fields}) FROM {documents}) AS r"


def csv_sql(paths: Sequence[str], *, note_dropped: bool = False) -> str:
    """The table function that reads CSV files as text; `note_dropped` lists lines it can't take in `reject_errors`."""
    # A reader that takes columns by name can't note what it drops.
    extra = "store_rejects=true" if note_dropped else "union_by_name=true, filename=true"
    # Where the first thousands of lines have no quotes, DuckDB would take those of later lines for text.
    return (
        f"read_csv({_list(paths)}, header=true, all_varchar=true, nullstr='', quote='\"', ignore_errors=true, {extra})"
    )


def parquet_sql(paths: Sequence[str]) -> str:
    """The table function that reads Parquet files."""
    return f"read_parquet({_list(paths)}, union_by_name=true, filename=true)"


def documents_sql(paths: Sequence[str], layout: Layout) -> str:
    """The table function that reads JSON objects whole, as `json`; those that are none are left out."""
    tolerant = ", ignore_errors=true" if layout == "newline_delimited" else ""
    return (
        f"(SELECT json FROM read_json_objects({_list(paths)}, format='{layout}',"
        f" maximum_object_size={_MAX_OBJECT_BYTES}{tolerant}) WHERE json_type(json) = 'OBJECT')"
    )


def json_lines_table(path: str, names: Iterable[str]) -> str:
    """The table function that reads fields of a file of JSON lines as text."""
    columns = ", ".join(f"{identifier(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_json({_list([path])}, format='newline_delimited', maximum_object_size={_MAX_OBJECT_BYTES},"
        f" columns={{{columns}}})"
    )


def literal_path(path: str) -> str:
    """The path of one file, whatever its name: in brackets a wildcard stands for itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _list(paths: Sequence[str]) -> str:
    return "[" + ", ".join(quote(literal_path(path)) for path in paths) + "]"


def select_sql(
    fmt: LogFormat,
    layout: Layout,
    paths: Sequence[str],
    *,
    source_system: str,
    instance: str,
    load_id: str,
    staged_root: str = "",
    original_root: str = "",
) -> str:
    """A SELECT with every column of the raw table, aliased: what dlt runs as one INSERT.

    Rows that can't be read are there too, with `_problem`; `staged_root` of a copied file is shown as its
    `original_root`.
    """
    values = _values(fmt)
    parsed = {name: value for name, value in values.items() if value != fmt.columns[name].sql}
    metadata_error = "FALSE"
    if fmt.metadata_column and fmt.metadata_given:
        given = _with_texts(fmt, fmt.metadata_given)
        metadata_error = f"{values[fmt.metadata_column]} IS NULL AND ({given}) IS NOT NULL"
    elif fmt.metadata_unreadable:
        metadata_error = f"coalesce({_with_texts(fmt, fmt.metadata_unreadable)}, FALSE)"
    problem = problem_sql(fmt, values)
    lineage = _lineage(source_system, instance, load_id, staged_root, original_root)
    lineage |= {"_problem": problem, "_metadata_error": metadata_error}
    lineage |= dict.fromkeys(EXTRA, fmt.extra) if fmt.extra else {}
    content = {f"{_apart(fmt)}content": _with_texts(fmt, fmt.content)} if fmt.content else {}
    rows = _selection({**values, **lineage, **content})
    record = [field_sql(name) for name in [*fmt.fields, *(_list_name(fmt, name) for name in fmt.texts), "filename"]]
    record += [
        f"{_with_texts(fmt, fmt.columns[name].sql)} AS {value.removeprefix('r.')}" for name, value in parsed.items()
    ]
    kept = _with_texts(fmt, fmt.keep or "TRUE")
    # Most records of a bill are left out: they are sorted out before anything else is made of them.
    first = f"\nWHERE coalesce({kept}, TRUE)" if fmt.left_out else ""
    last = f"\nWHERE ({kept}) OR ({problem}) IS NOT NULL" if fmt.keep and not fmt.left_out else ""
    read = (
        f"SELECT\n  {rows}\nFROM (\nSELECT\n  {_LINES.join(record)}\nFROM {read_sql(fmt, layout, paths)}{first}\n"
        f") AS r{last}"
    )
    return _numbered(read, [*values, *lineage], *content) if content else read


def _numbered(rows: str, names: Iterable[str], content: str) -> str:
    """A SELECT of the columns `names`, in which rows without an id have one, made of a further column.

    Records are numbered when all else is made of them: to do so DuckDB keeps rows in blocks, and a block may hold no
    more of a document than the table does.
    """
    found = {name: identifier(name) for name in names}
    number = f"row_number() OVER (PARTITION BY _file, {identifier(content)})"
    found[_ID] = f"coalesce({_ID}, {identifier(content)} || '-' || {number})"
    return f"SELECT\n  {_selection(found)}\nFROM (\n{rows}\n)"


def left_out_sql(
    fmt: LogFormat,
    left_out: LeftOut,
    layout: Layout,
    paths: Sequence[str],
    *,
    source_system: str,
    instance: str,
    load_id: str,
    staged_root: str = "",
    original_root: str = "",
) -> str:
    """A SELECT like that of select_sql with the rows that stand for the records which `keep` leaves out."""
    found = {name: f"r.{identifier(name)}" for name in left_out.by} | dict(left_out.sums) | {left_out.count: "count(*)"}
    rows = {
        name: f"CAST({found.get(name, 'NULL')} AS {DUCKDB_TYPES[column.kind]})" for name, column in fmt.columns.items()
    }
    lineage = _lineage(source_system, instance, load_id, staged_root, original_root)
    record = [f"{_with_texts(fmt, column.sql)} AS {identifier(name)}" for name, column in fmt.columns.items()]
    groups = ", ".join(["r.filename", *(f"r.{identifier(name)}" for name in left_out.by)])
    return (
        f"SELECT\n  {_selection({**rows, **lineage})}\nFROM (\nSELECT\n  {_LINES.join([*record, 'r.filename'])}\n"
        f"FROM {read_sql(fmt, layout, paths)}\nWHERE NOT coalesce({_with_texts(fmt, fmt.keep or 'TRUE')}, TRUE)\n) AS r"
        f"\nGROUP BY {groups}"
    )


def _lineage(source_system: str, instance: str, load_id: str, staged_root: str, original_root: str) -> dict[str, str]:
    """SQL of the lineage columns, in their order, of a row without a problem."""
    filename = "r.filename"
    # Where a record came from, also when its file was copied or unpacked to be read.
    if staged_root:
        filename = f"replace(replace(r.filename, {quote(staged_root)}, {quote(original_root)}), {quote(UNPACKED)}, '')"
    return {
        "_source_system": quote(source_system),
        "_source_instance": quote(instance),
        "_file": filename,
        "_problem": "CAST(NULL AS VARCHAR)",
        "_metadata_error": "FALSE",
        "_dlt_load_id": quote(load_id),
    }


def _values(fmt: LogFormat) -> dict[str, str]:
    """By column what holds its value: a field of the record, or a column beside the fields.

    Every value is parsed once, in a SELECT of its own: DuckDB would parse it again wherever a CASE names it.
    """
    apart = _apart(fmt)
    return {
        name: column.sql if _FIELD.fullmatch(column.sql) else field_sql(apart + name)
        for name, column in fmt.columns.items()
    }


def _selection(expressions: Mapping[str, str]) -> str:
    return _LINES.join(f"{sql} AS {identifier(name)}" for name, sql in expressions.items())


def json_lines_sql(kinds: Mapping[str, Kind], select: str, folder: str, *, compressed: bool) -> str:
    """A statement that writes the rows of a SELECT as files of JSON lines, without loss: decimals as text."""
    exact = ", ".join(
        f"CAST({identifier(name)} AS VARCHAR) AS {identifier(name)}"
        for name, kind in kinds.items()
        if kind in ("money", "decimal")
    )
    replaced = f" REPLACE ({exact})" if exact else ""
    compression, extension = ("gzip", "jsonl.gz") if compressed else ("none", "jsonl")
    return (
        f"COPY (SELECT *{replaced} FROM ({select})) TO {quote(folder)} (FORMAT json, COMPRESSION {compression},"
        f" FILE_EXTENSION '{extension}', FILE_SIZE_BYTES '{_MAX_FILE_SIZE}')"
    )


def empty_sql(fmt: LogFormat) -> str:
    """A SELECT of no rows with every column of the raw table: creates the table."""
    columns = ", ".join(f"CAST(NULL AS {DUCKDB_TYPES[kind]}) AS {identifier(name)}" for name, kind in fmt.kinds.items())
    return f"SELECT {columns} WHERE FALSE"
