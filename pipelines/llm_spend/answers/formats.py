"""How numbers, times and names are written for people. Unknown is `-`, never 0; no float is involved."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

UNKNOWN = "-"
# Amounts have up to 38 digits; Python's own context would round them to 28.
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


def usd(amount: Decimal | None) -> str:
    """`$1,234.50`. Half a cent is rounded up; below one cent, two digits that say something: `$0.00042`."""
    if amount is None:
        return UNKNOWN
    size = amount.copy_abs()
    if size == 0 or size >= Decimal("0.01"):
        text = f"{size.quantize(Decimal('0.01'), context=_EXACT):,f}"
    else:
        text = f"{size.quantize(Decimal(1).scaleb(size.adjusted() - 1), context=_EXACT):f}".rstrip("0")
    return f"{'-' if amount < 0 else ''}${text}"


def exact_usd(amount: Decimal) -> str:
    """`$1.03046`: all digits that say something, cents at least."""
    whole, _, digits = f"{amount.copy_abs():,f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{digits.rstrip('0').ljust(2, '0')}"


def count(number: int | None) -> str:
    """`1,234,567`."""
    return UNKNOWN if number is None else f"{number:,}"


def quantity(number: Decimal | int | None) -> str:
    """`1,234`, `12.35`, `0.00042`: a number of anything, of whole ones no decimals, of others as of an amount."""
    if number is None:
        return UNKNOWN
    exact = Decimal(number)
    return f"{exact:,.0f}" if exact == exact.to_integral_value() else usd(exact).replace("$", "")


def ratio(part: Decimal | int | None, whole: Decimal | int | None) -> Decimal | None:
    """part / whole, rounded half-up to 6 places; None when either is not known or the whole is 0."""
    if part is None or whole is None or whole == 0:
        return None
    return _EXACT.divide(Decimal(part), Decimal(whole)).quantize(Decimal("0.000001"), context=_EXACT)


def percent(share: Decimal | None) -> str:
    """`12.3%`; a share that is not 0 never reads `0.0%`, one that is not all never `100.0%`."""
    if share is None:
        return UNKNOWN
    if 0 < share < Decimal("0.001"):
        return "<0.1%"
    if Decimal("0.999") < share < 1:
        return ">99.9%"
    return f"{(share * 100).quantize(Decimal('0.1'), context=_EXACT):f}%"


def moment(at: datetime | None) -> str:
    """`2026-10-31 22:15`, UTC."""
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M}"


def day(at: datetime | date | None) -> str:
    """`2026-10-31`."""
    return UNKNOWN if at is None else f"{at:%Y-%m-%d}"


def month_name(month: date) -> str:
    """`October 2026`, in English whatever the locale."""
    names = "January February March April May June July August September October November December"
    return f"{names.split()[month.month - 1]} {month.year}"


def age(passed: timedelta | None) -> str:
    """`21 d`, `5 h`, `12 min`; a time that is still to come reads `in the future`."""
    if passed is None:
        return UNKNOWN
    if passed < timedelta(0):
        return "in the future"
    if passed >= timedelta(days=2):
        return f"{passed.days:,} d"
    if passed >= timedelta(hours=1):
        return f"{passed // timedelta(hours=1)} h"
    return f"{passed // timedelta(minutes=1)} min"


def printable(name: str) -> str:
    """A name out of a log, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in name)
