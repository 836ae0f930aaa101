"""Tableau data sources: XML that says how a table is connected, and how its fields are called, grouped and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as XML
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from llm_spend.bi.manifest import Column, Kind
from llm_spend.bi.semantics import Aggregate, Dimension, Format, Measure, Ratio, Scalar, Table, in_terms

EXTRACT_SCHEMA = "Extract"

_DATATYPES: Mapping[Kind, str] = {
    "text": "string",
    "json": "string",
    "integer": "integer",
    "decimal": "real",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime",
}
# How ODBC numbers these types, which is what Tableau notes of a column.
_REMOTE_TYPES: Mapping[Kind, str] = {
    "text": "129",
    "json": "129",
    "integer": "20",
    "decimal": "131",
    "boolean": "11",
    "date": "7",
    "timestamp": "135",
}
_FORMATS: Mapping[Format, str] = {
    "count": "n#,##0;-#,##0",
    "number": "n#,##0.##;-#,##0.##",
    "usd": 'c"$"#,##0.00;-"$"#,##0.00',
    "usd_exact": 'c"$"#,##0.000000;-"$"#,##0.000000',
    "percent": "p0.0%",
    "ms": "n#,##0;-#,##0",
}
_FUNCTIONS = {"sum": "SUM", "min": "MIN", "max": "MAX", "distinct": "COUNTD"}
_AGGREGATIONS = {"sum": "Sum", "min": "Min", "max": "Max"}


@dataclass(frozen=True)
class Connection:
    """Where Tableau finds a table: attributes of its `connection` element, none of them secret.

    `relation` is how the table is written there, `is_upper` whether names are in capitals, as Snowflake has them.
    """

    caption: str
    attributes: Mapping[str, str]
    relation: str
    is_upper: bool = False


def extract_connection(table: Table) -> Connection:
    """The extract that is packed beside the data source."""
    attributes = {
        "class": "hyper",
        "authentication": "auth-none",
        "author-locale": "en_US",
        "dbname": f"Data/Extracts/{table.name}.hyper",
        "default-settings": "yes",
        "schema": EXTRACT_SCHEMA,
        "sslmode": "",
        "username": "tableau_internal_user",
    }
    return Connection(table.label, attributes, f"[{EXTRACT_SCHEMA}].[{table.name}]")


def live_connection(table: Table, destination: str, environment: Mapping[str, str]) -> Connection:
    """The table in Snowflake or BigQuery, by what dbt is told of the connection. Tableau asks for the credentials."""
    schema = table.model.schema
    if destination == "snowflake":
        database, schema = environment.get("SNOWFLAKE_DATABASE", "").upper(), schema.upper()
        account = environment.get("SNOWFLAKE_ACCOUNT", "")
        attributes = {
            "class": "snowflake",
            "authentication": "Username Password",
            "dbname": database,
            "odbc-connect-string-extras": "",
            "one-time-sql": "",
            "schema": schema,
            "server": account if "." in account else f"{account}.snowflakecomputing.com",
            "service": "",
            "username": "",
            "warehouse": environment.get("SNOWFLAKE_WAREHOUSE", ""),
        }
        return Connection("Snowflake", attributes, f"[{database}].[{schema}].[{table.name.upper()}]", is_upper=True)
    project = environment.get("BIGQUERY_PROJECT", "")
    attributes = {
        "class": "bigquery",
        "CATALOG": project,
        "EXECCATALOG": project,
        "authentication": "oauth",
        "connection-dialect": "google-sql",
        "one-time-sql": "",
        "project": project,
        "schema": schema,
        "server": "googleapis.com/bigquery",
        "username": "",
    }
    return Connection("BigQuery", attributes, f"[{project}.{schema}].[{table.name}]")


def extracted(table: Table) -> tuple[Column, ...]:
    """The columns of an extract: what is grouped by, names of joined tables, and what measures are made of."""
    joined = (dimension.column for join in table.joins for dimension in join.dimensions)
    return tuple({column.name: column for column in (*_own_columns(table), *joined)}.values())


def data_source(table: Table, connection: Connection, columns: tuple[Column, ...]) -> bytes:
    """A `.tds` file. Elements stand in the order that Tableau's schema wants."""
    identity = sha256(f"{table.name} {sorted(connection.attributes.items())}".encode()).hexdigest()[:28]
    source = XML.Element(
        "datasource",
        {"formatted-name": f"federated.{identity}", "inline": "true", "version": "18.1"},
        caption=f"LLM spend: {table.label}",
    )
    source.append(_connection(table, connection, columns, f"{connection.attributes['class']}.{identity}"))
    XML.SubElement(source, "aliases", enabled="yes")
    names = {column.name for column in columns}
    dimensions = [each for each in _dimensions(table) if each.name in names]
    # A column that the source has and people need not see is hidden, not left out: Tableau would show it.
    shown = {each.name for each in dimensions}
    for dimension in dimensions:
        source.append(_dimension(dimension))
    calculated = []
    for measure in table.measures.values():
        column = _plain_column(measure)
        if column:
            source.append(_column_measure(measure, column))
            shown.add(column.name)
        else:
            calculated.append(measure)
    for name in sorted(names - shown):
        kind = next(column.kind for column in columns if column.name == name)
        source.append(_field(name, name, kind, is_hidden=True))
    for measure in calculated:
        source.append(_calculation(table, measure))
    # An extract without the column has the rows that count, and no others.
    filters = {name: value for name, value in table.always_where.items() if name in names}
    for name in filters:
        source.append(_instance(name))
    _hierarchies(source, table)
    _folders(source, table, dimensions)
    XML.SubElement(
        source, "layout", {"dim-ordering": "alphabetic", "measure-ordering": "alphabetic", "show-structure": "true"}
    )
    for name, value in filters.items():
        source.append(_filter(name, value))
    XML.indent(source)
    return f"<?xml version='1.0' encoding='utf-8' ?>\n{XML.tostring(source, encoding='unicode')}\n".encode()


