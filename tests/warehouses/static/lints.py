"""What can be wrong in a SELECT whose columns and types are known.

Each check takes a tree that sqlglot has qualified and annotated, and yields messages.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from tests.warehouses.static.raw_types import Warehouse

_NUMERIC = exp.DataType.NUMERIC_TYPES
_FLOATING = exp.DataType.FLOAT_TYPES
_INSTANTS = exp.DataType.TEMPORAL_TYPES - {exp.DType.DATE, exp.DType.DATE32, exp.DType.TIME}
_DOCUMENTS = {exp.DType.JSON, exp.DType.JSONB, exp.DType.VARIANT, exp.DType.OBJECT}
_FAMILIES = {
    **dict.fromkeys(_NUMERIC, "a number"),
    **dict.fromkeys(exp.DataType.TEXT_TYPES, "text"),
    **dict.fromkeys(_INSTANTS, "a timestamp"),
    **dict.fromkeys(_DOCUMENTS, "a document"),
    exp.DType.DATE: "a date",
    exp.DType.TIME: "a time of day",
    exp.DType.BOOLEAN: "a truth value",
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
# What hands on the value of a part of it.
_PASSED_ON = (exp.Paren, exp.If, exp.Case, exp.Coalesce, exp.Nullif)
_ROUNDING = (exp.Cast, exp.TryCast, exp.Round, exp.Floor, exp.Ceil, exp.Trunc)


def lint(tree: exp.Expression, warehouse: Warehouse) -> list[str]:
    """Everything that is wrong in `tree`, without doubles."""
    found = [
        *_arithmetic(tree),
        *_comparisons(tree, warehouse),
        *_divisions(tree),
        *_unions(tree),
        *_documents_compared(tree),
        *_casts(tree, warehouse),
        *_subqueries_in_joins(tree),
    ]
    for scope in traverse_scope(tree):
        if isinstance(scope.expression, exp.Select):
            found += _ungrouped(scope)
            found += _qualify_alone(scope, warehouse)
            found += _outer_joins(scope, warehouse)
            found += _correlated(scope)
    found += _quantiles(tree, warehouse)
    return list(dict.fromkeys(found))


def family(kind: exp.DataType | None) -> str | None:
    """What sort of thing a type holds; None when it is not known."""
    return _FAMILIES.get(kind.this) if kind else None


def sort(expression: exp.Expression) -> str | None:
    """The family of an expression; None for a bare NULL, whatever sqlglot takes it for."""
    return None if isinstance(expression.unalias(), exp.Null) else family(expression.type)


def text(expression: exp.Expression) -> str:
    """The expression on one short line, for a message."""
    written = " ".join(expression.sql().split())
    return written if len(written) <= 100 else written[:97] + "..."


def _arithmetic(tree: exp.Expression) -> Iterator[str]:
    for node in tree.find_all(exp.Sum, exp.Avg, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod):
        operands = [node.left, node.right] if isinstance(node, exp.Binary) else [node.this]
        for operand in operands:
            kind = family(operand.type)
            if kind in ("text", "a truth value", "a document"):
                yield f"{text(node)} calculates with {kind}: {text(operand)}"


def _comparisons(tree: exp.Expression, warehouse: Warehouse) -> Iterator[str]:
    pairs = [(node, node.left, node.right) for node in tree.find_all(*_COMPARISONS)]
    for between in tree.find_all(exp.Between):
        pairs += [(between, between.this, between.args["low"]), (between, between.this, between.args["high"])]
    for membership in tree.find_all(exp.In):
        query = membership.args.get("query")
        listed = query.this.selects if query and isinstance(query.this, exp.Select) else membership.expressions
        pairs += [(membership, membership.this, item) for item in listed]
    for node, left, compared in pairs:
        is_list = isinstance(compared, exp.All | exp.Any) and isinstance(compared.this.unnest(), exp.Select)
        right = compared.this.unnest().selects[0] if is_list else compared
        kinds = {sort(left), sort(right)}
        # A warehouse reads a literal as whatever it is compared with.
        if None in kinds or len(kinds) == 1 or left.is_string or right.is_string:
            continue
        if kinds == {"a date", "a timestamp"} and warehouse == "snowflake":
            continue
        yield f"{text(node)} compares {sort(left)} with {sort(right)}"


def _divisions(tree: exp.Expression) -> Iterator[str]:
    """How many digits a quotient has differs from warehouse to warehouse: it must be rounded where it is made."""
    for node in tree.find_all(exp.Div, exp.SafeDivide):
        operands = [node.this, node.expression]
        if any(operand.type and operand.type.this in _FLOATING for operand in operands):
            continue
        outer = node.parent
        while isinstance(outer, _PASSED_ON):
            outer = outer.parent
        if not isinstance(outer, _ROUNDING):
            yield f"{text(node)} is neither rounded nor cast"


def _unions(tree: exp.Expression) -> Iterator[str]:
    for union in tree.find_all(exp.SetOperation):
        sides = [union.this.selects, union.expression.selects]
        if len(sides[0]) != len(sides[1]):
            yield f"a union of {len(sides[0])} with {len(sides[1])} columns"
        for first, second in zip(*sides, strict=False):
            kinds = sort(first), sort(second)
            if None not in kinds and kinds[0] != kinds[1]:
                yield f"column {first.alias_or_name} of a union is {kinds[0]}, then {kinds[1]}"


def _documents_compared(tree: exp.Expression) -> Iterator[str]:
    """Documents are not for GROUP BY, DISTINCT, PARTITION BY and UNION DISTINCT."""
    keys: list[tuple[str, exp.Expression]] = []
    for group in tree.find_all(exp.Group):
        keys += [("GROUP BY", key) for key in group.expressions]
    for select in tree.find_all(exp.Select):
        if select.args.get("distinct"):
            keys += [("DISTINCT", column) for column in select.selects]
    for distinct in tree.find_all(exp.Distinct):
        keys += [("DISTINCT", column) for column in distinct.expressions]
    for union in tree.find_all(exp.SetOperation):
        if union.args.get("distinct"):
            keys += [("UNION", column) for column in union.this.selects]
    for window in tree.find_all(exp.Window):
        keys += [("PARTITION BY", key) for key in window.args.get("partition_by") or []]
    for where, key in keys:
        if family(key.type) == "a document":
            yield f"{where} of a document: {text(key)}"


def _casts(tree: exp.Expression, warehouse: Warehouse) -> Iterator[str]:
    if warehouse != "snowflake":
        return
    for node in tree.find_all(exp.Cast):
        kind = family(node.this.type)
        if isinstance(node, exp.TryCast) and kind not in (None, "text"):
            yield f"{text(node)}: snowflake tries to cast text only, this is {kind}"
        if family(node.to) == "text" and kind in ("a date", "a timestamp"):
            yield f"{text(node)}: on snowflake the session's settings say how {kind} is written; name the format"


def _subqueries_in_joins(tree: exp.Expression) -> Iterator[str]:
    for join in tree.find_all(exp.Join):
        on = join.args.get("on")
        if on and on.find(exp.Select):
            yield f"a subquery inside the condition of a join: {text(on)}"


def _quantiles(tree: exp.Expression, warehouse: Warehouse) -> Iterator[str]:
    if warehouse == "bigquery":
        for node in tree.find_all(exp.PercentileCont, exp.PercentileDisc):
            if not isinstance(node.parent, exp.Window):
                yield f"{text(node)} without OVER: bigquery has it as a window function only"


def _qualify_alone(scope: Scope, warehouse: Warehouse) -> Iterator[str]:
    clauses = scope.expression.args
    needed = ("where", "group", "having")
    if warehouse == "bigquery" and clauses.get("qualify") and not any(clauses.get(name) for name in needed):
        yield "QUALIFY without WHERE, GROUP BY or HAVING"


def _outer_joins(scope: Scope, warehouse: Warehouse) -> Iterator[str]:
    """BigQuery plans outer joins by equality only; which its analyser does not know."""
    if warehouse != "bigquery":
        return
    for join in scope.expression.args.get("joins") or []:
        on = join.args.get("on")
        if join.side in ("LEFT", "RIGHT", "FULL") and on and not _has_equality(on, {join.alias_or_name}):
            yield f"an outer join without an equality of both sides: {text(on)}"


def _has_equality(condition: exp.Expression, side: set[str]) -> bool:
    """Whether one of the conditions joined by AND says that something of `side` equals something of the rest."""
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        equality = part.unnest()
        if isinstance(equality, exp.EQ):
            tables = [
                {column.table for column in half.find_all(exp.Column)} for half in (equality.left, equality.right)
            ]
            if any(one and one <= side and other and not other & side for one, other in (tables, tables[::-1])):
                return True
    return False


def _correlated(scope: Scope) -> Iterator[str]:
    """Subqueries that look at the outer query are run as joins: what can't be one is an error on both warehouses."""
    if not scope.is_correlated_subquery:
        return
    select = scope.expression
    if select.args.get("limit") or select.args.get("offset"):
        yield f"a correlated subquery with LIMIT: {text(select)}"
    where = select.args.get("where")
    if not where or not _has_equality(where.this, set(scope.selected_sources)):
        yield f"a correlated subquery without an equality with the outer query: {text(select)}"
    parent = select.parent.parent if isinstance(select.parent, exp.Subquery) else select.parent
    is_scalar = not isinstance(parent, exp.Exists | exp.In)
    if is_scalar and not all(column.find(exp.AggFunc) for column in select.selects):
        yield f"a correlated subquery of one value that is no aggregate: {text(select)}"


