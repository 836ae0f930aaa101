"""A Grafana dashboard over the marts, as JSON to import. Its SQL is of the destination's dialect.

Time comes in by Grafana's own variables, not by macros, which every data source plug-in has others of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_spend.bi.semantics import (
    Aggregate,
    Chart,
    Dimension,
    Format,
    Measure,
    Semantics,
    Table,
    Tile,
    condition_sql,
    measure_sql,
    placed,
)

PLUGINS: Mapping[str, str] = {
    "duckdb": "motherduck-duckdb-datasource",
    "snowflake": "grafana-snowflake-datasource",
    "bigquery": "grafana-bigquery-datasource",
}
UID = "llm-spend"
# The versions of Grafana 11, which later ones read.
_SCHEMA_VERSION = 41
_AS_TABLE = 1
_COLUMNS = 24
_MOST_MEMBERS = 100
# What stands for all values: their list would leave out rows of one table whose value no row of another has.
_ALL = "(all)"

_UNITS: Mapping[Format, tuple[str, int]] = {
    "count": ("locale", 0),
    "number": ("locale", 2),
    "usd": ("currencyUSD", 2),
    "usd_exact": ("currencyUSD", 6),
    "percent": ("percentunit", 1),
    "ms": ("ms", 0),
}
_HEIGHTS: Mapping[Chart, int] = {"number": 4, "lines": 8, "bars": 8, "table": 9}
_TYPES: Mapping[Chart, str] = {"number": "stat", "lines": "timeseries", "bars": "timeseries", "table": "table"}

Node = dict[str, Any]


def dashboard(semantics: Semantics, destination: str) -> Node:
    """The dashboard for the plug-in of a destination."""
    plugin = PLUGINS[destination]
    first = next(iter(semantics.tables.values()))
    filters = [dimension for name in semantics.filters if (dimension := first.dimension(name))]
    return {
        "uid": UID,
        "title": "LLM spend",
        "description": "What LLMs cost and who spent it. Costs leave out usage without a price: see unpriced tokens.",
        "tags": ["llm-spend"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 0,
        "timezone": "utc",
        "time": {"from": "now-30d", "to": "now"},
        "timepicker": {},
        "refresh": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [_source_variable(plugin), *(_filter_variable(first, each, destination) for each in filters)]
        },
        "panels": [
            {
                **_panel(tile, filters, destination),
                "id": number,
                "gridPos": {"x": place.column, "y": place.row, "w": place.width, "h": place.height},
            }
            for number, (tile, place) in enumerate(placed(semantics.dashboard, _COLUMNS, _HEIGHTS), start=1)
        ],
    }


def panel_sql(tile: Tile, filters: Iterable[Dimension], destination: str) -> str:
    """What a panel asks. `${…}` is for Grafana to fill in."""
    table = tile.table
    columns = [f'{name} as "{name}"' for name in tile.by]
    columns += [f'{_shown_sql(table, table.measures[name])} as "{name}"' for name in tile.measures]
    where = [condition_sql(name, value) for name, value in (*table.always_where.items(), *tile.where.items())]
    if table.time and not tile.any_time:
        where += [f"{table.time} >= {_day('from')}", f"{table.time} <= {_day('to')}"]
    chosen = {f"__{each.name}__": each.name for each in filters if table.dimension(each.name)}
    where += chosen
    sql = f"select {', '.join(columns)} from {table.model.schema}.{table.name}"
    sql += f" where {' and '.join(where)}" if where else ""
    if tile.by:
        sql += f" group by {', '.join(tile.by)} order by "
        if table.model.columns[tile.by[0]].kind in ("date", "timestamp"):
            # All of the rows: a statement that is cut would be another one.
            sql += f'"{tile.by[0]}"{" desc" if tile.chart == "table" else ""}'
        else:
            sql += f'"{tile.measures[0]}" desc nulls last limit {_MOST_MEMBERS}'
    sql = _in_dialect(sql, destination)
    for mark, name in chosen.items():
        sql = sql.replace(mark, _chosen(name, destination))
    return sql


def _shown_sql(table: Table, measure: Measure) -> str:
    """Grafana counts in floating point; so what it gets is that of the exact number, not the other way round.

    A count is cast as well: DuckDB's sums of integers are too wide for the plug-in, which shows them as text.
    """
    sql = measure_sql(table, measure)
    match measure.format:
        case None:
            return sql
        case "count":
            return f"cast({sql} as bigint)"
        case _:
            return f"cast({sql} as double)"


def _day(end: str) -> str:
    """The UTC date of an end of the time range. Other formats of the variable are in the time zone of the browser."""
    return f"cast(substr('${{__{end}:date:iso}}', 1, 10) as date)"


def _chosen(name: str, destination: str) -> str:
    """Whether a column has one of the values that are chosen, or all are. No value can end the constant it stands in.

    BigQuery reads a list as JSON writes it. Elsewhere it is a pattern between `$$`, where nothing is escaped: Grafana
    puts a backslash before each `$` of a value. Its format for SQL knows nothing of Snowflake's backslashes, and its
    later versions put one before a double quote, which DuckDB takes for a part of the value.
    """
    if destination == "bigquery":
        values = f"UNNEST(${{{name}:json}})"
        return f"('{_ALL}' IN {values} OR {name} IN {values})"
    values = f"$$(${{{name}:regex}})$$"
    if destination == "duckdb":
        return f"(REGEXP_FULL_MATCH('{_ALL}', {values}) OR REGEXP_FULL_MATCH({name}, {values}))"
    # Grafana escapes a slash, too; Snowflake says nothing of what an escape means that no pattern needs.
    values = f"REPLACE({values}, $$\\/$$, '/')"
    return f"(REGEXP_LIKE('{_ALL}', {values}) OR REGEXP_LIKE({name}, {values}))"


def _in_dialect(sql: str, destination: str) -> str:
    import sqlglot

    return sqlglot.transpile(sql, read="duckdb", write=destination, pretty=True)[0]


def _source_variable(plugin: str) -> Node:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": plugin,
        # None is chosen yet: Grafana takes the first of the plug-in.
        "current": {"selected": False, "text": "", "value": ""},
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "options": [],
    }


def _filter_variable(table: Table, dimension: Dimension, destination: str) -> Node:
    sql = _in_dialect(
        f"select distinct {dimension.name} from {table.model.schema}.{table.name} order by {dimension.name}",
        destination,
    )
    # BigQuery's plug-in asks for variables as panels do; the others take the SQL alone.
    query: str | Node = sql if destination != "bigquery" else {"refId": "A", **_query(sql)}
    return {
        "type": "query",
        "name": dimension.name,
        "label": dimension.label,
        "description": dimension.column.description,
        "datasource": _source(destination),
        "query": query,
        "definition": sql,
        "refresh": 1,
        "regex": "",
        "sort": 1,
        "hide": 0,
        "multi": True,
        "includeAll": True,
        # Grafana puts it into the SQL as it is.
        "allValue": f'["{_ALL}"]' if destination == "bigquery" else re.escape(_ALL),
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def _source(destination: str) -> Node:
    return {"type": PLUGINS[destination], "uid": "${datasource}"}


def _query(sql: str) -> Node:
    return {"rawSql": sql, "rawQuery": True, "editorMode": "code", "format": _AS_TABLE}


def _panel(tile: Tile, filters: list[Dimension], destination: str) -> Node:
    table = tile.table
    return {
        "type": _TYPES[tile.chart],
        "title": tile.title,
        "description": table.question,
        "datasource": _source(destination),
        "targets": [
            {"refId": "A", "datasource": _source(destination), **_query(panel_sql(tile, filters, destination))}
        ],
        "fieldConfig": {"defaults": {"custom": _drawn(tile)}, "overrides": list(_overrides(tile))},
        "options": _options(tile),
    }


def _overrides(tile: Tile) -> Iterator[Node]:
    """How each column is called and shown."""
    table = tile.table
    for name in tile.by:
        dimension = table.dimension(name)
        yield _override(name, [{"id": "displayName", "value": dimension.label if dimension else name}])
    for name in tile.measures:
        measure = table.measures[name]
        properties: list[Node] = [{"id": "displayName", "value": measure.label}]
        if measure.format:
            unit, decimals = _UNITS[measure.format]
            properties += [{"id": "unit", "value": unit}, {"id": "decimals", "value": decimals}]
        elif _is_time(measure):
            properties.append({"id": "unit", "value": "dateTimeAsIso"})
        yield _override(name, properties)


def _override(name: str, properties: list[Node]) -> Node:
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _is_time(measure: Measure) -> bool:
    definition = measure.definition
    return isinstance(definition, Aggregate) and bool(definition.column and definition.column.kind == "timestamp")


def _drawn(tile: Tile) -> Node:
    match tile.chart:
        case "lines":
            return {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 10, "showPoints": "auto"}
        case "bars":
            return {"drawStyle": "bars", "lineWidth": 1, "fillOpacity": 70}
        case _:
            return {}


def _options(tile: Tile) -> Node:
    match tile.chart:
        case "number":
            # A time is no number, and would not be shown otherwise.
            shown = "/.*/" if _is_time(tile.table.measures[tile.measures[0]]) else ""
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": shown, "values": False},
                "colorMode": "none",
                "graphMode": "none",
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": "value",
                "wideLayout": True,
                "showPercentChange": False,
                "percentChangeColorMode": "standard",
            }
        case "table":
            return {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}
        case _:
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