def packed(name: str, source: bytes, extract: Path) -> bytes:
    """A `.tdsx` file: a data source with its extract. The same content gives the same bytes."""
    content = BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for path, data in ((f"{name}.tds", source), (f"Data/Extracts/{extract.name}", extract.read_bytes())):
            entry = ZipInfo(path)
            entry.compress_type = ZIP_DEFLATED
            archive.writestr(entry, data)
    return content.getvalue()


def field_name(measure: Measure) -> str:
    """What formulas call a measure: its column, or its calculation."""
    column = _plain_column(measure)
    return f"[{column.name}]" if column else f"[Calculation_{measure.name}]"


def formula(table: Table, measure: Measure) -> str:
    """A measure in Tableau's language; NULL where a divisor is 0."""
    match measure.definition:
        case Ratio(numerator, denominator):
            parts = [in_terms(each, lambda name: _used(table, name)) for each in (numerator, denominator)]
            return f"({parts[0]}) / ({parts[1]})"
        case Aggregate(function, column, percentile, where, unless, negative_as_zero):
            of = f"[{column.name}]" if column else "1"
            of = f"(IF {of} < 0 THEN 0 ELSE {of} END)" if negative_as_zero else of
            conditions = [_condition(name, value) for name, value in where.items()]
            # What is not known is not excluded: NOT of NULL would be NULL.
            conditions += [f"IFNULL(NOT {_condition(name, value)}, TRUE)" for name, value in unless.items()]
            operand = f"IF {' AND '.join(conditions)} THEN {of} END" if conditions else of
            match function:
                case "count":
                    return f"COUNT({operand})" if conditions else "SUM(1)"
                case "percentile":
                    return f"PERCENTILE({operand}, {(percentile or 0) / 100:g})"
                case _:
                    return f"{_FUNCTIONS[function]}({operand})"


def _used(table: Table, name: str) -> str:
    measure = table.measures[name]
    return formula(table, measure) if _plain_column(measure) else field_name(measure)


def _condition(name: str, value: Scalar) -> str:
    match value:
        case None:
            return f"ISNULL([{name}])"
        case bool():
            return f"([{name}] = {str(value).upper()})"
        case str():
            text = value.replace("'", "\\'")
            return f"([{name}] = '{text}')"


def _instance(name: str) -> XML.Element:
    """The values of a field one by one, which is what a filter is of."""
    return XML.Element(
        "column-instance",
        {"column": f"[{name}]", "derivation": "None", "name": f"[none:{name}:nk]", "pivot": "key", "type": "nominal"},
    )


def _filter(name: str, value: Scalar) -> XML.Element:
    """One of the data source, so that nobody who uses it sees other rows. Only text is quoted: Tableau drops others."""
    match value:
        case None:
            member = "%null%"
        case bool():
            member = str(value).lower()
        case str():
            member = f'"{value}"'
    node = XML.Element("filter", {"class": "categorical", "column": f"[none:{name}:nk]"})
    XML.SubElement(node, "groupfilter", function="member", level=f"[none:{name}:nk]", member=member)
    return node


def _dimensions(table: Table) -> Iterator[Dimension]:
    yield from table.dimensions
    for join in table.joins:
        yield from join.dimensions


def _own_columns(table: Table) -> Iterator[Column]:
    for dimension in table.dimensions:
        yield dimension.column
    for measure in table.measures.values():
        if isinstance(measure.definition, Aggregate):
            if measure.definition.column:
                yield measure.definition.column
            for name in (*measure.definition.where, *measure.definition.unless):
                yield table.model.columns[name]


def _plain_column(measure: Measure) -> Column | None:
    """The column that a measure is the aggregate of, without conditions and under the column's own name."""
    match measure.definition:
        case Aggregate(function, column, None, where, unless, False) if column and function in _AGGREGATIONS:
            return column if column.name == measure.name and not where and not unless else None
        case _:
            return None


