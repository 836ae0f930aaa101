"""The LookML project: it parses, nothing in it is unresolved, and every field of it is asked of the demo's tables."""

from __future__ import annotations

import re

import duckdb
import lkml
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from llm_spend.bi.lookml import project_files
from llm_spend.bi.semantics import Semantics
from tests.bi.looker_project import Project
from tests.conftest import Demo

pytestmark = pytest.mark.slow

TYPES = {"text": "text", "integer": "bigint", "decimal": "decimal(38, 12)", "boolean": "boolean", "date": "date"}
TYPES |= {"timestamp": "timestamp", "json": "text"}


def test_every_field_of_every_explore_is_there(demo: Demo, project: Project) -> None:
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        for explore, node in project.explores.items():
            joined = [name for join in node.get("joins", []) for name in join["fields"]]
            dimensions = [f"{explore}.{name}" for name in project.dimensions(explore)]
            connection.execute(project.query(explore, dimensions + joined) + " limit 5").fetchall()
            measures = [f"{explore}.{name}" for name in project.measures(explore)]
            assert len(connection.execute(project.query(explore, measures)).fetchall()) == 1, explore


def test_rows_are_told_apart_and_joins_keep_them(demo: Demo, project: Project) -> None:
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        for explore in project.explores:
            key = project.sql(f"{explore}.row_key")
            counts = [
                connection.execute(project.query(explore, [f"{explore}.row_key"], joined=joined)).fetchall()
                for joined in (True, False)
            ]
            assert len(counts[0]) == len(counts[1]) == len(set(counts[1])), (explore, key)
            assert (None,) not in counts[1], explore


def test_a_sum_that_may_be_unknown_is_not_made_0(project: Project) -> None:
    measures = {each["name"]: each for each in project.views["llm_usage_daily"]["measures"]}
    assert (measures["cost_usd"]["type"], measures["cost_usd"]["sql"]) == ("number", "SUM(${TABLE}.cost_usd)")
    assert measures["total_tokens"]["type"] == "sum"


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery"])
def test_other_warehouses_know_every_column_and_type(project: Project, semantics: Semantics, dialect: str) -> None:
    schema = {
        model.name: {name: TYPES[column.kind] for name, column in model.columns.items()}
        for table in semantics.tables.values()
        for model in (table.model, *(join.model for join in table.joins))
    }
    for explore in project.explores:
        names = [name for name in project.measures(explore) if "percentile" not in project.sql(f"{explore}.{name}")]
        plain = [each["name"] for each in project.views[explore]["dimensions"]]
        sql = project.query(explore, [f"{explore}.{name}" for name in (*plain, *names)])
        tree = sqlglot.parse_one(sql, dialect=dialect)
        for table in tree.find_all(exp.Table):
            table.set("db", None)
        typed = annotate_types(
            qualify(tree, schema=schema, dialect=dialect, validate_qualify_columns=True), schema=schema, dialect=dialect
        )
        unknown = [
            each.alias for each in typed.selects if each.type is None or each.type.this == exp.DataType.Type.UNKNOWN
        ]
        assert unknown == [], (explore, dialect)


def test_drills_joins_and_the_dashboard_name_fields_that_are_there(project: Project, semantics: Semantics) -> None:
    for explore in project.explores:
        (detail,) = project.views[explore]["sets"]
        assert {f"{explore}.{name}" for name in detail["fields"]} <= project.fields(explore)
    shown = 0
    for element in project.dashboard["elements"]:
        used = {*element["fields"], *element["listen"].values(), *element.get("filters", {})}
        used |= {each.split()[0] for each in element.get("sorts", [])}
        assert used <= project.fields(element["explore"]), element["title"]
        assert set(element["listen"]) <= {each["name"] for each in project.dashboard["filters"]}
        shown += 1
    assert shown == len(semantics.dashboard) > 10
    assert project.model["connection"] == "@{LLM_SPEND_CONNECTION}"
    assert set(project.constants) == {"LLM_SPEND_CONNECTION", "LLM_SPEND_SCHEMA"}


def test_a_tag_is_chosen_and_what_does_not_count_is_left_out(project: Project) -> None:
    assert project.explores["llm_usage_by_tag_daily"]["always_filter"]["filters__all"] == [[{"tag_key": "team"}]]
    assert project.explores["fct_llm_requests"]["sql_always_where"] == "fct_llm_requests.is_of_record = true"


def test_every_field_has_a_name_of_its_own_and_says_what_it_means(project: Project) -> None:
    for name in project.views:
        names = [*project.dimensions(name), *project.measures(name)]
        assert len(names) == len(set(names)), name
    for view in project.views.values():
        fields = [*view["dimensions"], *view.get("dimension_groups", []), *view.get("measures", [])]
        silent = [each["name"] for each in fields if each.get("hidden") != "yes" and not each.get("description")]
        assert silent == [], view["name"]


@pytest.mark.parametrize(("destination", "times"), [("snowflake", "datetime"), ("bigquery", "timestamp")])
def test_times_are_of_the_type_that_the_warehouse_has(semantics: Semantics, destination: str, times: str) -> None:
    """Looker writes literals of that type, and BigQuery compares no TIMESTAMP with a DATETIME."""
    kinds = {
        column.name: column.kind
        for table in semantics.tables.values()
        for model in (table.model, *(join.model for join in table.joins))
        for column in model.columns.values()
    }
    found: set[tuple[str, str]] = set()
    for name, text in project_files(semantics, destination).items():
        for view in lkml.load(text)["views"] if name.endswith(".view.lkml") else []:
            for field in [*view.get("dimension_groups", []), *view.get("measures", [])]:
                if "datatype" in field:
                    (column,) = re.findall(r"\$\{TABLE\}\.(\w+)", field["sql"])
                    found.add((kinds[column], field["datatype"]))
    assert found == {("date", "date"), ("timestamp", times)}
