"""docs/warehouses.md and docs/scale.md are held to the code: models, gaps, types, variables, commands, figures.

python -m tests.docs.test_warehouses_page DATABASE     # prints what docs/scale.md says was measured, for a built file
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
import typer.main

from llm_spend.cli import app
from llm_spend.destinations import DuckDb, Schemas
from llm_spend.schema import DUCKDB_TYPES
from llm_spend.sources import focus, raw_formats
from llm_spend.sources.provider_tables import PROVIDER_FORMATS
from llm_spend.sources.shared_tables import SHARED_FORMATS
from tests.conftest import Demo
from tests.warehouses.static.raw_types import TYPES

PAGE, SCALE, EXPORT = Path("docs/warehouses.md"), Path("docs/scale.md"), Path("docs/export.md")
MODELS, PROFILES = Path("dbt_project/models"), Path("dbt_project/profiles.yml")
STORAGE = Path("dbt_project/macros/cross_db/storage.sql")
LAUNCHERS = Path("tests/warehouses/emulators")

FACT, SEEN = "fct_llm_requests", "int_seen_requests"
# Raw tables of requests; those of lists and bills are small.
RAW = frozenset(raw_formats()) - {fmt.table for fmt in (*SHARED_FORMATS, *PROVIDER_FORMATS, focus.EXPORTS)}
# What finds the dates to build in raw tables, and what looks through all that was seen.
FINDERS = ("int_load_contents", SEEN)
FINDS_MOVED = "int_moved_requests"
TIB, GIB, TB = 2**40, 2**30, 10**12
MILLION, BILLION = 10**6, 10**9


def tables(page: Path) -> Iterator[list[list[str]]]:
    """Every Markdown table of a page, heading first, the line below it left out."""
    for block in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        yield [lines[0], *lines[2:]]


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    (found,) = (rows for heading_row, *rows in tables(page) if heading_row[0] == heading)
    return found


def names(cell: str) -> list[str]:
    return re.findall(r"`([\w+]+)`", cell)


def number(cell: str) -> float:
    """The first number of a cell."""
    found = re.search(r"\d[\d,]*(?:\.\d+)?", cell)
    assert found, cell
    return float(found[0].replace(",", ""))


# What stands in warehouses.md


def model_lines() -> dict[str, list[str]]:
    """The cells behind the name, by model; a line may name several models that are read alike."""
    found: dict[str, list[str]] = {}
    for cell, *others in table(PAGE, "model"):
        for name in names(cell):
            assert name not in found, f"{name} stands there twice"
            found[name] = others
    return found


# The macros of storage.sql that say how other tables than those by date are kept, by the words of the page.
KEPT_BY = {"by load": "add_rows", "by key": "replace_by_key"}


def kept_as(path: Path) -> str:
    """How a model is kept, in the words of the page."""
    config = path.read_text(encoding="utf-8").partition("}}")[0]
    if "by_usage_date(" in config:
        return "by date (fact)" if "unique_key" in config else "by date"
    if "kept_by_date_in_part(" in config:
        return "by date in part"
    for words, macro in KEPT_BY.items():
        if f"{macro}()" in config:
            return words
    configured = re.search(r"materialized='(\w+)'", config)
    return configured[1] if configured else "view" if "staging" in path.parts else "table"


def test_how_tables_are_kept() -> None:
    macros = STORAGE.read_text(encoding="utf-8")
    by_date = macros[macros.index("default__kept_by_date(") :].partition("{% endmacro %}\n\n")[0]
    replacing, by_constants, by_key, anew = re.findall(
        r"'incremental_strategy': '(\w+)'|return\(\{'materialized': '(table)'", by_date
    )
    said = {words: [names(cell)[0] for cell in cells] for words, *cells in table(PAGE, "kept as")}
    expected = {
        words: [
            found[1]
            for warehouse in ("default", "bigquery", "bigquery")
            if (found := re.search(rf"{warehouse}__{macro}\(\) %}}{{{{ return\('([\w+]+)'\)", macros))
        ]
        for words, macro in KEPT_BY.items()
    }
    expected["by date"] = [replacing[0], by_constants[0], anew[1]]
    in_part = re.search(r"bigquery__kept_by_date_in_part\(\).*'materialized': '(\w+)'", macros)
    assert in_part
    expected["by date in part"] = [replacing[0], in_part[1], in_part[1]]
    expected["by date (fact)"] = [replacing[0], by_constants[0], by_key[0]]
    assert said == expected


def test_every_model_has_its_line() -> None:
    expected = {path.stem: kept_as(path) for path in MODELS.glob("**/*.sql")}
    assert {name: kept for name, (kept, _) in model_lines().items()} == expected


@pytest.mark.slow
def test_columns_of_the_fact_are_those_of_the_plans(demo: Demo) -> None:
    counted = {}
    for node, reads in reads_of_build(demo.database).items():
        name = node.split(".")[2]
        if node.startswith("model.") and FACT in reads:
            counted[name] = len(reads[FACT])
    said = {
        name: int(found[1])
        for name, (_, reads) in model_lines().items()
        if (found := re.search(r"(\d+) columns of the fact", reads))
    }
    assert said == counted


@pytest.mark.slow
def test_raw_tables_are_read_by_the_models_that_say_so(demo: Demo) -> None:
    reading = {
        node.split(".")[2]
        for node, reads in reads_of_build(demo.database).items()
        if node.startswith("model.") and RAW & reads.keys()
    }
    assert {name for name, (_, reads) in model_lines().items() if reads.startswith("raw tables")} == reading


@pytest.mark.parametrize(("emulator", "heading"), [("snowflake", "fakesnow: gap"), ("bigquery", "bqemulator: gap")])
def test_every_patch_of_an_emulator_is_listed(emulator: str, heading: str) -> None:
    functions = {
        node.name: node
        for node in ast.parse((LAUNCHERS / f"{emulator}_server.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    called = [node.func.id for node in ast.walk(functions["patch"]) if isinstance(node, ast.Call)]  # type: ignore[attr-defined]
    listed = [names(cell)[0] for cell, *_ in table(PAGE, heading)]
    assert sorted(listed) == sorted(called)


def test_types_of_raw_columns() -> None:
    said = {kind: types for kind, *types in table(PAGE, "raw column")}
    expected = {kind: [DUCKDB_TYPES[kind], TYPES["snowflake"][kind], TYPES["bigquery"][kind]] for kind in DUCKDB_TYPES}
    assert said == expected


def test_variables_of_the_profiles() -> None:
    read = set(re.findall(r"env_var\('(\w+)'", PROFILES.read_text(encoding="utf-8")))
    said = {name for _, cell in table(PAGE, "for") for name in names(cell) if name.isupper()}
    assert said == read


def test_rights_are_given_in_every_schema() -> None:
    statements = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    given = [block for block in statements if "create schema" in block]
    assert len(given) == 2
    for block in given:
        for schema in Schemas().all:
            for statement in ("create schema if not exists", "on schema"):
                assert re.search(rf"{statement} (?:`[\w-]+`|\w+)\.{schema}\b", block), (schema, statement)
        readers = [line for line in block.splitlines() if re.search(r"reader;|analysts", line)]
        assert readers and not any(re.search(r"llm_spend_(raw|seeds|internal)\b", line) for line in readers)


@pytest.mark.parametrize("page", [PAGE, SCALE, EXPORT], ids=["warehouses", "scale", "export"])
def test_commands_are_those_of_the_program(page: Path) -> None:
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    lines = [shlex.split(line[2:], comments=True) for line in blocks.splitlines() if line.startswith("$ llm-spend ")]
    assert lines
    program: Any = typer.main.get_command(app)
    for _, name, *arguments in lines:
        command = program.commands[name]
        while arguments and arguments[0] in getattr(command, "commands", {}):
            name, *arguments = arguments
            command = command.commands[name]
        command.make_context(name, list(arguments))


# What stands in scale.md


@dataclass(frozen=True)
class Width:
    """A table: its rows, and the bytes of a row as BigQuery counts them, by column, and compressed in Parquet."""

    rows: int
    columns: Mapping[str, float]
    compressed: float


def widths(database: Path) -> dict[str, Width]:
    """The width of every request-grained table of a built database."""
    with duckdb.connect(str(database), read_only=True) as connection, TemporaryDirectory() as folder:
        schemas = dict(
            connection.execute(
                "select table_name, table_schema from information_schema.tables"
                " where table_type = 'BASE TABLE' and table_name in (select unnest(?))",
                [[*RAW, FACT, SEEN]],
            ).fetchall()
        )
        return {name: _width(connection, schema, name, Path(folder)) for name, schema in schemas.items()}


def _width(connection: duckdb.DuckDBPyConnection, schema: str, name: str, folder: Path) -> Width:
    table = f"{schema}.{name}"
    columns = dict(
        connection.execute(
            "select column_name, data_type from information_schema.columns where table_schema = ? and table_name = ?",
            [schema, name],
        ).fetchall()
    )
    sizes = ", ".join(_bytes(column, kind, schema) for column, kind in columns.items())
    rows, *total = connection.execute(f"select count(*), {sizes} from {table}").fetchall()[0]
    file = folder / f"{name}.parquet"
    connection.execute(f"copy {table} to '{file}' (format parquet, compression zstd)")
    return Width(
        rows,
        {column: int(size or 0) / rows for column, size in zip(columns, total, strict=True)},
        file.stat().st_size / rows,
    )


def _bytes(column: str, kind: str, schema: str) -> str:
    """SQL: what BigQuery counts for a column; nothing for NULL."""
    if kind == "JSON":
        return f'sum(strlen(cast("{column}" as varchar)))'
    if kind == "VARCHAR":
        return f'sum(strlen("{column}") + 2)'
    is_numeric = kind == "DECIMAL(18,6)" and schema == Schemas().raw
    size = {"BOOLEAN": 1, "DECIMAL": 16 if is_numeric else 32}.get(kind.partition("(")[0], 8)
    return f'count("{column}") * {size}'


Reads = dict[str, set[str]]


def reads_of_build(database: Path) -> dict[str, Reads]:
    """By dbt node (models that are tables, and tests): tables that the last build read, and their columns."""
    target = DuckDb(database).work_dir / "dbt_project" / "target"
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    nodes = json.loads((target / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    compiled = {
        each["unique_id"]: each["compiled_code"]
        for each in results
        if each.get("compiled_code") and nodes[each["unique_id"]]["config"]["materialized"] != "view"
    }
    with duckdb.connect(str(database), read_only=True) as connection:
        # With statistics DuckDB knows without reading that a column has no NULL; a warehouse may not.
        connection.execute("set disabled_optimizers = 'statistics_propagation'")
        return {node: _reads(connection, sql) for node, sql in compiled.items()}


def _reads(connection: duckdb.DuckDBPyConnection, sql: str) -> Reads:
    found: Reads = {}
    ((_, plan),) = connection.execute(f"explain (format json) {sql}").fetchall()
    for node in _nodes(json.loads(plan)):
        details = node.get("extra_info", {})
        if "Table" in details:
            columns = found.setdefault(details["Table"].rpartition(".")[2], set())
            columns |= {name.strip('"') for name in _list(details.get("Projections"))}
            columns |= {name for each in _list(details.get("Filters")) for name in re.findall(r"\b[a-z]\w+\b", each)}
    return found


def _nodes(plan: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in plan:
        yield node
        yield from _nodes(node.get("children", []))


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


@dataclass(frozen=True)
class Measured:
    """Bytes per request (row of the fact), as BigQuery counts them; `compressed`: in Parquet."""

    stored: Mapping[str, float]
    compressed: Mapping[str, float]
    read: Mapping[str, float]


def measure(database: Path) -> Measured:
    """The figures of docs/scale.md for a built database."""
    found = widths(database)
    requests = found[FACT].rows

    def per_request(table: str, columns: set[str]) -> float:
        width = found[table]
        return width.rows / requests * sum(size for name, size in width.columns.items() if name in columns)

    def stored(tables: frozenset[str]) -> float:
        return sum(per_request(each, set(found[each].columns)) for each in tables)

    def compressed(tables: frozenset[str]) -> float:
        return sum(found[each].rows / requests * found[each].compressed for each in tables)

    read = {
        node: sum(per_request(each, columns) for each, columns in reads.items() if each in found)
        for node, reads in reads_of_build(database).items()
    }
    groups = {"raw tables": RAW, **{table: frozenset({table}) for table in (FACT, SEEN)}}
    return Measured(
        {name: stored(each) for name, each in groups.items()},
        {name: compressed(each) for name, each in groups.items()},
        {
            "raw tables, by the fact": read.pop(f"model.llm_spend.{FACT}"),
            "raw tables, to find the dates": sum(read.pop(f"model.llm_spend.{name}") for name in FINDERS),
            "hashes of what was seen": read.pop(f"model.llm_spend.{FINDS_MOVED}"),
            "all other models": sum(size for node, size in read.items() if node.startswith("model.")),
            "tests": sum(size for node, size in read.items() if node.startswith("test.")),
            "MERGE: partitions that are replaced": stored(frozenset({FACT})),
            "MERGE: what comes into them": stored(frozenset({FACT})),
        },
    )


def figures(heading: str) -> dict[str, float]:
    """First column -> number in the second, of a table of scale.md."""
    return {name.strip("`"): number(value) for name, value, *_ in table(SCALE, heading)}


@dataclass(frozen=True)
class Costs:
    """What a number of requests costs by the figures of scale.md, in USD: one build, or a month of storage."""

    day: float
    refresh: float
    storage: float
    snowflake_day: float
    snowflake_refresh: float
    snowflake_storage: float


def costs(history: float, new: float) -> Costs:
    """For so many requests of history, and so many new ones a day."""
    assumed = figures("name")
    read = figures("bytes read by a build, a request")
    seconds = figures("CPU seconds, a million requests")
    stored = table(SCALE, "bytes stored, a request")
    first = sum(size for name, size in read.items() if not name.startswith("MERGE"))
    of_history = read["hashes of what was seen"]
    of_dates = sum(read.values()) - of_history
    built = new * assumed["dates"]
    full, ordinary = seconds["full build with tests"], seconds["ordinary day, a million of history"]

    def scanned(size: float) -> float:
        return size / TIB * assumed["scan_usd"]

    def computed(core_seconds: float) -> float:
        return core_seconds / MILLION / assumed["xs_cores"] / 3600 * assumed["credit_usd"]

    return Costs(
        scanned(of_history * history + of_dates * built),
        scanned(first * history),
        sum(number(logical) for _, logical, _ in stored) * history / GIB * assumed["storage_usd"],
        computed(ordinary * history + full * built),
        computed(full * history),
        sum(number(size) for *_, size in stored) * assumed["compression"] * history / TB * assumed["terabyte_usd"],
    )


@pytest.mark.slow
def test_measured_figures_are_those_of_a_demo(demo: Demo) -> None:
    """Of a smaller one than the page's: the bytes of a request hardly depend on how many there are."""
    found = measure(demo.database)
    for name, logical, compressed in table(SCALE, "bytes stored, a request"):
        # Raw rows name their file, and the path of a temporary folder is longer.
        assert number(logical) == pytest.approx(found.stored[name.strip("`")], rel=0.15), name
        assert number(compressed) == pytest.approx(found.compressed[name.strip("`")], rel=0.25), name
    assert figures("bytes read by a build, a request") == pytest.approx(found.read, rel=0.05)


def test_costs_follow_from_the_figures() -> None:
    columns = [list(vars(costs(months * BILLION, BILLION / 30)).values()) for months in (1, 12)]
    said = [[number(cell) for cell in cells] for _, *cells, _ in table(SCALE, "what")]
    assert said == [pytest.approx(row, abs=0.005) for row in zip(*columns, strict=True)]


def test_costs_of_other_sizes_follow_too() -> None:
    for size, scanned, stored, computed, kept in table(PAGE, "requests a month"):
        requests = number(size) * (BILLION if "billion" in size else MILLION)
        expected = costs(12 * requests, requests / 30)
        assert [number(scanned), number(stored), number(computed), number(kept)] == [
            round(30 * expected.day),
            round(expected.storage),
            round(30 * expected.snowflake_day),
            round(expected.snowflake_storage),
        ]


if __name__ == "__main__":
    print(json.dumps(vars(measure(Path(sys.argv[1]))), indent=2))
