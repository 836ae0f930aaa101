"""Up to when usage is known: what a forecast counts from, and the month that screens begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from llm_spend.answers.marts import MARTS
from llm_spend.destinations.base import Row
from llm_spend.months import next_month

_HEALTH, _USAGE = "llm_source_health", "llm_usage_by_team_daily"

# What a log dates after its loading is a clock that is wrong; its row is everywhere, but no month begins with it.
KNOWN_SQL = f"""
    with sources as (
        select
            max(last_loaded_at) as newest_load_at,
            min(case when is_waited_for then cast(known_to as date) end) as slowest_date
        from {MARTS}.{_HEALTH}
    ),

    slowest as (
        select min(health.source_system || ' (' || health.source_instance || ')') as name
        from {MARTS}.{_HEALTH} as health
        inner join sources
            on cast(health.known_to as date) = sources.slowest_date
        where health.is_waited_for
    )

    select
        min(days.usage_date),
        max(
            case
                when sources.newest_load_at is null or days.usage_date <= cast(sources.newest_load_at as date)
                    then days.usage_date
            end
        ),
        max(days.usage_date),
        max(sources.newest_load_at),
        max(sources.slowest_date),
        max(slowest.name)
    from {MARTS}.{_USAGE} as days
    cross join sources
    cross join slowest
"""
"""A row for `known_usage`."""

KNOWN_TABLES = frozenset({_HEALTH, _USAGE})
"""What KNOWN_SQL reads."""

_CENT = Decimal("0.01")
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class Known:
    """First and last UTC date with usage, the last of them that was loaded after it began (`as_of`), and the UTC times,
    exclusive, up to which usage is known by the newest source (`newest_to`) and by every source that is waited for
    (`to`). As in llm_budget_status. `late`: a source that is not known as far as the newest is."""

    first: date
    as_of: date
    last: date
    newest_to: datetime
    to: datetime
    late: str | None = None

    @property
    def late_words(self) -> str:
        """Which source is late, and since when; nothing when none is."""
        last_day = (self.to - timedelta(days=1)).date()
        return f"{self.late} is late: {last_day} is the last day of which its usage is known" if self.late else ""

    def is_late(self, known_to: datetime) -> bool:
        """Whether a source that is waited for is late: by a day, since not all are loaded in the same minute."""
        return known_to.date() < self.newest_to.date()


def known_usage(row: Row) -> Known | None:
    """What KNOWN_SQL found; None without any usage."""
    first, as_of, last, loaded_at, slowest_date, slowest_name = row
    if last is None:
        return None
    as_of = as_of or loaded_at.date()
    day_after = datetime.combine(as_of + timedelta(days=1), time())
    newest_to = min(day_after, loaded_at) if loaded_at else day_after
    known = Known(first, as_of, last, newest_to, newest_to)
    if slowest_date and known.is_late(slowest := _start(slowest_date)):
        return replace(known, to=slowest, late=slowest_name)
    return known


def is_over(month: date, known: Known) -> bool:
    """Whether all of the month that begins on `month` is known."""
    return known.to >= _start(next_month(month))


def known_days(month: date, known: Known) -> Decimal | None:
    """How many days of the month are known, not always whole ones; None when it is less than one."""
    until = min(known.to, _start(next_month(month)))
    microseconds = (until - _start(month)) // timedelta(microseconds=1)
    days = _EXACT.divide(Decimal(microseconds), Decimal(86_400_000_000))
    return days if days >= 1 else None


def forecast(spent_usd: Decimal | None, month: date, known: Known) -> Decimal | None:
    """What the month will have cost if its other days cost what the known ones did on average, whole cents.

    None when the month is over, when less than a day of it is known, or no cost is; and when a source is late, since
    what is spent is not all of any day then.
    """
    days = known_days(month, known)
    if spent_usd is None or days is None or known.late or is_over(month, known):
        return None
    whole = Decimal((next_month(month) - month).days)
    return _EXACT.divide(_EXACT.multiply(spent_usd, whole), days).quantize(_CENT, context=_EXACT)


def _start(day: date) -> datetime:
    return datetime.combine(day, time())
