"""Usage by any tag: `llm_usage_by_tag_daily`, with as many values of a key as a bounded number of rows allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.answers.marts import MARTS, Marts
from llm_spend.report.periods import Periods, inside

TAGS = "llm_usage_by_tag_daily"
OTHER_VALUES = "(other values)"

_MOST_KEYS = 60
# Values of a key, months of days, months of weeks: from all that is there to what always fits.
_DETAILS = (
    (10_000, 13, 0),
    (1_000, 3, 10),
    (1_000, 1, 0),
    (300, 1, 0),
    (100, 1, 0),
    (50, 1, 0),
    (20, 1, 0),
    (10, 1, 0),
    (5, 1, 0),
)


@dataclass(frozen=True)
class TagRow:
    """The usage of a day, week or month that carries a tag; `cost_usd` is None when no cost is known."""

    day: date
    key: str
    value: str
    requests: int
    tokens: int
    unpriced_requests: int
    cost_usd: Decimal | None


@dataclass(frozen=True)
class Tags:
    """Rows of the keys with most requests. Only those of one key add up, to the requests that carry it.

    `ends` has the last day of each period, by its first.
    """

    rows: tuple[TagRow, ...]
    ends: dict[date, date]
    keys_left_out: int


def read_tags(marts: Marts, first: date, month: date, most_rows: int) -> Tags:
    """Usage by tag from `first` to the end of the month, in at most so many rows if any detail allows it."""
    keys = marts.rows(f"select count(distinct tag_key) from {MARTS}.{TAGS} where {inside(first, month)}")[0][0]
    for values, daily, weekly in _DETAILS:
        periods = Periods(month, daily, weekly)
        collapsed = _collapsed(first, month, periods, values)
        distinct = "select distinct period_start, tag_key, tag_value from collapsed"
        if marts.rows(f"{collapsed} select count(*) from ({distinct}) as kept")[0][0] <= most_rows:
            break
    found = marts.rows(
        f"""
        {collapsed}
        select
            period_start, tag_key, tag_value,
            cast(sum(requests) as bigint), cast(sum(total_tokens) as bigint), cast(sum(unpriced_requests) as bigint),
            sum(cost_usd)
        from collapsed
        group by period_start, tag_key, tag_value
        order by tag_key, tag_value, period_start
        """
    )
    rows = tuple(TagRow(*row) for row in found)
    return Tags(rows, {day: periods.end(day) for day in {row.day for row in rows}}, max(0, keys - _MOST_KEYS))


def _collapsed(first: date, month: date, periods: Periods, values: int) -> str:
    """SQL that ends in `collapsed`: the keys with most requests, with the values that spent most."""
    return f"""
        with usage_in_periods as (
            select
                {periods.sql()} as period_start, tag_key as key_name, tag_value as value_name,
                requests, total_tokens, unpriced_requests, cost_usd
            from {MARTS}.{TAGS}
            where {inside(first, month)}
        ),

        kept_keys as (
            select key_name as kept_key
            from (
                select key_name, row_number() over (order by sum(requests) desc, key_name) as place
                from usage_in_periods
                group by key_name
            ) as placed
            where place <= {_MOST_KEYS}
        ),

        kept_values as (
            select key_name as kept_key, value_name as kept_value
            from (
                select
                    key_name, value_name,
                    row_number() over (
                        partition by key_name
                        order by sum(cost_usd) desc nulls last, sum(requests) desc, value_name
                    ) as place
                from usage_in_periods
                group by key_name, value_name
            ) as placed
            where place <= {values}
        ),

        collapsed as (
            select
                usage_in_periods.*, usage_in_periods.key_name as tag_key,
                case
                    when kept_values.kept_value is not null then usage_in_periods.value_name else '{OTHER_VALUES}'
                end as tag_value
            from usage_in_periods
            inner join kept_keys on usage_in_periods.key_name = kept_keys.kept_key
            left join kept_values
                on usage_in_periods.key_name = kept_values.kept_key
                and usage_in_periods.value_name = kept_values.kept_value
        )
    """
