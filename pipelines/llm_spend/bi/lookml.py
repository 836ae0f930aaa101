"""A Looker project: a view for each table, an explore for each question, and a dashboard. LookML by lkml, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lkml
import yaml

from llm_spend.bi.manifest import Column, Kind, Model
from llm_spend.bi.semantics import (
    Aggregate,
    Chart,
    Dimension,
    Format,
    Join,
    Measure,
    Ratio,
    Scalar,
    Semantics,
    Table,
    Tile,
    condition_sql,
    in_terms,
    operand_sql,
    placed,
)

PROJECT = "llm_spend"
SCHEMA, CONNECTION = "LLM_SPEND_SCHEMA", "LLM_SPEND_CONNECTION"
DATAGROUP = "llm_spend_loads"

_HEADER = "# Written by `llm-spend export looker`. Change it by refinements (view: +name) in files of your own.\n\n"
_FORMATS: Mapping[Format, str] = {
    "count": "#,##0",
    "number": "#,##0.##",
    "usd": "$#,##0.00",
    "usd_exact": "$#,##0.000000",
    "percent": "0.0%",
    "ms": "#,##0",
}
_TYPES: Mapping[Kind, str] = {"text": "string", "json": "string", "integer": "number", "decimal": "number"}
_DATE_FRAMES = ("raw", "date", "week", "month", "quarter", "year")
_TIME_FRAMES = ("raw", "time", "hour", "date", "week", "month", "quarter", "year")
_CHARTS: Mapping[Chart, str] = {
    "number": "single_value",
    "lines": "looker_line",
    "bars": "looker_column",
    "table": "looker_grid",
}
_ROWS: Mapping[Chart, int] = {"number": 3, "lines": 7, "bars": 7, "table": 8}
_COLUMNS = 24
# What Looker asks for at most, if nobody says otherwise for a schedule.
_MOST_ROWS = 5000
_DATE_FILTER = "Date (UTC)"
_TAG_LIST = {"type": "tag_list", "display": "popover"}

Node = dict[str, Any]


def project_files(semantics: Semantics, destination: str) -> Mapping[str, str]:
    """The files of the project, by path. Tables of DuckDB are written as for Snowflake: Looker reads no such file."""
    schema = next(iter(semantics.tables.values())).model.schema
    # What Looker calls a time without a zone: BigQuery's DATETIME compares with none of its TIMESTAMPs.
    times = "timestamp" if destination == "bigquery" else "datetime"
    views = dict(_views(semantics, schema, times))
    return {
        "manifest.lkml": _manifest(schema),
        f"{PROJECT}.model.lkml": _HEADER + _dump(_model(semantics)),
        **{f"views/{name}.view.lkml": _HEADER + _dump({"views": [view]}) for name, view in views.items()},
        f"dashboards/{PROJECT}.dashboard.lookml": _HEADER
        + yaml.safe_dump([_dashboard(semantics)], sort_keys=False, width=120, allow_unicode=True),
    }


def _manifest(schema: str) -> str:
    return f"""{_HEADER}project_name: "{PROJECT}"

# The connection in Looker, and the schema of the public tables: on BigQuery with the project, `my-project`.{schema}.
constant: {CONNECTION} {{
  value: "llm_spend"
  export: override_optional
}}

