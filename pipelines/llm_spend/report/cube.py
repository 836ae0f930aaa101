"""The usage that the page can filter: `llm_usage_daily`, as detailed as a bounded number of rows allows.

Any filters may be combined, so the page needs the usage by all dimensions at once: the joint cube. A small warehouse
has it whole. Of a large one, old days become weeks or months, and members who spent little become one, `(other users)`;
then each dimension has a cube of its own besides, with many more members and days, for a page without filters.
Neither changes a sum: a member that is named has all of its usage, and the rows of each cube add up to the mart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.answers.marts import MARTS, MODEL_NAME, UNALLOCATED, UNRESOLVED, Marts
from llm_spend.report.periods import Periods, inside

USAGE = "llm_usage_daily"


@dataclass(frozen=True)
class Dimension:
    """Something to filter by: `sql` is its member in `llm_usage_daily`; `is_long` where members are people."""

    name: str
    title: str
    plural: str
    sql: str
    is_long: bool = False

    @property
    def others(self) -> str:
        """What members that are not named go by."""
        return f"(other {self.plural})"


DIMENSIONS = (
    Dimension("environment", "Environment", "environments", "environment"),
    Dimension("team", "Team", "teams", "team_id"),
    Dimension("user", "User", "users", "user_id", is_long=True),
    Dimension("feature", "Feature", "features", "feature_id"),
    Dimension("customer", "Customer", "customers", "customer_id", is_long=True),
    Dimension("provider", "Provider", "providers", "provider"),
    Dimension("model", "Model", "models", MODEL_NAME),
)

MEASURES = (
    "requests",
    "attempts",
    "errors",
    "blocked_requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "total_tokens",
    "unpriced_requests",
    "unpriced_tokens",
)
"""Whole numbers that add up, as in the mart."""

ALWAYS_NAMED = (UNALLOCATED, "(unknown)", UNRESOLVED)


@dataclass(frozen=True)
class Detail:
    """How detailed rows are: members of a long dimension and of a short one, None for all; months of days, of weeks."""

    long: int | None
    short: int | None
    daily: int
    weekly: int = 0

    @property
    def is_whole(self) -> bool:
        """Every member is named."""
        return self.long is None and self.short is None

    def members(self, dimension: Dimension) -> int | None:
        """How many members of the dimension are named."""
        return self.long if dimension.is_long else self.short


# From all that is there to the least that is still of use.
_JOINT = (
    Detail(None, None, daily=13),
    Detail(None, None, daily=3, weekly=10),
    Detail(200, 100, daily=3, weekly=10),
    Detail(100, 100, daily=2),
    Detail(50, 50, daily=2),
    Detail(50, 50, daily=1),
    Detail(20, 50, daily=1),
    Detail(10, 50, daily=1),
    Detail(20, 50, daily=0, weekly=1),
    Detail(10, 30, daily=0, weekly=1),
    Detail(20, 30, daily=0),
    Detail(10, 20, daily=0),
    Detail(5, 12, daily=0),
    Detail(3, 8, daily=0),
    Detail(2, 4, daily=0),
)
_SINGLE = (
    Detail(2000, 2000, daily=3, weekly=10),
    Detail(1000, 1000, daily=3, weekly=10),
    Detail(1000, 1000, daily=2),
    Detail(500, 500, daily=2),
    Detail(200, 200, daily=2),
    Detail(100, 100, daily=2),
)


@dataclass(frozen=True)
class CubeRow:
    """The usage of the period that begins on `day`, by members in the order of the cube's dimensions.

    `measures` are in the order of MEASURES; `cost_usd` is None when no cost is known.
    """

    day: date
    members: tuple[str, ...]
    measures: tuple[int, ...]
    cost_usd: Decimal | None


@dataclass(frozen=True)
class Cube:
    """Usage by some dimensions. `ends` has the last day of each period, by its first."""

    dimensions: tuple[Dimension, ...]
    rows: tuple[CubeRow, ...]
    detail: Detail
    ends: dict[date, date]

    def place(self, dimension: Dimension) -> int:
        """Where the members of the dimension stand in a row."""
        return self.dimensions.index(dimension)

    def names_all(self, dimension: Dimension) -> bool:
        """Whether no member of the dimension is among the others."""
        place = self.place(dimension)
        return all(row.members[place] != dimension.others for row in self.rows)


@dataclass(frozen=True)
class Usage:
    """The joint cube, and a cube for each dimension by its name; none where the joint one is whole."""

    joint: Cube
    single: dict[str, Cube]

    def by(self, dimension: Dimension) -> Cube:
        """The cube with most members of the dimension."""
        return self.single.get(dimension.name, self.joint)


def read_usage(marts: Marts, first: date, month: date, *, most_rows: int, most_rows_of_one: int) -> Usage:
    """The usage from `first` to the end of the month, in at most so many rows if any detail allows it.

    `most_rows_of_one` is for the cube of one long dimension; a short one may have a third of them.
    """
    joint = _read(marts, DIMENSIONS, _JOINT, first, month, most_rows)
    if joint.detail.is_whole:
        return Usage(joint, {})
    single = {
        each.name: _read(
            marts, (each,), _SINGLE, first, month, most_rows_of_one if each.is_long else most_rows_of_one // 3
        )
        for each in DIMENSIONS
    }
    return Usage(joint, single)


def _read(
    marts: Marts, dimensions: Sequence[Dimension], details: Sequence[Detail], first: date, month: date, most: int
) -> Cube:
    chosen = _fitting(marts, dimensions, details, first, month, most)
    periods = Periods(month, chosen.daily, chosen.weekly)
    keys = _keys(dimensions)
    sums = ", ".join(f"cast(sum({measure}) as bigint)" for measure in MEASURES)
    found = marts.rows(
        f"{_collapsed(dimensions, chosen, first, month)} select {keys}, {sums}, sum(cost_usd) from collapsed"
        f" group by {keys} order by {keys}"
    )
    width = len(dimensions) + 1
    rows = tuple(CubeRow(row[0], tuple(row[1:width]), tuple(row[width:-1]), row[-1]) for row in found)
    return Cube(tuple(dimensions), rows, chosen, {day: periods.end(day) for day in {row.day for row in rows}})


def _fitting(
    marts: Marts, dimensions: Sequence[Dimension], details: Sequence[Detail], first: date, month: date, most: int
) -> Detail:
    """The finest detail that fits, else the last. Each is coarser than the one before: half of them need no look."""

    def fits(detail: Detail) -> bool:
        distinct = f"select distinct {_keys(dimensions)} from collapsed"
        collapsed = _collapsed(dimensions, detail, first, month, measures=("total_tokens",))
        counted = f"{collapsed} select count(*) from ({distinct}) as kept"
        return bool(marts.rows(counted)[0][0] <= most)

    if fits(details[0]):
        return details[0]
    low, high = 1, len(details) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(details[middle]):
            high = middle
        else:
            low = middle + 1
    return details[low]


def _keys(dimensions: Iterable[Dimension]) -> str:
    return ", ".join(("period_start", *(f"{dimension.name}_member" for dimension in dimensions)))


def _collapsed(
    dimensions: Sequence[Dimension], detail: Detail, first: date, month: date, measures: Sequence[str] = MEASURES
) -> str:
    """SQL that ends in the table expression `collapsed`: periods, members, and the measures to add up."""
    names = ", ".join(f"{dimension.sql} as {dimension.name}_name" for dimension in dimensions)
    expressions = [
        f"""
        usage_in_periods as (
            select
                usage_date, {Periods(month, detail.daily, detail.weekly).sql()} as period_start, {names},
                {", ".join(measures)}, cost_usd
            from {MARTS}.{USAGE}
            where {inside(first, month)}
        )
        """
    ]
    members, joins = [], []
    for dimension in dimensions:
        name, most = f"usage_in_periods.{dimension.name}_name", detail.members(dimension)
        if most is None:
            members.append(f"{name} as {dimension.name}_member")
            continue
        expressions.append(_named(dimension, most, month))
        joins.append(f"left join named_{dimension.name} on {name} = named_{dimension.name}.member")
        members.append(
            f"case when {name} in {ALWAYS_NAMED} or named_{dimension.name}.member is not null then {name}"
            f" else '{dimension.others}' end as {dimension.name}_member"
        )
    expressions.append(
        f"collapsed as (select usage_in_periods.*, {', '.join(members)} from usage_in_periods {' '.join(joins)})"
    )
    return f"with {', '.join(expressions)}"


def _named(dimension: Dimension, most: int, month: date) -> str:
    """A table expression: the members that spent most in the month, then over all the time."""
    name = f"{dimension.name}_name"
    return f"""
        named_{dimension.name} as (
            select member
            from (
                select
                    {name} as member,
                    row_number() over (
                        order by
                            sum(case when usage_date >= cast('{month}' as date) then cost_usd end) desc nulls last,
                            sum(cost_usd) desc nulls last,
                            sum(total_tokens) desc,
                            {name}
                    ) as place
                from usage_in_periods
                where {name} not in {ALWAYS_NAMED}
                group by {name}
            ) as placed
            where place <= {most}
        )
    """
