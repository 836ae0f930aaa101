"""dbt_project/bi.yml says something of every column, and nothing of what is not there; exposures say who reads what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest
import yaml

from llm_spend import dashboard
from llm_spend.answers import insights
from llm_spend.bi.manifest import _written, kind_of, models_of, read_manifest
from llm_spend.bi.semantics import NO_GROUP, Ratio, Semantics, label_of, measure_sql, names_in, read_semantics
from llm_spend.bi.tableau import formula
from llm_spend.bi.write import export_grafana, export_looker
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.report import read
from tests.conftest import Demo

EXPOSURES = Path("dbt_project/models/exposures.yml")
# Numbers by which rows are told apart, not what they add up to.
NUMBERED = {"cause_number", "http_status"}


@pytest.mark.slow
def test_every_column_is_decided_on(semantics: Semantics) -> None:
    undecided = [
        f"{table.name}.{each.name}"
        for table in semantics.tables.values()
        for each in table.dimensions
        if each.group == NO_GROUP or (each.column.kind in ("integer", "decimal") and each.name not in NUMBERED)
    ]
    assert undecided == [], "say in dbt_project/bi.yml how these are grouped, or how they add up"
    assert semantics.left_out == ()


@pytest.mark.slow
def test_everything_that_is_named_is_there(semantics: Semantics) -> None:
    for table in semantics.tables.values():
        dimensions = {each.name for each in table.dimensions}
        assert set(table.drill) <= dimensions | set(table.measures), table.name
        assert {level for levels in table.hierarchies.values() for level in levels} <= dimensions
        assert table.time is None or table.time in dimensions
        labels = [each.label for each in (*table.dimensions, *table.measures.values())]
        assert len(labels) == len(set(labels)), f"{table.name}: two fields have one name"
        for measure in table.measures.values():
            if isinstance(measure.definition, Ratio):
                used = names_in(measure.definition.numerator) + names_in(measure.definition.denominator)
                assert set(used) <= set(table.measures) - {measure.name}, measure.name
    for tile in semantics.dashboard:
        assert set(tile.by) <= {each.name for each in tile.table.dimensions}, tile.title
        assert set(tile.measures) <= set(tile.table.measures), tile.title
        assert "cost_usd" not in tile.measures or tile.chart != "table" or "unpriced_tokens" in tile.measures, (
            tile.title
        )


@pytest.mark.slow
def test_exposures_name_what_is_read(demo: Demo, semantics: Semantics) -> None:
    said = {
        each["name"]: {text.split("'")[1] for text in each["depends_on"]}
        for each in yaml.safe_load(EXPOSURES.read_text())["exposures"]
    }

    def with_joined(only_extracts: bool) -> set[str]:
        tables = [table for table in semantics.tables.values() if table.is_extracted or not only_extracts]
        return {table.name for table in tables} | {join.model.name for table in tables for join in table.joins}

    assert said == {
        "llm_spend_report": set(read._TABLES),
        "llm_spend_dashboard": named_by_the_dashboard(models_of(DuckDb(demo.database))),
        "llm_spend_looker": with_joined(False) | {"llm_load_history"},
        "llm_spend_tableau": with_joined(True),
        "llm_spend_grafana": {tile.table.name for tile in semantics.dashboard},
    }


def named_by_the_dashboard(models: Iterable[str]) -> set[str]:
    """The tables that its code names."""
    words = {
        word
        for path in (*Path(dashboard.__file__).parent.rglob("*.py"), Path(insights.__file__))
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }
    return words & set(models)


@pytest.mark.slow
def test_a_manifest_of_ones_own(demo: Demo, tmp_path: Path) -> None:
    """Of another project, with another schema and without some of the tables; and a file that is none."""
    built = demo.database.parent / ".llm_spend" / "demo" / "dbt_project" / "target" / "manifest.json"
    content = json.loads(built.read_text())
    for node in content["nodes"].values():
        if node["resource_type"] == "model":
            node["schema"] = "finance_llm"
    del content["nodes"]["model.llm_spend.llm_reconciliation"]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(content))
    nowhere = DuckDb(tmp_path / "none.duckdb")
    written = export_looker(nowhere, tmp_path / "looker", manifest)
    assert "llm_reconciliation" in written.notes[0]
    assert 'value: "finance_llm"' in (tmp_path / "looker" / "manifest.lkml").read_text()
    assert not (tmp_path / "looker" / "views" / "llm_reconciliation.view.lkml").exists()
    export_grafana(nowhere, tmp_path / "grafana", manifest)
    assert "FROM finance_llm.llm_usage_daily" in (tmp_path / "grafana" / "llm-spend.dashboard.json").read_text()

    del content["nodes"]["model.llm_spend.llm_usage_daily"]["columns"]["cost_usd"]
    with pytest.raises(UserError, match="llm_usage_daily has no column cost_usd"):
        read_semantics(read_manifest(json.dumps(content).encode()))
    for wrong in (b"[]", b"{", b'{"nodes": {}}'):
        with pytest.raises(UserError, match="manifest"):
            read_manifest(wrong)


@pytest.mark.slow
def test_without_a_build_the_project_itself_is_parsed(demo: Demo, tmp_path: Path) -> None:
    assert models_of(DuckDb(tmp_path / "none.duckdb")) == models_of(DuckDb(demo.database))
    assert not (tmp_path / "none.duckdb").exists() and not (tmp_path / ".llm_spend").exists()


def test_half_a_manifest_is_none(tmp_path: Path) -> None:
    """A build writes it while an export reads."""
    manifest = tmp_path / "manifest.json"
    assert _written(manifest) is None
    manifest.write_text('{"nodes": {}}')
    assert _written(manifest) == b'{"nodes": {}}'
    manifest.write_text('{"nodes": {')
    assert _written(manifest) is None


@pytest.mark.slow
def test_unpriced_usage_of_chargeback_is_that_of_the_statements(semantics: Semantics) -> None:
    """A restatement that found a price takes nothing from what the month itself does not know."""
    table = semantics.tables["llm_chargeback_lines"]
    shown = ", ".join(measure_sql(table, table.measures[f"unpriced_{unit}"]) for unit in ("tokens", "requests"))
    lines = "(values (10, 2), (-7, -1), (0, 0), (null, null)) as lines (unpriced_tokens, unpriced_requests)"
    with duckdb.connect() as connection:
        assert connection.execute(f"select {shown} from {lines}").fetchall() == [(10, 2)]
    assert "IF [unpriced_tokens] < 0 THEN 0 ELSE" in formula(table, table.measures["unpriced_tokens"])


def test_names_and_types_for_people() -> None:
    named = {name: label_of(name) for name in ("customer_name", "list_cost_usd", "p50_latency_ms", "user_id")}
    assert list(named.values()) == ["Customer name", "List cost (USD)", "P50 latency (ms)", "User"]
    types = ["decimal(38, 12)", "BIGNUMERIC", "timestamp_ntz", "STRING"]
    assert [kind_of(each) for each in types] == ["decimal", "decimal", "timestamp", "text"]
    with pytest.raises(ValueError, match="geography"):
        kind_of("geography")
