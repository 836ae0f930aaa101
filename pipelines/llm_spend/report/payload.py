"""What the scripts of the page read: the rows in columns, names by number, money in whole pico-USD."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from llm_spend.months import back, last_day
from llm_spend.report.cube import DIMENSIONS, MEASURES, Cube
from llm_spend.report.figures import Sums
from llm_spend.report.found import Found
from llm_spend.report.headline import MonthBudget

_PICO = 12
# Both halves of an amount stay exact as numbers of JavaScript, also when many rows are added up.
_PICO_IN_MICRO = 10**6


def payload(found: Found) -> dict[str, Any]:
    """The columns of the usage, of tags and of latencies. Days are whole days since `origin`.

    An amount is `micro` * 10^6 + `pico`, in units of 10^-12 USD; `micro` is null when no cost is known.
    """
    joint = _cube(found.usage.joint, found.first)
    return {
        "origin": found.first.isoformat(),
        "joint": joint,
        "single": {name: _cube(cube, found.first) for name, cube in found.usage.single.items()},
        "tags": _tags(found),
        "performance": _performance(found, joint["names"]["model"]),
    }


def encoded(content: Any) -> str:
    """JSON, packed by gzip, as base64: the same text for the same content."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def pico(amount: Decimal) -> int:
    """Exact USD in units of 10^-12."""
    return int(amount.scaleb(_PICO))


def _cube(cube: Cube, first: date) -> dict[str, Any]:
    """Names stand once, and rows have their numbers; so do periods, with their first and last days."""
    days = sorted(cube.ends)
    day_codes = {day: code for code, day in enumerate(days)}
    names = [_by_cost((row.members[place], row.cost_usd) for row in cube.rows) for place in range(len(cube.dimensions))]
    codes = [{name: code for code, name in enumerate(each)} for each in names]
    return {
        "starts": [_day(day, first) for day in days],
        "ends": [_day(cube.ends[day], first) for day in days],
        "names": {dimension.name: each for dimension, each in zip(cube.dimensions, names, strict=True)},
        "period": [day_codes[row.day] for row in cube.rows],
        "members": {
            dimension.name: [codes[place][row.members[place]] for row in cube.rows]
            for place, dimension in enumerate(cube.dimensions)
        },
        "measures": {measure: [row.measures[place] for row in cube.rows] for place, measure in enumerate(MEASURES)},
        **_money([row.cost_usd for row in cube.rows]),
    }


def _tags(found: Found) -> dict[str, Any]:
    """Values stand once, under their key; rows name the key by number, and the value by its number in the key."""
    requests: dict[str, int] = {}
    values: dict[str, dict[str, int]] = {}
    for row in found.tags.rows:
        requests[row.key] = requests.get(row.key, 0) + row.requests
        values.setdefault(row.key, {}).setdefault(row.value, len(values[row.key]))
    keys = sorted(requests, key=lambda key: (-requests[key], key))
    code_of = {key: code for code, key in enumerate(keys)}
    days = {day: code for code, day in enumerate(sorted(found.tags.ends))}
    return {
        "keys": keys,
        "values": [list(values[key]) for key in keys],
        "starts": [_day(day, found.first) for day in days],
        "ends": [_day(found.tags.ends[day], found.first) for day in days],
        "period": [days[row.day] for row in found.tags.rows],
        "key": [code_of[row.key] for row in found.tags.rows],
        "value": [values[row.key][row.value] for row in found.tags.rows],
        "requests": [row.requests for row in found.tags.rows],
        "total_tokens": [row.tokens for row in found.tags.rows],
        "unpriced_requests": [row.unpriced_requests for row in found.tags.rows],
        **_money([row.cost_usd for row in found.tags.rows]),
    }


def _performance(found: Found, models: Sequence[str]) -> dict[str, Any]:
    """`unresolved` are those of the models that `series` has as `(unresolved)`."""
    series = list(dict.fromkeys((row.provider, row.model, row.operation) for row in found.performance))
    code_of = {each: code for code, each in enumerate(series)}
    return {
        "series": series,
        "unresolved": [name for name in models if name in found.unresolved_models],
        "day": [_day(row.day, found.first) for row in found.performance],
        "of": [code_of[row.provider, row.model, row.operation] for row in found.performance],
        "attempts": [row.attempts for row in found.performance],
        "failed": [row.failed_attempts for row in found.performance],
        "latency": [[milliseconds(each) for each in row.latency_ms] for row in found.performance],
        "ttft": [[milliseconds(each) for each in row.ttft_ms] for row in found.performance],
    }


def facts(
    found: Found, daily: dict[date, Sums], forecast: Decimal | None, budget: MonthBudget | None
) -> dict[str, Any]:
    """The little that the scripts need at once. Amounts are decimal texts."""
    last = min(found.known.as_of, last_day(found.month))
    before = back(found.month, 1)
    return {
        "month": found.month.isoformat(),
        "first": found.first.isoformat(),
        "last": last_day(found.month).isoformat(),
        "asOf": last.isoformat(),
        "isWhole": found.usage.joint.detail.is_whole,
        "dimensions": [
            {"name": each.name, "title": each.title, "plural": each.plural, "others": each.others}
            for each in DIMENSIONS
        ],
        "spent": running(daily, found.month, last),
        "before": running(daily, before, last_day(before)) if any(day < found.month for day in daily) else [],
        "forecast": None if forecast is None else f"{forecast:f}",
        "budget": None if budget is None else {"usd": f"{budget.budget_usd:f}", "label": budget.label},
    }


def milliseconds(value: Decimal | None) -> int | None:
    """Whole milliseconds, half-up."""
    return None if value is None else int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def running(daily: dict[date, Sums], first: date, last: date) -> list[str | None]:
    """What was spent from the first day to the end of each day; None as long as no cost is known."""
    amount: Decimal | None = None
    found = []
    for number in range((last - first).days + 1):
        sums = daily.get(first + timedelta(days=number))
        if sums and sums.cost_usd is not None:
            amount = sums.cost_usd if amount is None else amount + sums.cost_usd
        found.append(None if amount is None else f"{amount:f}")
    return found


def _by_cost(named: Iterable[tuple[str, Decimal | None]]) -> list[str]:
    """Names, those that cost most first: as people look for them in a filter."""
    costs: dict[str, Decimal] = {}
    for name, cost in named:
        costs[name] = costs.get(name, Decimal(0)) + (cost or Decimal(0))
    return sorted(costs, key=lambda name: (-costs[name], name))


def _money(amounts: Sequence[Decimal | None]) -> dict[str, list[int | None]]:
    parts = [(None, 0) if amount is None else divmod(pico(amount), _PICO_IN_MICRO) for amount in amounts]
    return {"micro": [micro for micro, _ in parts], "pico": [rest for _, rest in parts]}


def _day(day: date, origin: date) -> int:
    return (day - origin).days