def _connection(table: Table, connection: Connection, columns: tuple[Column, ...], name: str) -> XML.Element:
    def there(column: str) -> str:
        return column.upper() if connection.is_upper else column

    relation = there(table.name)
    federated = XML.Element("connection", {"class": "federated"})
    named = XML.SubElement(federated, "named-connections")
    one = XML.SubElement(named, "named-connection", caption=connection.caption, name=name)
    XML.SubElement(one, "connection", dict(connection.attributes))
    XML.SubElement(
        federated, "relation", {"connection": name, "name": relation, "table": connection.relation, "type": "table"}
    )
    cols = XML.SubElement(federated, "cols")
    for column in columns:
        XML.SubElement(cols, "map", key=f"[{column.name}]", value=f"[{relation}].[{there(column.name)}]")
    records = XML.SubElement(federated, "metadata-records")
    for ordinal, column in enumerate(columns):
        record = XML.SubElement(records, "metadata-record", {"class": "column"})
        is_number = column.kind in ("integer", "decimal")
        for tag, text in (
            ("remote-name", there(column.name)),
            ("remote-type", _REMOTE_TYPES[column.kind]),
            ("local-name", f"[{column.name}]"),
            ("parent-name", f"[{relation}]"),
            ("remote-alias", there(column.name)),
            ("ordinal", str(ordinal)),
            ("local-type", _DATATYPES[column.kind]),
            ("aggregation", "Sum" if is_number else "Year" if column.kind in ("date", "timestamp") else "Count"),
            ("contains-null", str(not column.is_never_null).lower()),
        ):
            XML.SubElement(record, tag).text = text
    return federated


def _field(
    name: str,
    caption: str,
    kind: Kind,
    role: str = "dimension",
    *,
    shown_as: str = "",
    aggregation: str = "",
    is_hidden: bool = False,
) -> XML.Element:
    is_time = kind in ("date", "timestamp")
    default = "quantitative" if role == "measure" else "ordinal" if is_time or kind == "integer" else "nominal"
    optional = {"aggregation": aggregation, "default-format": shown_as, "hidden": "true" if is_hidden else ""}
    return XML.Element(
        "column",
        {
            "caption": caption,
            "datatype": _DATATYPES[kind],
            "name": f"[{name}]",
            "role": role,
            "type": default,
            **{key: value for key, value in optional.items() if value},
        },
    )


def _described(field: XML.Element, text: str) -> XML.Element:
    XML.SubElement(XML.SubElement(XML.SubElement(field, "desc"), "formatted-text"), "run").text = text
    return field


def _dimension(dimension: Dimension) -> XML.Element:
    column = dimension.column
    shown_as = "*yyyy-MM" if column.name.endswith("_period") and column.kind == "date" else ""
    return _described(_field(column.name, dimension.label, column.kind, shown_as=shown_as), column.description)


def _column_measure(measure: Measure, column: Column) -> XML.Element:
    assert isinstance(measure.definition, Aggregate)
    if column.kind in ("date", "timestamp"):
        # The first or last of times is a thing to group by in Tableau, which takes the least or greatest when asked.
        field = _field(column.name, measure.label, column.kind, is_hidden=measure.is_hidden)
    else:
        field = _field(
            column.name,
            measure.label,
            column.kind,
            "measure",
            shown_as=_FORMATS[measure.format] if measure.format else "",
            aggregation=_AGGREGATIONS[measure.definition.function],
            is_hidden=measure.is_hidden,
        )
    return _described(field, measure.description)


def _calculation(table: Table, measure: Measure) -> XML.Element:
    is_count = isinstance(measure.definition, Aggregate) and measure.definition.function in ("count", "distinct")
    field = _field(
        f"Calculation_{measure.name}",
        measure.label,
        "integer" if is_count else "decimal",
        "measure",
        shown_as=_FORMATS[measure.format] if measure.format else "",
    )
    XML.SubElement(field, "calculation", {"class": "tableau", "formula": formula(table, measure)})
    return _described(field, measure.description)


def _hierarchies(source: XML.Element, table: Table) -> None:
    if table.hierarchies:
        paths = XML.SubElement(source, "drill-paths")
        for name, levels in table.hierarchies.items():
            path = XML.SubElement(paths, "drill-path", name=name)
            for level in levels:
                XML.SubElement(path, "field").text = f"[{level}]"


def _folders(source: XML.Element, table: Table, dimensions: list[Dimension]) -> None:
    """What is in a hierarchy can't be in a folder as well: Tableau shows it there."""
    in_hierarchy = {level for levels in table.hierarchies.values() for level in levels}
    members: dict[str, list[str]] = {}
    for dimension in dimensions:
        if dimension.name not in in_hierarchy:
            members.setdefault(dimension.group, []).append(f"[{dimension.name}]")
    for measure in table.measures.values():
        if not measure.is_hidden:
            members.setdefault(measure.group, []).append(field_name(measure))
    folders = XML.SubElement(source, "folders-common")
    for name, fields in members.items():
        folder = XML.SubElement(folders, "folder", name=name)
        for field in fields:
            XML.SubElement(folder, "folder-item", name=field, type="field")
