"""Tableau data sources: extracts have the rows of the tables, and all that a data source names is there."""

from __future__ import annotations

import re
from datetime import date
from decimal import Context, Decimal
from pathlib import Path
from xml.etree import ElementTree as XML

import duckdb
import pytest
import sqlglot
from tableaudocumentapi import Datasource

from llm_spend.bi.hyper import extract_writer, select, spans
from llm_spend.bi.manifest import Column
from llm_spend.bi.semantics import Semantics, Table
from llm_spend.bi.tableau import data_source, extracted, live_connection
from llm_spend.bi.write import export_tableau
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from tests.bi.hyper_file import opened, rows, source
from tests.conftest import Demo, query

pytestmark = pytest.mark.slow

# The order in which Tableau's schema of 2026.1 wants the elements of a data source.
ORDER = ("connection", "aliases", "column", "column-instance", "drill-paths", "folders-common", "layout", "filter")
FIELDS = re.compile(r"\[(\w+)\]")
ENVIRONMENTS = {
    "snowflake": {"SNOWFLAKE_ACCOUNT": "org-account", "SNOWFLAKE_DATABASE": "analytics", "SNOWFLAKE_WAREHOUSE": "bi"},
    "bigquery": {"BIGQUERY_PROJECT": "a-project"},
}


def names(source: XML.Element) -> set[str]:
    return {column.attrib["name"].strip("[]") for column in source.findall("column")}


def is_whole(source: XML.Element, table: Table) -> None:
    """Every field is one of the connection or a formula of such, and everything that names fields names those."""
    tags = [child.tag for child in source]
    assert tags == sorted(tags, key=ORDER.index)
    local = {each.text.strip("[]") for each in source.findall(".//metadata-record/local-name") if each.text}
    formulas = {
        column.attrib["name"].strip("[]"): calculation.attrib["formula"]
        for column in source.findall("column")
        if (calculation := column.find("calculation")) is not None
    }
    assert names(source) == local | set(formulas), table.name
    for formula in formulas.values():
        assert set(FIELDS.findall(formula)) <= names(source), formula
    members = [item.attrib["name"].strip("[]") for item in source.findall(".//folder-item")]
    levels = [level.text.strip("[]") for level in source.findall(".//drill-path/field") if level.text]
    shown = {name.strip("[]") for name in names(source)} - {
        column.attrib["name"].strip("[]") for column in source.findall("column") if column.get("hidden")
    }
    # A time that measures take the first or last of is a field, too.
    assert sorted(members + levels) == sorted(shown), table.name
    for column in source.findall("column"):
        assert column.get("hidden") or column.findtext("desc/formatted-text/run"), column.attrib["name"]


def test_extracts_have_what_the_tables_have(demo: Demo, extracts: Path, semantics: Semantics, tmp_path: Path) -> None:
    for table in semantics.tables.values():
        assert (extracts / f"{table.name}.tdsx").exists() == table.is_extracted
        if not table.is_extracted:
            continue
        columns = extracted(table)
        asked = ", ".join(["count(*)", *(part for column in columns for part in measured(column))])
        ((count, *expected),) = query(demo.database, f"select {asked} from ({select(table, columns)}) as rows_of_it")
        assert [(count,)] == query(demo.database, f"select count(*) from llm_spend.{table.name}")
        with opened(extracts / f"{table.name}.tdsx", tmp_path) as connection:
            place = f'"Extract"."{table.name}"'
            (found,) = rows(connection, f"select {asked} from {place}")
            assert as_read(found) == as_read([count, *expected]), table.name
            if table.name == "llm_chargeback_lines":
                theirs = rows(connection, f"select {', '.join(column.name for column in columns)} from {place}")
                ours = query(demo.database, select(table, columns))
                assert sorted(map(repr, map(as_read, theirs))) == sorted(map(repr, map(as_read, ours)))


def measured(column: Column) -> list[str]:
    """What tells that a column is the same, whatever the order of the rows; sums are exact."""
    name = column.name
    match column.kind:
        case "integer" | "decimal":
            return [f"count({name})", f"sum({name})", f"min({name})", f"max({name})"]
        case "date" | "timestamp":
            return [f"count({name})", f"count(distinct {name})", f"min({name})", f"max({name})"]
        case "boolean":
            return [f"sum(case when {name} then 1 when not {name} then 0 end)"]
        case _:
            return [f"count({name})", f"count(distinct {name})", f"sum(length({name}))"]


def as_read(row: list[object] | tuple[object, ...]) -> list[object]:
    """Hyper has types of its own for times, and every decimal with twelve digits."""

    def plain(value: object) -> object:
        if isinstance(value, Decimal):
            return value.normalize(Context(prec=80))
        if hasattr(value, "to_datetime"):
            return value.to_datetime()
        return value.to_date() if hasattr(value, "to_date") else value

    return [plain(value) for value in row]