def _ungrouped(scope: Scope) -> Iterator[str]:
    """Columns of a grouped SELECT that are neither a key nor inside an aggregate."""
    select = scope.expression
    group = select.args.get("group")
    outputs = [column.unalias() for column in select.selects]
    having = select.args.get("having")
    order = select.args.get("order")
    if group is None and having is None and not any(_is_aggregated(column) for column in outputs):
        return
    if group and any(group.args.get(kind) for kind in ("all", "rollup", "cube", "grouping_sets")):
        return
    aliases = {column.alias_or_name for column in select.selects}
    # As text, because sqlglot marks some columns of a key.
    keys = {key.sql() for key in group.expressions} if group else set()
    checked = outputs + ([having.this] if having else []) + ([item.this for item in order.expressions] if order else [])
    for expression in checked:
        for column in _free_columns(expression, keys):
            if not column.table and column.name in aliases:
                continue
            yield f"{text(column)} is neither grouped nor aggregated in {text(expression)}"


def _is_aggregated(expression: exp.Expression) -> bool:
    """Whether an aggregate that is no window function is called, outside of subqueries."""
    return any(
        isinstance(node, exp.AggFunc) and not _is_windowed(node)
        for node in expression.walk(prune=lambda node: isinstance(node, exp.Query))
    )


def _is_windowed(aggregate: exp.Expression) -> bool:
    inner, outer = aggregate, aggregate.parent
    while isinstance(outer, exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup | exp.Filter):
        inner, outer = outer, outer.parent
    return isinstance(outer, exp.Window) and outer.this is inner


def _free_columns(expression: exp.Expression, keys: set[str]) -> Iterator[exp.Column]:
    """Columns outside of group keys, aggregates and subqueries."""
    if isinstance(expression, exp.Query) or expression.sql() in keys:
        return
    if isinstance(expression, exp.Column):
        yield expression
    elif isinstance(expression, exp.WithinGroup) or (
        isinstance(expression, exp.AggFunc) and not _is_windowed(expression)
    ):
        return
    else:
        for child in expression.iter_expressions():
            yield from _free_columns(child, keys)
