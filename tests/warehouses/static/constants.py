"""What a BigQuery query reads of large tables: partitions are skipped for constants only, so each must be told them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope


def unpruned(sql: str, partitioned_by: Mapping[str, Collection[str]]) -> list[str]:
    """The reads of a BigQuery query that scan history, by the name of the table; [] when every one is told constants.

    `partitioned_by`: for each large table, or view of large tables, the columns that must be compared with constants
    where it is read: in the WHERE of that SELECT, in each branch of an OR.
    """
    (tree,) = sqlglot.parse(sql, read="bigquery")
    assert tree
    return [
        f"{table}: {column}"
        for scope in traverse_scope(tree)
        for name, source in scope.sources.items()
        if isinstance(source, exp.Table) and (table := source.name) in partitioned_by
        for column in sorted(set(partitioned_by[table]) - set(_told(scope, name)))
    ]


def _told(scope: Scope, name: str) -> Iterator[str]:
    """Columns of a source that the WHERE compares with constants."""
    where = scope.expression.args.get("where")
    if not where:
        return
    is_alone = len(scope.selected_sources) == 1
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    for condition in conditions:
        columns = {
            column.name
            for column in condition.find_all(exp.Column)
            if column.table == name or (is_alone and not column.table)
        }
        if len(columns) == 1 and _is_of_constants(condition.unnest()):
            yield from columns


def _is_of_constants(condition: exp.Expression) -> bool:
    """Whether a column is compared with constants, in each branch of an OR."""
    match condition:
        case exp.Or() | exp.And():
            parts = [part.unnest() for part in condition.flatten()]
            return (all if isinstance(condition, exp.Or) else any)(map(_is_of_constants, parts))
        case exp.In():
            values = condition.expressions
            return isinstance(condition.this, exp.Column) and bool(values) and all(map(_is_constant, values))
        case exp.EQ() | exp.GTE() | exp.LT():
            return isinstance(condition.left, exp.Column) and _is_constant(condition.right)
    return False


def _is_constant(value: exp.Expression) -> bool:
    return isinstance(value, exp.Literal) or (isinstance(value, exp.Cast) and isinstance(value.this, exp.Literal))