def test_data_sources_are_whole_and_tableau_opens_them(extracts: Path, semantics: Semantics) -> None:
    opened_sources = 0
    for path in sorted(extracts.glob("*.tdsx")):
        is_whole(source(path), semantics.tables[path.stem])
        document = Datasource.from_file(str(path))
        captions = {field.caption for field in document.fields.values()}
        table = semantics.tables[path.stem]
        assert {each.label for each in table.measures.values() if not each.is_hidden} <= captions
        assert document.connections[0].dbclass == "hyper"
        opened_sources += 1
    assert opened_sources == sum(table.is_extracted for table in semantics.tables.values())
    cost = Datasource.from_file(str(extracts / "llm_usage_daily.tdsx")).fields["[cost_usd]"]
    assert (cost.caption, cost.role, cost.default_aggregation) == ("Cost", "measure", "Sum")
    assert "unpriced_requests and unpriced_tokens say how much is left out" in (cost.description or "")


@pytest.mark.parametrize("destination", ["snowflake", "bigquery"])
def test_live_sources_name_the_tables_of_the_warehouse(semantics: Semantics, destination: str) -> None:
    for table in semantics.tables.values():
        connection = live_connection(table, destination, ENVIRONMENTS[destination])
        found = XML.fromstring(data_source(table, connection, tuple(table.model.columns.values())))
        is_whole(found, table)
        filtered = {each.attrib["column"]: dict(each[0].attrib) for each in found.findall("filter")}
        fields = {each.attrib["name"]: each.attrib["column"] for each in found.findall("column-instance")}
        if table.name == "fct_llm_requests":
            field = "[none:is_of_record:nk]"
            assert filtered == {field: {"function": "member", "level": field, "member": "true"}}
            assert fields == {field: "[is_of_record]"}
        else:
            assert not filtered and not fields and not table.always_where
        (relation,) = found.findall(".//relation")
        expected = {
            "snowflake": f"[ANALYTICS].[LLM_SPEND].[{table.name.upper()}]",
            "bigquery": f"[a-project.llm_spend].[{table.name}]",
        }[destination]
        assert relation.attrib["table"] == expected
        assert sqlglot.transpile(select(table, extracted(table)), read="duckdb", write=destination)
        assert not {"password", "token"} & set(found.findall(".//named-connection/connection")[0].attrib)


def test_text_and_what_is_not_known_come_through(semantics: Semantics, tmp_path: Path) -> None:
    """Empty text is no NULL, and nothing in a name ends a field or a line."""
    table = semantics.tables["llm_unpriced_models"]
    listed = [column.name for column in extracted(table)]
    odd = ['a "b", c\nd', "", None, "\\N", "NULL", "é 漢"]

    class Marts:
        def rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
            return [
                tuple(
                    text if name == "resolved_model" else None if name != "unpriced_tokens" else 2**62
                    for name in listed
                )
                for text in odd
            ]

    with extract_writer() as writer:
        assert writer.write(table, Marts(), tmp_path / "odd.hyper") == len(odd)  # type: ignore[arg-type]
    assert not list(Path().glob("*.log")), "Hyper wrote a log"
    from tableauhyperapi import Connection, HyperProcess, Telemetry

    with (
        HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}) as process,
        Connection(process.endpoint, str(tmp_path / "odd.hyper")) as connection,
    ):
        found = rows(
            connection, 'select resolved_model, unpriced_tokens, provider from "Extract"."llm_unpriced_models"'
        )
    assert [row[0] for row in found] == odd
    assert {(row[1], row[2]) for row in found} == {(2**62, None)}


def test_days_that_lie_apart_are_few_questions(demo: Demo, semantics: Semantics, tmp_path: Path) -> None:
    """A clock that was wrong has rows of 1970, and some of the last day that there is."""
    table = semantics.tables["llm_performance_daily"]
    asked: list[str] = []
    with duckdb.connect() as connection:
        here, there = f"llm_spend.{table.name}", f"demo.llm_spend.{table.name}"
        connection.execute(f"attach '{demo.database}' as demo (read_only)")
        connection.execute(f"create schema llm_spend; create table {here} as from {there}")
        for day in ("date '1970-01-01'", "date '9999-12-31'", "null"):
            connection.execute(f"insert into {here} select * replace ({day} as usage_date) from {there} limit 3")
        ((expected,),) = connection.execute(f"select count(*) from {here}").fetchall()

        class Marts:
            def rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
                asked.append(sql)
                return connection.execute(sql, parameters).fetchall()

        with extract_writer() as writer:
            assert writer.write(table, Marts(), tmp_path / "apart.hyper") == expected  # type: ignore[arg-type]
    assert len(asked) == 3, "days with their rows, those without a day, and the rest"
    days = [date(1970, 1, 1), date(2026, 10, 1), date(2026, 10, 2), date(2026, 10, 3), date(9999, 12, 31)]
    counts = list(zip(days, [1, 6, 4, 11, 1], strict=True))
    assert list(spans(counts, 10)) == [(days[0], days[1]), (days[2], days[2]), (days[3], days[3]), (days[4], days[4])]
    assert list(spans([], 10)) == []


def test_a_duckdb_file_is_not_asked_live(demo: Demo, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Leave out --live"):
        export_tableau(DuckDb(demo.database), tmp_path, live=True)
