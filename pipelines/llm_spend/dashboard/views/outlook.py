"""Pages of what is to come, and of what was not to be expected."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from operator import attrgetter

import streamlit as st

from llm_spend.answers import insights
from llm_spend.answers.formats import count, moment, month_name, percent
from llm_spend.answers.insight_words import ANOMALY_KINDS, interval_words, member_words, value_words
from llm_spend.answers.insights import Anomaly, Forecast
from llm_spend.dashboard import charts, queries
from llm_spend.dashboard.filters import DIMENSIONS, Days, Filters
from llm_spend.dashboard.show import Kind, money, plain, table
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views.request_table import request_pages
from llm_spend.export.words import in_words

_MEMBERS, _ANOMALIES = 200, 500
_TYPES = ("team", "feature", "customer", "model")


def forecast(view: View) -> None:
    """What this month and the three after it will cost."""
    st.title("Forecast")
    found, spent = view.ask(insights.forecasts(_MEMBERS), insights.months_spent())
    rows = [Forecast(*row) for row in found]
    total = [row for row in rows if row.member_type == "total"]
    if not total:
        st.info("There is no forecast yet: run `llm-spend build`.")
        return
    st.caption(
        plain(f"From usage until {moment(total[0].known_to)} UTC. ")
        + plain(f"{view.known.late_words}. " if view.known.late else "")
        + "The filters don't apply. Each team, feature, customer and model is forecast from its own days, so that parts"
        " need not add up to everything."
    )
    if total[0].status == "refused":
        st.info(plain(f"No forecast: {total[0].reason}."))
    else:
        _months(total)
        st.vega_lite_chart(
            charts.forecast(spent, total),
            alt="Cost by month, then forecasts with their intervals; figures stand above.",
        )
    kind = st.segmented_control(
        "By", _TYPES, default="team", required=True, format_func=DIMENSIONS.__getitem__, key="forecast_by",
        bind="query-params",
    )  # fmt: skip
    _members([row for row in rows if row.member_type == kind], DIMENSIONS[str(kind)])
    if total[0].method:
        st.caption(plain(f"Method: {total[0].method}. docs/insights.md has more, and what it can't know."))


def _months(months: list[Forecast]) -> None:
    for place, row in zip(st.columns(len(months)), months, strict=True):
        place.metric(
            month_name(row.billing_period),
            plain(money(row.forecast_usd)),
            delta=plain(interval_words(row.lower_usd, row.upper_usd)),
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    first = months[0]
    said = ""
    if first.interval_level is not None:
        said = f"{first.interval_level:.0%} of the time the amount should lie between the two below it."
    if first.back_test_mape is not None:
        tested = "a month" if first.back_test_months == 1 else f"{first.back_test_months} months"
        said += f" Held back and forecast, {tested} came out {percent(first.back_test_mape)} off."
    else:
        said += " No month could be held back to test it."
    st.caption(plain(said))


def _members(rows: list[Forecast], title: str) -> None:
    shown = []
    months: list[str] = []
    for _, group in groupby(rows, attrgetter("member_id")):
        of_member = list(group)
        months = [month_name(row.billing_period) for row in of_member]
        first = of_member[0]
        shown.append(
            (
                first.member_id, first.actual_usd, *(row.forecast_usd for row in of_member), first.lower_usd,
                first.upper_usd, first.monthly_growth_ratio, first.back_test_mape, first.unpriced_tokens,
                first.reason or "",
            )
        )  # fmt: skip
    columns: dict[str, Kind] = {title: "text", "Known so far": "usd"}
    columns |= dict.fromkeys(months, "usd")
    columns |= {
        f"{months[0] if months else 'It is'} at least": "usd",
        f"{months[0] if months else 'It is'} at most": "usd",
        "Growth a month": "share",
        "Off in the test": "share",
        "Unpriced tokens": "count",
        "Why none": "prose",
    }
    table(shown, columns, empty="Nobody has a forecast.")


def anomalies(view: View) -> None:
    """Days that were not like those before."""
    st.title("Anomalies")
    days = view.filters.days
    found, counts = view.ask(
        insights.anomalies(days.first, days.end, _ANOMALIES), insights.anomaly_counts(days.first, days.end)
    )
    said = ", ".join(f"{count(number)} {severity}" for severity, number in counts)
    st.caption(
        plain(f"{days.first} to {days.last}, UTC: {said or 'none'}. ")
        + "Those that are part of a wider one are not counted. Of the filters the days count. A day is compared with"
        " the same weekdays before it; choose one for what is behind it."
    )
    rows = [Anomaly(*row) for row in found]
    chosen = table(
        [
            (
                row.usage_date, row.severity, in_words(row.kind, ANOMALY_KINDS),
                member_words(row.member_type, row.member_id), value_words(row.observed, row.unit),
                value_words(row.expected, row.unit), row.severity_usd,
                member_words(row.part_of_member_type, row.part_of_member_id or "") if row.part_of_member_type else "",
                row.explanation,
            )
            for row in rows
        ],
        {
            "Day": "day",
            "Severity": "text",
            "What": "text",
            "Who": "text",
            "That day": "text",
            "Usual": "text",
            "Beyond it": "usd",
            "Part of": "text",
            "Explanation": "prose",
        },
        key=f"anomalies {days.first} {days.end}",
        empty="No day of these is unusual.",
    )  # fmt: skip
    if chosen is not None:
        _behind(view, rows[chosen])


def _behind(view: View, row: Anomaly) -> None:
    st.subheader(plain(f"{row.usage_date}: {in_words(row.kind, ANOMALY_KINDS)}, {_who(row)}"))
    st.markdown(plain(row.explanation))
    if row.member_type not in (*DIMENSIONS, "total"):
        return
    members = () if row.member_type == "total" else ((row.member_type, (row.member_id,)),)
    day = Filters(Days(row.usage_date, row.usage_date + timedelta(days=1)), members)
    st.caption("Its requests, dearest first.")
    request_pages(
        view,
        lambda page: queries.requests(day, view.dialect, page),
        key=f"anomaly {row.usage_date} {row.kind} {row.member_type} {row.member_id}",
    )


def _who(row: Anomaly) -> str:
    return member_words(row.member_type, row.member_id)
