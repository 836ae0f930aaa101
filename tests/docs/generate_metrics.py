"""Writes docs/metrics/semantic_models.yml, metric definitions for dbt's semantic layer, from dbt_project/bi.yml.

Run `python tests/docs/generate_metrics.py` after a change; a test compares the committed file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from llm_spend.bi.manifest import models_of
from llm_spend.bi.semantics import Aggregate, Measure, Ratio, Semantics, Table, names_in, operand_sql, read_semantics
from llm_spend.destinations import DuckDb

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "metrics"
TARGET = FOLDER / "semantic_models.yml"
# The names of a table's metrics begin with this: measures have one name in all of a project.
PREFIXES = {"llm_usage_daily": "llm", "llm_chargeback_lines": "llm_chargeback"}
# No two metrics may have one label, either.
LABELS = {"llm": "", "llm_chargeback": "Chargeback: "}
FUNCTIONS = {"sum": "sum", "min": "min", "max": "max", "distinct": "count_distinct"}

HEADER = """\
# Written by `make docs` from dbt_project/bi.yml: metrics for the semantic layer, as dbt 1.8 to 1.11 reads them.
# They are not part of the package: copy this folder into the models of your own project (docs/bi.md).
"""


def metrics_file(semantics: Semantics) -> str:
    """The whole file."""
    tables = [semantics.tables[name] for name in PREFIXES]
    content = {
        "version": 2,
        "models": [
            {
                "name": "llm_time_spine",
                "description": "One row per day, for metrics over time.",
                "config": {"materialized": "table"},
                "time_spine": {"standard_granularity_column": "date_day"},
                "columns": [{"name": "date_day", "granularity": "day", "description": "The day."}],
            }
        ],
        "semantic_models": [_semantic_model(table) for table in tables],
        "metrics": [metric for table in tables for metric in _metrics(table)],
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False, width=116, allow_unicode=True)


def _semantic_model(table: Table) -> dict[str, Any]:
    prefix = PREFIXES[table.name]
    assert table.time
    return {
        "name": table.name,
        "label": table.label,
        "description": table.model.description,
        "model": f"ref('llm_spend', '{table.name}')",
        "defaults": {"agg_time_dimension": table.time},
        "primary_entity": prefix,
        "dimensions": [
            {"name": each.name, "label": each.label, "description": each.column.description}
            | (
                {"type": "time", "type_params": {"time_granularity": "day"}}
                if each.column.kind in ("date", "timestamp")
                else {"type": "categorical"}
            )
            for each in table.dimensions
        ],
        "measures": [
            {
                "name": f"{prefix}_{measure.name}_measure",
                "description": measure.description,
                "agg": FUNCTIONS[aggregate.function],
                "expr": operand_sql(aggregate),
            }
            for measure, aggregate in _aggregates(table)
        ],
    }


def _aggregates(table: Table) -> Iterator[tuple[Measure, Aggregate]]:
    """Measures of a column; first and last times are none: MetricFlow compares numbers only."""
    for measure in table.measures.values():
        definition = measure.definition
        if isinstance(definition, Aggregate) and definition.column and definition.column.kind != "timestamp":
            yield measure, definition


def _metrics(table: Table) -> Iterator[dict[str, Any]]:
    prefix = PREFIXES[table.name]
    for measure, _ in _aggregates(table):
        yield _metric(prefix, measure, "simple", {"measure": f"{prefix}_{measure.name}_measure"})
    for measure in table.measures.values():
        if isinstance(measure.definition, Ratio):
            numerator, denominator = measure.definition.numerator, measure.definition.denominator
            used = dict.fromkeys((*names_in(numerator), *names_in(denominator)))
            inputs = [{"name": f"{prefix}_{name}", "alias": name} for name in used]
            expression = f"({numerator}) / nullif({denominator}, 0)"
            yield _metric(prefix, measure, "derived", {"expr": expression, "metrics": inputs})


def _metric(prefix: str, measure: Measure, kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"{prefix}_{measure.name}",
        "label": f"{LABELS[prefix]}{measure.label}",
        "description": measure.description,
        "type": kind,
        "type_params": parameters,
    }


if __name__ == "__main__":
    TARGET.write_text(metrics_file(read_semantics(models_of(DuckDb(Path("none.duckdb"))))), encoding="utf-8")
    print(f"wrote {TARGET}")
