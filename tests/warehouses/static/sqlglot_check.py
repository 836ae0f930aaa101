"""Static check of compiled SQL with sqlglot: every table and column known, types that fit, no other dialect's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from tests.warehouses.static.lints import family, lint
from tests.warehouses.static.project import Relation, Statement, not_checked, read_project
from tests.warehouses.static.raw_types import TYPES, Warehouse, raw_tables
from tests.warehouses.static.words import TYPES as TYPE_NAMES
from tests.warehouses.static.words import wrong_words

_DECLARE = re.compile(r"\bdeclare\s+(\w+(?:\s*,\s*\w+)*)", re.I)
_ZONED = {exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPLTZ}


def check_sqlglot(
    manifest: Path,
    dialect: Warehouse,
    incremental_manifest: Path | None = None,
    *,
    sources: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """Problems of a project that dbt compiled for a warehouse, each beginning with the node it is in; [] when fine.

    Arguments as in `check_googlesql`. Column types that sqlglot does not know are not checked further.
    """
    tables = raw_tables(dialect) if sources is None else sources
    project = read_project(manifest, incremental_manifest, tables, TYPES[dialect]["text"])
    known = Relations(dialect)
    for relation, columns in project.tables.items():
        known.add(relation, {name: exp.DataType.build(kind, dialect=dialect) for name, kind in columns.items()})
    problems = list(project.problems)
    unknown: set[str] = set()
    skipped: list[Statement] = []
    for statement in project.statements:
        problems += [f"{statement.label}: {word}" for word in wrong_words(statement.sql, dialect)]
        if unknown & statement.parents:
            unknown.add(statement.node)
            skipped.append(statement)
            continue
        try:
            tree = known.resolve(statement)
        except (SqlglotError, ValueError) as error:
            problems.append(f"{statement.label}: {' '.join(str(error).split())}")
            unknown.add(statement.node)
            continue
        problems += [f"{statement.label}: {message}" for message in lint(tree, dialect)]
        columns = {known.column_name(column.alias_or_name): column.type for column in tree.selects}
        problems += [f"{statement.label}: {message}" for message in _contract_problems(statement, columns, dialect)]
        if statement.relation:
            known.add(statement.relation, columns)
    return problems + not_checked(skipped)


class Relations:
    """The relations known so far, and the resolution of SQL that reads them."""

    def __init__(self, dialect: Warehouse) -> None:
        self._dialect = dialect
        self._schema = MappingSchema(dialect=dialect, normalize=False)
        self._known: set[tuple[str, ...]] = set()

    def add(self, relation: Relation, columns: Mapping[str, exp.DataType | None]) -> None:
        """Make a relation known. Names are those that the warehouse makes of unquoted ones."""
        path = self._path(relation)
        typed = {self._cased(name): kind or exp.DataType.build("unknown") for name, kind in columns.items()}
        table = exp.table_(path[2], db=path[1], catalog=path[0], quoted=True)
        self._schema.add_table(table, typed, dialect=self._dialect, normalize=False)
        self._known.add(path)

    def resolve(self, statement: Statement) -> exp.Query:
        """The SELECT with every column resolved and typed; raises SqlglotError or ValueError when it can't be."""
        parsed = sqlglot.parse(statement.sql, read=self._dialect, error_level=sqlglot.ErrorLevel.RAISE)
        trees = [tree for tree in parsed if tree is not None and not isinstance(tree, exp.Semicolon)]
        if len(trees) != 1 or not isinstance(trees[0], exp.Query):
            raise ValueError("This is not one SELECT.")
        tree = normalize_identifiers(trees[0], dialect=self._dialect)
        _make_variables_null(tree, statement.header)
        missing = sorted(set(self._missing_tables(tree)))
        if missing:
            raise ValueError(f"Unknown table: {', '.join(missing)}")
        qualified = qualify(
            tree,
            dialect=self._dialect,
            schema=self._schema,
            validate_qualify_columns=True,
            quote_identifiers=False,
            identify=False,
        )
        return annotate_types(qualified, schema=self._schema, dialect=self._dialect)

    def column_name(self, name: str) -> str:
        """The name as dbt writes it in lower case; one that only exists quoted stays as it is."""
        return name.lower() if name == self._cased(name.lower()) else f'"{name}"'

    def _missing_tables(self, tree: exp.Query) -> Iterator[str]:
        for scope in traverse_scope(tree):
            for source in scope.sources.values():
                is_relation = isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier)
                if is_relation and (source.catalog, source.db, source.name) not in self._known:
                    yield source.sql(dialect=self._dialect, comments=False)

    def _path(self, relation: Relation) -> tuple[str, ...]:
        return tuple(name.upper() for name in relation) if self._dialect == "snowflake" else tuple(relation)

    def _cased(self, name: str) -> str:
        return name.upper() if self._dialect == "snowflake" else name.lower()


def _make_variables_null(tree: exp.Query, header: str) -> None:
    """A variable that a script before the SELECT declares is a value without a known type."""
    names = {name.strip().lower() for found in _DECLARE.findall(header) for name in found.split(",")}
    for column in list(tree.find_all(exp.Column)):
        if not column.table and column.name.lower() in names:
            column.replace(exp.null())


def _contract_problems(
    statement: Statement, columns: Mapping[str, exp.DataType | None], dialect: Warehouse
) -> Iterator[str]:
    """Where names and sorts of columns are not what the contract says; sqlglot knows no more of types."""
    contract = statement.contract
    if contract is None:
        return
    yield from (f"column {name} of the contract is missing" for name in contract if name not in columns)
    yield from (f"column {name} is not in the contract" for name in columns if name not in contract)
    for name, declared in contract.items():
        found = columns.get(name)
        if re.sub(r"\W.*", "", declared).upper() not in TYPE_NAMES[dialect]:
            yield f"column {name}: the contract's type {declared} is not one of {dialect}"
            continue
        expected = exp.DataType.build(declared, dialect=dialect)
        if found is None or family(found) is None:
            continue
        if family(found) != family(expected) or (found.this in _ZONED) != (expected.this in _ZONED):
            yield f"column {name} is {found.sql(dialect)}, the contract has {declared}"
