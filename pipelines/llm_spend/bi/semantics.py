"""dbt_project/bi.yml and dbt's manifest together: tables with what to group by and what to add up, for any tool.

A measure is what its SQL says, and every tool gets it from here, so that a number is the same in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from llm_spend.bi.manifest import Column, Model
from llm_spend.build import project_dir
from llm_spend.errors import UserError
from llm_spend.readers.sql import quote

Format = Literal["count", "number", "usd", "usd_exact", "percent", "ms"]
"""`usd` shows cents, `usd_exact` six decimals; `percent` is a part of 1; `number` has decimals where it needs them."""
Function = Literal["sum", "min", "max", "count", "distinct", "percentile"]
Chart = Literal["number", "lines", "bars", "table"]
Scalar = str | bool | None
Conditions = Mapping[str, Scalar]
NO_GROUP = "Other"

_NAME = re.compile(r"[a-z_]\w*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _ColumnSpec(_Strict):
    label: str | None = None
    group: str = NO_GROUP
    aggregate: Literal["sum", "min", "max"] | None = None
    format: Format | None = None
    hidden: bool = False


class _MeasureSpec(_Strict):
    label: str
    group: str
    format: Format
    description: str
    aggregate: Function | None = None
    of: str | None = None
    percentile: int | None = None
    where: dict[str, Scalar] = {}
    unless: dict[str, Scalar] = {}
    negative_as_zero: bool = False
    numerator: str | None = None
    denominator: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.aggregate) == bool(self.numerator) or bool(self.numerator) != bool(self.denominator):
            raise ValueError(f"{self.label}: either an aggregate, or numerator and denominator")
        if self.aggregate and (self.aggregate == "count") == bool(self.of):
            raise ValueError(f"{self.label}: a count is of rows, all else of a column")
        if (self.aggregate == "percentile") != (self.percentile is not None):
            raise ValueError(f"{self.label}: a percentile, and nothing else, says which")
        if self.negative_as_zero and not self.of:
            raise ValueError(f"{self.label}: only a column can be negative")
        return self


class _JoinSpec(_Strict):
    by: list[str]
    valid_on: str | None = None
    columns: list[str]


class _TableSpec(_Strict):
    label: str
    question: str
    time: str | None = None
    drill: list[str]
    only: list[str] | None = None
    extract: bool = True
    always_filter: str | None = None
    always_where: dict[str, Scalar] = {}
    hierarchies: dict[str, list[str]] = {}
    joins: dict[str, _JoinSpec] = {}
    columns: dict[str, _ColumnSpec] = {}
    shared_measures: list[str] = []
    measures: dict[str, _MeasureSpec] = {}


class _TileSpec(_Strict):
    title: str
    table: str
    by: list[str] = []
    measures: list[str]
    where: dict[str, Scalar] = {}
    chart: Chart
    wide: int
    any_time: bool = False


class _Description(_Strict):
    columns: dict[str, _ColumnSpec]
    measures: dict[str, _MeasureSpec]
    tables: dict[str, _TableSpec]
    dashboard: list[_TileSpec]
    filters: list[str]


@dataclass(frozen=True)
class Aggregate:
    """A function of the rows `where` all conditions hold, `unless` one of the others does; `count` is of rows.

    With `negative_as_zero` a row below 0 takes nothing from the others.
    """

    function: Function
    column: Column | None
    percentile: int | None
    where: Conditions
    unless: Conditions
    negative_as_zero: bool = False


@dataclass(frozen=True)
class Ratio:
    """One arithmetic expression of measures by another; not known when the second is 0."""

    numerator: str
    denominator: str


@dataclass(frozen=True)
class Dimension:
    """What rows are grouped by."""

    column: Column
    label: str
    group: str

    @property
    def name(self) -> str:
        """As the column is called."""
        return self.column.name


@dataclass(frozen=True)
class Measure:
    """What rows add up to. One that `is_hidden` only serves others."""

    name: str
    label: str
    group: str
    description: str
    format: Format | None
    definition: Aggregate | Ratio
    is_hidden: bool = False


@dataclass(frozen=True)
class Join:
    """A dimension table, of which a row of the table has at most one: by equal columns, valid on a date of the row."""

    model: Model
    by: tuple[str, ...]
    valid_on: str | None
    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True)
class Table:
    """A public table for people. `time` is the column by which it is cut; `is_extracted`: small enough to be copied."""

    model: Model
    label: str
    question: str
    time: str | None
    dimensions: tuple[Dimension, ...]
    measures: Mapping[str, Measure]
    drill: tuple[str, ...]
    hierarchies: Mapping[str, tuple[str, ...]]
    joins: tuple[Join, ...]
    always_filter: str | None
    always_where: Conditions
    is_extracted: bool

    @property
    def name(self) -> str:
        """As the model is called."""
        return self.model.name

    def dimension(self, name: str) -> Dimension | None:
        """The dimension of this name, if there is one."""
        return next((each for each in self.dimensions if each.name == name), None)


@dataclass(frozen=True)
class Tile:
    """A part of a dashboard: measures of the rows `where`, by dimensions; `wide` in twelfths of the page."""

    title: str
    table: Table
    by: tuple[str, ...]
    measures: tuple[str, ...]
    where: Conditions
    chart: Chart
    wide: int
    any_time: bool


@dataclass(frozen=True)
class Place:
    """Of a tile on a grid."""

    row: int
    column: int
    width: int
    height: int


@dataclass(frozen=True)
class Semantics:
    """All of it. `left_out` are tables that the manifest does not have."""

    tables: Mapping[str, Table]
    dashboard: tuple[Tile, ...]
    filters: tuple[str, ...]
    left_out: tuple[str, ...]


def read_semantics(models: Mapping[str, Model], path: Path | None = None) -> Semantics:
    """What bi.yml says of these models. Raises UserError when they lack a column that it names."""
    text = (path or project_dir() / "bi.yml").read_text(encoding="utf-8")
    described = _Description.model_validate(yaml.safe_load(text))
    tables = {
        name: _table(models, models[name], spec, described) for name, spec in described.tables.items() if name in models
    }
    dashboard = (
        Tile(
            spec.title,
            tables[spec.table],
            tuple(spec.by),
            tuple(spec.measures),
            spec.where,
            spec.chart,
            spec.wide,
            spec.any_time,
        )
        for spec in described.dashboard
        if spec.table in tables
    )
    left_out = tuple(name for name in described.tables if name not in models)
    return Semantics(tables, tuple(dashboard), tuple(described.filters), left_out)


def measure_sql(table: Table, measure: Measure, column: Callable[[str], str] = str) -> str:
    """A measure in SQL that DuckDB, Snowflake and BigQuery read alike, but for percentiles; `column` says how a column
    is written."""
    match measure.definition:
        case Ratio(numerator, denominator):

            def sum_of(name: str) -> str:
                return measure_sql(table, table.measures[name], column)

            return f"({in_terms(numerator, sum_of)}) / nullif({in_terms(denominator, sum_of)}, 0)"
        case Aggregate() as aggregate:
            return _aggregate_sql(aggregate, column)


def in_terms(expression: str, written: Callable[[str], str]) -> str:
    """An expression of measures, each as it is written elsewhere."""
    return _NAME.sub(lambda name: written(name[0]), expression)


def names_in(expression: str) -> tuple[str, ...]:
    """The measures that an expression is made of."""
    return tuple(_NAME.findall(expression))


def operand_sql(aggregate: Aggregate, column: Callable[[str], str] = str) -> str:
    """What is added up: the column, and NULL for rows that do not count; 1 for a count."""
    of = column(aggregate.column.name) if aggregate.column else "1"
    if aggregate.negative_as_zero:
        # Not greatest(): the dialects differ in what it makes of NULL.
        of = f"case when {of} < 0 then 0 else {of} end"
    conditions = [condition_sql(column(name), value) for name, value in aggregate.where.items()]
    excluded = [f"when {condition_sql(column(name), value)} then null " for name, value in aggregate.unless.items()]
    if not conditions and not excluded:
        return of
    counted = f"when {' and '.join(conditions)} then {of}" if conditions else f"else {of}"
    return f"case {''.join(excluded)}{counted} end"


def condition_sql(column: str, value: Scalar) -> str:
    """`column is null`, `column = true`, `column = 'text'`."""
    if value is None:
        return f"{column} is null"
    return f"{column} = {str(value).lower() if isinstance(value, bool) else quote(value)}"


def label_of(name: str) -> str:
    """`customer_name` -> `Customer name`; `list_cost_usd` -> `List cost (USD)`; `user_id` -> `User`."""
    words = name.removesuffix("_id").split("_")
    unit = {"usd": " (USD)", "ms": " (ms)"}.get(words[-1], "")
    text = " ".join(words[:-1] if unit else words)
    return f"{text[:1].upper()}{text[1:]}{unit}"


def placed(tiles: Iterable[Tile], columns: int, heights: Mapping[Chart, int]) -> Iterator[tuple[Tile, Place]]:
    """Each tile with its place on a grid: beside each other while the page of so many columns is wide enough."""
    row = column = height = 0
    for tile in tiles:
        width = tile.wide * columns // 12
        if column + width > columns:
            row, column, height = row + height, 0, 0
        height = max(height, heights[tile.chart])
        yield tile, Place(row, column, width, heights[tile.chart])
        column += width


def _aggregate_sql(aggregate: Aggregate, column: Callable[[str], str]) -> str:
    operand = operand_sql(aggregate, column)
    match aggregate.function:
        case "count":
            return "count(*)" if operand == "1" else f"count({operand})"
        case "distinct":
            return f"count(distinct {operand})"
        case "percentile":
            assert aggregate.percentile is not None
            return f"percentile_cont({aggregate.percentile / 100:g}) within group (order by {operand})"
        case function:
            return f"{function}({operand})"


def _table(models: Mapping[str, Model], model: Model, spec: _TableSpec, described: _Description) -> Table:
    specs = {name: _column_spec(name, spec, described) for name in spec.only or model.columns}
    _known(model, (*specs, *spec.columns, *spec.always_where))
    measures = {
        name: Measure(
            name,
            each.label or label_of(name),
            each.group,
            model.columns[name].description,
            each.format,
            Aggregate(each.aggregate, model.columns[name], None, {}, {}),
            each.hidden,
        )
        for name, each in specs.items()
        if each.aggregate
    }
    own = {name: described.measures[name] for name in spec.shared_measures} | spec.measures
    measures |= {name: _measure(model, name, each) for name, each in own.items()}
    return Table(
        model=model,
        label=spec.label,
        question=spec.question,
        time=spec.time,
        dimensions=tuple(
            _dimension(model, name, each) for name, each in specs.items() if not each.aggregate and not each.hidden
        ),
        measures=measures,
        drill=tuple(spec.drill),
        hierarchies={name: tuple(levels) for name, levels in spec.hierarchies.items()},
        joins=tuple(_join(models[name], each, described) for name, each in spec.joins.items() if name in models),
        always_filter=spec.always_filter,
        always_where=spec.always_where,
        is_extracted=spec.extract,
    )


def _column_spec(name: str, spec: _TableSpec | None, described: _Description) -> _ColumnSpec:
    own = spec.columns.get(name) if spec else None
    return own or described.columns.get(name) or _ColumnSpec()


def _dimension(model: Model, name: str, spec: _ColumnSpec) -> Dimension:
    return Dimension(model.columns[name], spec.label or label_of(name), spec.group)


def _measure(model: Model, name: str, spec: _MeasureSpec) -> Measure:
    definition: Aggregate | Ratio
    if spec.aggregate:
        _known(model, (*spec.where, *spec.unless, *([spec.of] if spec.of else [])))
        of = model.columns[spec.of] if spec.of else None
        definition = Aggregate(spec.aggregate, of, spec.percentile, spec.where, spec.unless, spec.negative_as_zero)
    else:
        definition = Ratio(spec.numerator or "", spec.denominator or "")
    return Measure(name, spec.label, spec.group, spec.description, spec.format, definition)


def _join(model: Model, spec: _JoinSpec, described: _Description) -> Join:
    _known(model, (*spec.by, *spec.columns))
    dimensions = (_dimension(model, name, _column_spec(name, None, described)) for name in spec.columns)
    return Join(model, tuple(spec.by), spec.valid_on, tuple(dimensions))


def _known(model: Model, names: Iterable[str]) -> None:
    missing = _in_order(name for name in names if name not in model.columns)
    if missing:
        raise UserError(
            f"{model.name} has no column {', '.join(missing)} in this manifest.",
            "Give the manifest of a project with the package of this version.",
        )


def _in_order(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