constant: {SCHEMA} {{
  value: "{schema}"
  export: override_optional
}}
"""


def _model(semantics: Semantics) -> Node:
    return {
        "connection": f"@{{{CONNECTION}}}",
        "label": "LLM spend",
        "includes": ["/views/*.view.lkml", "/dashboards/*.dashboard.lookml"],
        "datagroups": [
            {
                "name": DATAGROUP,
                "sql_trigger": f"SELECT MAX(loaded_at) FROM @{{{SCHEMA}}}.llm_load_history",
                "max_cache_age": "24 hours",
            }
        ],
        "persist_with": DATAGROUP,
        "explores": [_explore(table) for table in semantics.tables.values()],
    }


def _explore(table: Table) -> Node:
    node: Node = {"name": table.name, "label": table.label, "description": table.question}
    if table.always_where:
        node["sql_always_where"] = " AND ".join(
            condition_sql(f"{table.name}.{name}", value) for name, value in table.always_where.items()
        )
    if table.always_filter:
        # A value has to stand there: the key that most logs have.
        node["always_filter"] = {"filters__all": [[{table.always_filter: "team"}]]}
    node["joins"] = [_join(table, join) for join in table.joins]
    return node


def _join(table: Table, join: Join) -> Node:
    there, here = join.model.name, table.name
    conditions = [f"${{{here}.{name}}} = ${{{there}.{name}}}" for name in join.by]
    if join.valid_on:
        on = f"${{{here}.{_group(join.valid_on)}_raw}}"
        conditions += [f"{on} >= ${{{there}.valid_from_raw}}", f"{on} < ${{{there}.valid_to_raw}}"]
    return {
        "name": there,
        "view_label": table.label,
        "type": "left_outer",
        "relationship": "many_to_one",
        "sql_on": " AND ".join(conditions),
        "fields": [f"{there}.{dimension.name}" for dimension in join.dimensions],
    }


def _views(semantics: Semantics, schema: str, times: str) -> Iterator[tuple[str, Node]]:
    for table in semantics.tables.values():
        yield table.name, _view(table, schema, times)
    joined = {(table.name, join.model.name): join for table in semantics.tables.values() for join in table.joins}
    for name in dict.fromkeys(name for _, name in joined):
        yield name, _joined_view([join for (_, there), join in joined.items() if there == name], schema, times)


def _view(table: Table, schema: str, times: str) -> Node:
    fields = {dimension.name: _field(dimension.column) for dimension in table.dimensions}
    fields |= {name: name for name in table.measures}
    return {
        "name": table.name,
        "label": table.label,
        "sql_table_name": _relation(table.model, schema),
        "dimensions": [
            _primary_key(table.model),
            *(_dimension(each) for each in table.dimensions if not _is_time(each.column)),
        ],
        "dimension_groups": [_dimension_group(each, times) for each in table.dimensions if _is_time(each.column)],
        "measures": [_measure(measure, times) for measure in table.measures.values()],
        "sets": [{"name": "detail", "fields": [fields[name] for name in table.drill]}],
    }


def _joined_view(joins: list[Join], schema: str, times: str) -> Node:
    """A dimension table, with the columns that any explore shows and, unseen, those that it is joined by."""
    model = joins[0].model
    shown = {dimension.name: dimension for join in joins for dimension in join.dimensions}
    unseen = [Dimension(model.columns[name], name, "") for name in joins[0].by if name not in shown]
    validity = [
        Dimension(model.columns[name], name, "")
        for name in ("valid_from", "valid_to")
        if any(j.valid_on for j in joins)
    ]
    return {
        "name": model.name,
        "sql_table_name": _relation(model, schema),
        "dimensions": [
            _primary_key(model),
            *({**_dimension(each), "hidden": "yes"} for each in unseen),
            *map(_dimension, shown.values()),
        ],
        "dimension_groups": [{**_dimension_group(each, times), "hidden": "yes"} for each in validity],
    }


def _relation(model: Model, schema: str) -> str:
    place = f"@{{{SCHEMA}}}" if model.schema == schema else model.schema
    return f"{place}.{model.name}"


def _primary_key(model: Model) -> Node:
    """Looker counts the rows of a join by it. A part that may be NULL would make it NULL, which is no key."""
    parts = [
        text if model.columns[name].is_never_null else f"COALESCE({text}, '')"
        for name in model.key
        for text in [f"CAST(${{TABLE}}.{name} AS STRING)"]
    ]
    separated = ", '|', ".join(parts)
    return {
        "name": "row_key",
        "primary_key": "yes",
        "hidden": "yes",
        "type": "string",
        "sql": parts[0] if len(parts) == 1 else f"CONCAT({separated})",
    }


def _dimension(dimension: Dimension) -> Node:
    column = dimension.column
    node: Node = {"name": column.name, "label": dimension.label, "description": _text(column.description)}
    if dimension.group:
        node["group_label"] = dimension.group
    is_flag = column.kind == "boolean"
    return {**node, "type": "yesno" if is_flag else _TYPES[column.kind], "sql": f"${{TABLE}}.{column.name}"}


def _dimension_group(dimension: Dimension, times: str) -> Node:
    """Looker writes the timeframe behind the label: Usage Date, Usage Month."""
    column = dimension.column
    label = dimension.label
    for last in (" date", " month", " at"):
        label = label.removesuffix(last)
    node: Node = {"name": _group(column.name), "label": label, "description": _text(column.description)}
    return node | {
        "type": "time",
        "datatype": "date" if column.kind == "date" else times,
        # Dates and times are those of UTC for everybody; a converted one would be of another day.
        "convert_tz": "no",
        "timeframes": list(_DATE_FRAMES if column.kind == "date" else _TIME_FRAMES),
        "sql": f"${{TABLE}}.{column.name}",
    }


def _measure(measure: Measure, times: str) -> Node:
    node: Node = {
        "name": measure.name,
        "label": measure.label,
        "group_label": measure.group,
        "description": _text(measure.description),
        **_measure_sql(measure, times),
        "drill_fields": ["detail*"],
    }
    if measure.format:
        node["value_format"] = _FORMATS[measure.format]
    return node | ({"hidden": "yes"} if measure.is_hidden else {})


def _measure_sql(measure: Measure, times: str) -> Node:
    match measure.definition:
        case Ratio(numerator, denominator):
            parts = [in_terms(each, lambda name: f"${{{name}}}") for each in (numerator, denominator)]
            return {"type": "number", "sql": f"({parts[0]}) / NULLIF({parts[1]}, 0)"}
        case Aggregate() as aggregate:
            return _aggregate(aggregate, times)


def _aggregate(aggregate: Aggregate, times: str) -> Node:
    operand = operand_sql(aggregate, lambda name: f"${{TABLE}}.{name}")
    column = aggregate.column
    match aggregate.function:
        case "count":
            return {"type": "count"} if operand == "1" else {"type": "number", "sql": f"COUNT({operand})"}
        case "distinct":
            return {"type": "count_distinct", "sql": operand}
        case "percentile":
            return {"type": "percentile", "percentile": str(aggregate.percentile), "sql": operand}
        case "sum":
            # Looker's sum makes 0 of what is not known.
            if column and column.is_never_null and not aggregate.where and not aggregate.unless:
                return {"type": "sum", "sql": operand}
            return {"type": "number", "sql": f"SUM({operand})"}
        case function:
            if column and _is_time(column):
                kind, datatype = ("date", "date") if column.kind == "date" else ("date_time", times)
                sql = f"{function.upper()}({operand})"
                return {"type": kind, "datatype": datatype, "convert_tz": "no", "sql": sql}
            return {"type": function, "sql": operand}


def _dashboard(semantics: Semantics) -> Node:
    first = next(iter(semantics.tables.values()))
    dimensions = [dimension for name in semantics.filters if (dimension := first.dimension(name))]
    filters = [
        _filter(first, _DATE_FILTER, f"{_group(first.time or '')}_date", default_value="30 days"),
        # A copy for each: YAML would write the second time as a reference, which LookML does not have.
        *(_filter(first, each.label, each.name, ui_config=dict(_TAG_LIST)) for each in dimensions),
    ]
    return {
        "dashboard": PROJECT,
        "title": "LLM spend",
        "description": "What LLMs cost and who spent it. Costs leave out what has no price: see unpriced tokens.",
        "layout": "newspaper",
        "preferred_viewer": "dashboards-next",
        "filters": filters,
        "elements": [
            {
                **_element(tile, semantics),
                "row": place.row,
                "col": place.column,
                "width": place.width,
                "height": place.height,
            }
            for tile, place in placed(semantics.dashboard, _COLUMNS, _ROWS)
        ],
    }


def _filter(table: Table, title: str, field: str, **how: Any) -> Node:
    return {
        "name": title,
        "title": title,
        "type": "field_filter",
        "default_value": "",
        "allow_multiple_values": True,
        "required": False,
        "model": PROJECT,
        "explore": table.name,
        "field": f"{table.name}.{field}",
        **how,
    }


def _element(tile: Tile, semantics: Semantics) -> Node:
    table = tile.table
    fields = [f"{table.name}.{name}" for name in (*_tile_fields(tile), *tile.measures)]
    listen = {} if tile.any_time or not table.time else {_DATE_FILTER: f"{table.name}.{_group(table.time)}_date"}
    for name in semantics.filters:
        dimension = table.dimension(name)
        if dimension:
            listen[dimension.label] = f"{table.name}.{name}"
    node: Node = {
        "title": tile.title,
        "name": tile.title,
        "model": PROJECT,
        "explore": table.name,
        "type": _CHARTS[tile.chart],
        "fields": fields,
        "limit": _MOST_ROWS,
        "listen": listen,
    }
    if tile.by:
        by_time = _is_time(table.model.columns[tile.by[0]])
        direction = "" if by_time and tile.chart != "table" else " desc"
        node["sorts"] = [f"{fields[0] if by_time else fields[len(tile.by)]}{direction}"]
    if tile.where:
        node["filters"] = {
            f"{table.name}.{_filter_field(table, name)}": _filter_value(value) for name, value in tile.where.items()
        }
    return node


def _tile_fields(tile: Tile) -> Iterator[str]:
    for name in tile.by:
        yield _field(tile.table.model.columns[name])


def _filter_field(table: Table, name: str) -> str:
    column = table.model.columns[name]
    return f"{_group(name)}_date" if _is_time(column) else name


def _filter_value(value: Scalar) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "Yes" if value else "No"
        case str():
            return value


def _field(column: Column) -> str:
    """What a column is called in a query: of a time, the day, the month or the moment that people look at."""
    if not _is_time(column):
        return column.name
    if column.kind == "timestamp":
        return f"{_group(column.name)}_time"
    return f"{_group(column.name)}_{'month' if column.name.endswith('_period') else 'date'}"


def _group(name: str) -> str:
    """`usage_date` -> `usage`, to which Looker adds the timeframe."""
    return name.removesuffix("_date").removesuffix("_at").removesuffix("_period")


def _is_time(column: Column) -> bool:
    return column.kind in ("date", "timestamp")


def _text(description: str) -> str:
    """For a quoted string of LookML."""
    return description.replace('"', "'")


def _dump(node: Node) -> str:
    return str(lkml.dump(node)) + "\n"
