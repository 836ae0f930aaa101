"""The Grafana dashboard: it keeps to Grafana's schema, and what each panel asks is asked of the demo's tables."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
import sqlglot
from sqlglot import exp

from llm_spend.bi.grafana import PLUGINS, dashboard
from llm_spend.bi.semantics import Semantics
from tests.conftest import Demo, query

pytestmark = pytest.mark.slow

SCHEMAS = Path("tests/fixtures/grafana")
TIMES = {"${__from:date:iso}": "2026-10-01T00:00:00.000Z", "${__to:date:iso}": "2026-10-31T23:59:59.999Z"}


def schema(name: str, definition: str | None = None) -> dict[str, Any]:
    """A schema as Grafana publishes it, except that what may be anything is an object there."""

    def anything(node: Any) -> Any:
        if isinstance(node, dict):
            if {key: node[key] for key in node if key != "description"} == {
                "type": "object",
                "additionalProperties": {},
            }:
                return {}
            return {key: anything(value) for key, value in node.items()}
        return [anything(each) for each in node] if isinstance(node, list) else node

    found: dict[str, Any] = anything(json.loads((SCHEMAS / f"{name}.jsonschema.json").read_text()))
    return found | ({"$ref": f"#/definitions/{definition}"} if definition else {})


def filled(sql: str, values: dict[str, str]) -> str:
    """SQL with what Grafana puts in place of variables."""
    for mark, text in {**TIMES, **values}.items():
        sql = sql.replace(mark, text)
    assert "${" not in sql, sql
    return sql


def all_of_it(board: dict[str, Any]) -> dict[str, str]:
    """`All` of every variable that filters."""
    filters = [each for each in board["templating"]["list"] if each["type"] == "query"]
    return {f"${{{each['name']}:regex}}": each["allValue"] for each in filters}


@pytest.mark.parametrize("destination", PLUGINS)
def test_it_keeps_to_the_schema(semantics: Semantics, destination: str) -> None:
    board = dashboard(semantics, destination)
    jsonschema.validate(board, schema("dashboard"))
    for panel in board["panels"]:
        jsonschema.validate(panel["options"], schema(panel["type"], "Options"))
        if panel["type"] == "timeseries":
            jsonschema.validate(panel["fieldConfig"]["defaults"]["custom"], schema("timeseries", "FieldConfig"))
        if destination == "bigquery":
            jsonschema.validate(panel["targets"][0], schema("bigquery"))
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23, "panels overlap"


def test_every_panel_finds_what_the_tables_say(demo: Demo, semantics: Semantics) -> None:
    board = dashboard(semantics, "duckdb")
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        everything = all_of_it(board)
        for variable in board["templating"]["list"][1:]:
            assert connection.execute(variable["definition"]).fetchall(), variable["name"]
        found: dict[str, list[tuple[Any, ...]]] = {}
        for panel in board["panels"]:
            answer = connection.execute(filled(panel["targets"][0]["rawSql"], everything))
            types = {str(column[1]) for column in answer.description or []}
            # The plug-in shows numbers of other types as text.
            assert types <= {"VARCHAR", "DATE", "TIMESTAMP", "BIGINT", "DOUBLE"}, panel["title"]
            found[panel["title"]] = answer.fetchall()
        narrow = {**everything, "${environment:regex}": "prod", "${team_id:regex}": "(support-emea|nobody)"}
        cost = next(panel for panel in board["panels"] if panel["title"] == "Cost")
        ((one_team,),) = connection.execute(filled(cost["targets"][0]["rawSql"], narrow)).fetchall()
    assert [title for title, rows in found.items() if not rows] == []
    october = "usage_date >= '2026-10-01' and usage_date < '2026-11-01'"
    ((whole, part),) = query(
        demo.database,
        f"select sum(cost_usd), sum(cost_usd) filter (where environment = 'prod' and team_id = 'support-emea')"
        f" from llm_spend.llm_usage_daily where {october}",
    )
    assert found["Cost"] == [(float(whole),)] and one_team == float(part) > 0
    ((charged,),) = query(demo.database, "select sum(amount_usd) from llm_spend.llm_chargeback_lines")
    lines = found["Chargeback, every month"]
    assert len(lines) > 100 and sum(Decimal(str(row[4])) for row in lines if row[4] is not None) == charged


@pytest.mark.parametrize("destination", ["snowflake", "bigquery"])
def test_other_dialects_are_what_sqlglot_reads(semantics: Semantics, destination: str) -> None:
    for panel in dashboard(semantics, destination)["panels"]:
        sql = re.sub(r"\$\{\w+:regex\}", "(a|b)", panel["targets"][0]["rawSql"])
        sql = re.sub(r"\$\{\w+:json\}", '["a", "b"]', sql)
        sqlglot.parse_one(sql, dialect=destination)
        assert panel["targets"][0]["datasource"]["type"] == PLUGINS[destination]


AWKWARD = [
    "O'Brien",
    'the "A" team',
    "back\\slash",
    "at its end\\",
    "$$",
    "dear $",
    "a|b",
    ".*",
    "(all) of it",
    "a,b",
    "ü/ß",
    "back\\/slash",
]


def as_regex(values: list[str]) -> str:
    """The format of Grafana's variables."""
    escaped = [re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


@pytest.mark.parametrize("destination", PLUGINS)
@pytest.mark.parametrize("chosen", [["(all)"], *([each] for each in AWKWARD), AWKWARD])
def test_chosen_values_are_read_as_they_are(semantics: Semantics, destination: str, chosen: list[str]) -> None:
    """Whatever is in them: they find what is called so and nothing else, and can't be anything but values."""
    board = dashboard(semantics, destination)
    filters = [each for each in board["templating"]["list"] if each["type"] == "query"]
    (sql,) = [panel["targets"][0]["rawSql"] for panel in board["panels"] if panel["title"] == "Cost"]
    for each in filters:
        for name, text in (("regex", as_regex(chosen)), ("json", json.dumps(chosen, ensure_ascii=False))):
            text = each["allValue"] if chosen == ["(all)"] else text
            sql = sql.replace(f"${{{each['name']}:{name}}}", text)
    # A constant between dollars is none of SQL's standard: sqlglot has a name of its own for it.
    texts = (exp.Literal, exp.RawString)
    constants = [
        each.this
        for each in sqlglot.parse_one(sql, dialect=destination).find_all(*texts)
        if each.is_string or isinstance(each, exp.RawString)
    ]
    found = set(constants) - {"(all)", "${__from:date:iso}", "${__to:date:iso}"}
    if destination == "bigquery":
        assert found == set(chosen) - {"(all)"}
        return
    (pattern,) = found - {r"\/", "/"}
    if destination == "snowflake":
        pattern = pattern.replace(r"\/", "/")
    assert {each for each in ["(all)", *AWKWARD, "O", "a", ""] if re.fullmatch(pattern, each)} == set(chosen)
    if destination == "duckdb":
        with duckdb.connect() as connection:
            for each in ["(all)", *AWKWARD, "O", "a", ""]:
                matches = f"select regexp_full_match(?, $${pattern}$$)"
                assert connection.execute(matches, [each]).fetchone() == (each in chosen,)
