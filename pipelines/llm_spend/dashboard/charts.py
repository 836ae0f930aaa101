"""Charts as Vega-Lite specifications. Amounts go in as text, with all their digits; only the browser draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from llm_spend.answers.insights import Forecast

Spec = dict[str, Any]

_COLORS = ["#3b6fd4", "#e07b39", "#2f9e77", "#b8468b", "#8a6fd1", "#c9a227", "#4aa3c7", "#a0522d"]
_REST = ["#9aa0a6", "#c9cdd2"]
_MOST_DAYS, _MOST_WEEKS = 120, 160
_AXIS = {"title": None, "labelOverlap": True}


def spend_by_time(rows: Iterable[tuple[date, str, Decimal | None]], names: Sequence[str], rest: Sequence[str]) -> Spec:
    """Bars of cost, stacked by name in this order; `rest` are names in grey. Days, or weeks or months of many days."""
    cells = list(rows)
    days = sorted({day for day, _, _ in cells})
    span = (days[-1] - days[0]).days + 1 if days else 0
    unit = "day" if span <= _MOST_DAYS else "week" if span <= _MOST_WEEKS * 7 else "month"
    sums: dict[tuple[date, str], Decimal] = {}
    for day, name, cost in cells:
        if cost is not None:
            key = (_begin(day, unit), name)
            sums[key] = sums.get(key, Decimal(0)) + cost
    order = [*names, *rest]
    values = [
        {"when": when.isoformat(), "name": name, "cost": f"{cost:f}", "place": order.index(name)}
        for (when, name), cost in sorted(sums.items())
    ]
    palette = [_COLORS[number % len(_COLORS)] for number in range(len(names))] + _REST[: len(rest)]
    return {
        "data": {"values": values, "format": {"parse": {"cost": "number", "when": "utc:'%Y-%m-%d'"}}},
        "mark": {"type": "bar", "binSpacing": 1},
        "height": 280,
        "encoding": {
            "x": {"field": "when", "type": "temporal", "timeUnit": _TIME_UNITS[unit], "axis": _AXIS},
            "y": {"field": "cost", "type": "quantitative", "axis": {"title": f"USD a {unit}", "format": "$,.2~f"}},
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": order, "range": palette},
                "legend": {"title": None, "orient": "bottom", "columns": 3, "labelLimit": 120},
            },
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": [
                {"field": "when", "type": "temporal", "timeUnit": _TIME_UNITS[unit], "title": unit.capitalize()},
                {"field": "name", "type": "nominal", "title": "Of"},
                {"field": "cost", "type": "quantitative", "format": "$,.4f", "title": "Cost"},
            ],
        },
    }


_TIME_UNITS = {"day": "utcyearmonthdate", "week": "utcyearmonthdate", "month": "utcyearmonth"}


def _begin(day: date, unit: str) -> date:
    match unit:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case _:
            return day.replace(day=1)


def forecast(months: Iterable[Sequence[Any]], forecasts: Iterable[Forecast]) -> Spec:
    """Bars of the cost of months, of those to come in a lighter colour and with a line for the interval."""
    rows = [
        {"month": month.isoformat(), "kind": _KNOWN, "cost": f"{cost:f}"} for month, cost in months if cost is not None
    ]
    for each in forecasts:
        if each.forecast_usd is None or each.lower_usd is None or each.upper_usd is None:
            continue
        # The known part of the running month is a bar of its own, below.
        rest = each.forecast_usd - (each.actual_usd or 0)
        rows.append(
            {
                "month": each.billing_period.isoformat(), "kind": _TO_COME, "cost": f"{rest:f}",
                "low": f"{each.lower_usd:f}", "high": f"{each.upper_usd:f}",
            }
        )  # fmt: skip
    month = {"field": "month", "type": "ordinal", "timeUnit": "utcyearmonth", "axis": {**_AXIS, "labelAngle": 0}}
    parsed = {name: "number" for name in ("cost", "low", "high")} | {"month": "utc:'%Y-%m-%d'"}
    return {
        "data": {"values": rows, "format": {"parse": parsed}},
        "height": 260,
        "layer": [
            {
                "mark": "bar",
                "encoding": {
                    "x": month,
                    "y": {
                        "field": "cost",
                        "type": "quantitative",
                        "axis": {"title": "USD a month", "format": "$,.2~f"},
                    },
                    "color": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": [_KNOWN, _TO_COME], "range": [_COLORS[0], _REST[1]]},
                        "legend": {"title": None, "orient": "bottom"},
                    },
                    "order": {"field": "kind", "sort": "ascending"},
                    "tooltip": [
                        {"field": "month", "type": "temporal", "timeUnit": "utcyearmonth", "title": "Month"},
                        {"field": "kind", "type": "nominal", "title": "What"},
                        {"field": "cost", "type": "quantitative", "format": "$,.2f", "title": "Cost"},
                    ],
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": _COLORS[1]},
                "transform": [{"filter": "isValid(datum.low)"}],
                "encoding": {"x": month, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
            },
        ],
    }


_KNOWN, _TO_COME = "known", "to come"


def amounts_by_name(rows: Iterable[tuple[str, Decimal | None]], title: str) -> Spec:
    """Horizontal bars, in the order given. What is not known has none."""
    values = [{"name": name, "amount": f"{amount:f}"} for name, amount in rows if amount is not None]
    return {
        "data": {"values": values, "format": {"parse": {"amount": "number"}}},
        "mark": {"type": "bar", "color": _COLORS[0]},
        "height": {"step": 22},
        "encoding": {
            "y": {"field": "name", "type": "nominal", "sort": None, "axis": {"title": None, "labelLimit": 220}},
            "x": {"field": "amount", "type": "quantitative", "axis": {"title": title, "format": "$,.2~f"}},
            "tooltip": [
                {"field": "name", "type": "nominal", "title": "Of"},
                {"field": "amount", "type": "quantitative", "format": "$,.4f", "title": title},
            ],
        },
    }


def lines_by_day(rows: Iterable[Sequence[Any]], names: Sequence[str], title: str) -> Spec:
    """A line for each name, by day: rows are a date and a value for each name. A day without a value is a gap."""
    values = [
        {"when": day.isoformat(), "name": name, "value": f"{value}"}
        for day, *found in rows
        for name, value in zip(names, found, strict=True)
        if value is not None
    ]
    return {
        "data": {"values": values, "format": {"parse": {"value": "number", "when": "utc:'%Y-%m-%d'"}}},
        "mark": {"type": "line", "point": True},
        "height": 260,
        "encoding": {
            "x": {"field": "when", "type": "temporal", "timeUnit": "utcyearmonthdate", "axis": _AXIS},
            "y": {"field": "value", "type": "quantitative", "axis": {"title": title}},
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": list(names), "range": _COLORS[: len(names)]},
                "legend": {"title": None, "orient": "bottom"},
            },
            "tooltip": [
                {"field": "when", "type": "temporal", "timeUnit": "utcyearmonthdate", "title": "Day"},
                {"field": "name", "type": "nominal", "title": "What"},
                {"field": "value", "type": "quantitative", "format": ",.1f", "title": title},
            ],
        },
    }
