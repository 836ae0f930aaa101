"""The tables of what to do: filters don't change them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from llm_spend.answers.formats import count, day, month_name, percent, ratio
from llm_spend.answers.insight_words import (
    ANOMALY_KINDS,
    CANDIDATE_KINDS,
    FINDINGS,
    LEAST_COVERAGE,
    interval_words,
    kpi_words,
    member_words,
    plan_words,
    saving_words,
    tag_words,
    unpriced_plans,
    value_words,
)
from llm_spend.answers.insights import ALL, COST_TITLES, Anomaly, Candidate, Design, Finding, Forecast, Kpi
from llm_spend.export.words import in_words
from llm_spend.report.blocks import Cell, Column, Row, Table, Tone, amount, bar, text
from llm_spend.report.insights import Insights

_TONES: dict[str, Tone] = {"high": "bad", "medium": "warn"}
_NO_EVENTS = (
    "There are no business events yet: write sessions, conversions, revenue … into seeds/rules/business_events.csv."
)


def forecast(found: Insights) -> Table:
    """What the months to come will cost: all of it, then the dearest members of each kind."""
    months = sorted({row.billing_period for row in found.forecasts})
    return Table(
        "Forecast",
        (
            Column("Whose"),
            *(Column(month_name(month), True) for month in months),
            Column(f"{month_name(months[0])} between" if months else "Between", True, is_short=True),
            Column("Growth a month", True, is_minor=True),
            Column("Off in the test", True, is_minor=True),
        ),
        tuple(_forecasts(found.forecasts, len(months))),
        "There is no forecast.",
    )


def _forecasts(rows: Sequence[Forecast], months: int) -> Iterator[Row]:
    for member_type, of_type in groupby(rows, attrgetter("member_type")):
        if member_type != "total":
            yield _heading(f"Dearest {member_type}s", months + 3)
        for _, of_member in groupby(of_type, attrgetter("member_id")):
            yield _forecast(list(of_member), "Everything" if member_type == "total" else None)


def _forecast(months: Sequence[Forecast], name: str | None) -> Row:
    first = months[0]
    return Row(
        (
            text(name or first.member_id),
            *(amount(row.forecast_usd) for row in months),
            Cell(first.reason or interval_words(first.lower_usd, first.upper_usd)),
            Cell(percent(first.monthly_growth_ratio)),
            Cell(percent(first.back_test_mape)),
        ),
        "total" if name else "",
    )


def anomalies(found: Insights) -> Table:
    """The days of the month that were not like those before."""
    return Table(
        "Anomalies",
        (
            Column("Day", is_short=True),
            Column("Severity", is_short=True),
            Column("What"),
            Column("That day", True, is_minor=True),
            Column("Usual", True, is_minor=True),
            Column("Beyond it", True),
            Column("Explanation"),
        ),
        tuple(Row(_anomaly(row)) for row in found.anomalies),
        "No day of the month is unusual.",
    )


def _anomaly(row: Anomaly) -> tuple[Cell, ...]:
    return (
        Cell(day(row.usage_date)),
        Cell(row.severity, tone=_TONES.get(row.severity, "")),
        text(f"{in_words(row.kind, ANOMALY_KINDS)}: {_who(row)}"),
        Cell(value_words(row.observed, row.unit)),
        Cell(value_words(row.expected, row.unit)),
        amount(row.severity_usd),
        text(row.explanation),
    )


def _who(row: Anomaly) -> str:
    """`team search`; `team search and 2 more` when others have the same on that day."""
    who = member_words(row.member_type, row.member_id)
    return who if row.members == 1 else f"{who} and {count(row.members - 1)} more"


def model_costs(found: Insights) -> Table:
    """What models were paid for, and their sum."""
    return Table(
        "What is paid for",
        (Column("Model"), *(Column(title, True) for title in COST_TITLES)),
        tuple(
            Row((text(model), *(amount(cost, blank_zero=True) for cost in costs)), "total" if model == "Total" else "")
            for model, *costs in found.model_costs
        ),
        "No cost of the month is known.",
    )


def candidate_kinds(found: Insights) -> Table:
    """Where money could be saved, kind by kind."""
    return Table(
        "What could cost less",
        (
            Column("What"),
            Column("Candidates", True, is_minor=True),
            Column("Spent on them", True),
            Column("Could be saved", True, is_short=True),
            Column("Requests", True, is_minor=True),
            Column("Unpriced", True),
        ),
        tuple(
            Row(
                (
                    Cell(in_words(row.kind, CANDIDATE_KINDS)),
                    Cell(count(row.candidates)),
                    amount(row.spend_usd),
                    Cell(saving_words(row.saving_usd, row.saving_low_usd, row.saving_high_usd)),
                    Cell(count(row.requests)),
                    _unpriced(row.unpriced_requests),
                )
            )
            for row in found.candidate_kinds
        ),
        "Nothing was found that could cost less.",
    )


def candidates(found: Insights) -> Table:
    """The largest savings, with why."""
    return Table(
        "The largest of them",
        (
            Column("What"),
            Column("Where"),
            Column("Spent", True),
            Column("Could be saved", True, is_short=True),
            Column("Unpriced", True, is_minor=True),
            Column("How sure", is_short=True),
            Column("Why"),
        ),
        tuple(Row(_candidate(row)) for row in found.candidates),
    )


def _candidate(row: Candidate) -> tuple[Cell, ...]:
    where = (row.team_id, row.feature_id, row.model_id, row.prompt_id)
    return (
        Cell(in_words(row.kind, CANDIDATE_KINDS)),
        text(", ".join(each for each in where if each != ALL)),
        amount(row.spend_usd),
        Cell(saving_words(row.saving_usd, row.saving_low_usd, row.saving_high_usd)),
        _unpriced(row.unpriced_requests),
        Cell(row.confidence),
        text(row.explanation),
    )


def _unpriced(requests: int) -> Cell:
    """Those that are in no amount; nothing where all have a price."""
    return Cell(count(requests) if requests else "")


def switches(found: Insights) -> Table:
    """What the month would have cost on other models."""
    return Table(
        "On another model",
        (
            Column("Feature"),
            Column("Model"),
            Column("Another"),
            Column("Cost", True),
            Column("There", True),
            Column("Saving", True),
            Column("Share", True),
            Column("Not comparable", True, is_minor=True),
        ),
        tuple(
            Row(
                (
                    text(row.feature_id),
                    text(row.model_id),
                    text(row.to_model_id),
                    amount(row.contract_cost_usd),
                    amount(row.switch_contract_usd),
                    amount(row.saving_usd),
                    Cell(percent(row.saving_ratio)),
                    Cell(count(row.not_comparable_requests)),
                )
            )
            for row in found.switches
        ),
        "No model of the month has one that may replace it: name pairs in seeds/mapping/model_switches.csv.",
    )


def kpis(found: Insights) -> Table:
    """The KPIs of everything, of features and of customers: a column each."""
    names = {row.kpi_id: row for row in sorted(found.kpis, key=lambda row: (row.kpi_name, row.kpi_id))}
    rows: list[Row] = []
    for member_type, of_type in groupby(found.kpis, attrgetter("member_type")):
        if member_type != "total":
            rows.append(_heading(f"Dearest {member_type}s", len(names) + 1))
        for member_id, of_member in groupby(of_type, attrgetter("member_id")):
            of = {row.kpi_id: row for row in of_member}
            rows.append(
                Row(
                    (
                        text("Everything" if member_type == "total" else member_id),
                        amount(next(iter(of.values())).cost_usd),
                        *(_kpi(of.get(kpi)) for kpi in names),
                    ),
                    "total" if member_type == "total" else "",
                )
            )
    return Table(
        "KPIs",
        (Column("Of"), Column("Cost", True), *(Column(row.kpi_name, True) for row in names.values())),
        tuple(rows),
        _NO_EVENTS,
    )


def _kpi(row: Kpi | None) -> Cell:
    if row is None:
        return Cell("")
    known = f"events are known for {percent(row.coverage_ratio)} of the cost" if row.coverage_ratio is not None else ""
    return Cell(kpi_words(row.kpi_value, row.unit, row.coverage_ratio), exact=known)


def kpi_notes(found: Insights) -> tuple[str, ...]:
    """What makes the KPIs wrong, as far as it is known."""
    notes = []
    if any(_is_hardly_known(row) for row in found.kpis):
        notes.append(
            f"Where events are known for less than {LEAST_COVERAGE:.0%} of the cost, that share stands beside the KPI,"
            " which then sets all of the cost against a part of what the product did."
        )
    total = next((row for row in found.kpis if row.member_type == "total"), None)
    if total and not total.is_whole_month:
        notes.append("The month is not over, or not wholly known.")
    if total and total.unpriced_tokens:
        notes.append(f"{count(total.unpriced_tokens)} tokens have no price: no KPI of cost has them.")
    return tuple(notes)


def _is_hardly_known(row: Kpi) -> bool:
    return row.kpi_value is not None and row.coverage_ratio is not None and row.coverage_ratio < LEAST_COVERAGE


def designs(found: Insights) -> Table:
    """What plans that nobody bought yet would have brought."""
    rows: list[Row] = []
    for (_, name), plans in groupby(found.designs, attrgetter("design_id", "design_name")):
        of_design = list(plans)
        rows.append(_whole_design(name, [row for row in of_design if row.customers]))
        rows += [_design(row) for row in of_design]
    return Table(
        "Plans that might be sold",
        (
            Column("Design, plan"),
            Column("Customers", True),
            Column("Revenue", True),
            Column("More than today", True),
            Column("Of customers", True, is_minor=True),
            Column("Cost", True, is_minor=True),
            Column("Margin", True),
            Column("Of the revenue", True, is_minor=True),
        ),
        tuple(rows),
        "There is no design yet: write one into seeds/rules/plan_designs.csv.",
    )


def _whole_design(name: str, plans: Sequence[Design]) -> Row:
    def known(amounts: Iterable[Decimal | None]) -> Decimal | None:
        given = [each for each in amounts if each is not None]
        return sum(given, Decimal(0)) if given else None

    # No share of the revenue: margins leave out customers whose cost is not known, the revenue does not.
    return Row(
        (
            text(name),
            Cell(count(sum(row.customers for row in plans))),
            amount(known(row.revenue_usd for row in plans)),
            amount(known(row.revenue_change_usd for row in plans)),
            Cell(count(sum(row.customers_compared for row in plans))),
            amount(known(row.cost_usd for row in plans)),
            amount(known(row.margin_usd for row in plans)),
            Cell(""),
        ),
        "group",
    )


def _design(row: Design) -> Row:
    return Row(
        (
            text(plan_words(row.plan_id, row.plan_name)),
            Cell(count(row.customers)),
            amount(row.revenue_usd),
            amount(row.revenue_change_usd),
            Cell(count(row.customers_compared)),
            amount(row.cost_usd),
            amount(row.margin_usd),
            Cell(percent(row.margin_ratio)),
        )
    )


def design_notes(found: Insights) -> tuple[str, ...]:
    """What the amounts of designs don't have."""
    # All designs are of the same usage.
    of_one = [row for row in found.designs if row.design_id == found.designs[0].design_id]
    unpriced = sum(row.unpriced_tokens for row in of_one)
    return (unpriced_plans(unpriced),) if unpriced else ()


def coverage(found: Insights) -> Table:
    """How much of the usage carries each tag."""
    shares = [(row, ratio(row.requests_with_tag, row.requests)) for row in found.coverage]
    return Table(
        "Coverage",
        (Column("Tag"), Column("Of requests", True), Column("Of cost", True), Column("Requests", True, is_minor=True)),
        tuple(
            Row(
                (
                    text(tag_words(row.tag_key, is_owner=row.is_owner)),
                    Cell(percent(share), bar=bar(share)),
                    Cell(percent(ratio(row.cost_with_tag_usd, row.cost_usd))),
                    Cell(count(row.requests_with_tag)),
                )
            )
            for row, share in shares
        ),
        "Nothing of the month carries a tag.",
    )


def findings(found: Insights) -> Table:
    """What is wrong with tags."""
    return Table(
        "Findings",
        (
            Column("Severity", is_short=True),
            Column("What"),
            Column("Tag"),
            Column("Requests", True),
            Column("Last", is_short=True, is_minor=True),
            Column("What to do"),
        ),
        tuple(Row(_finding(row)) for row in found.findings),
        "Nothing is wrong with the tags, as far as seeds/mapping/tag_registry.csv says what they should be.",
    )


def _finding(row: Finding) -> tuple[Cell, ...]:
    return (
        Cell(row.severity, tone=_TONES.get(row.severity, "")),
        Cell(in_words(row.finding, FINDINGS)),
        text(f"{row.tag_key} = {row.value}" if row.value else row.tag_key),
        Cell(count(row.requests)),
        Cell(day(row.last_seen_on)),
        text(f"{row.explanation} {row.what_to_do}"),
    )


def words(found: Insights) -> tuple[Table, ...]:
    """What features, tags and KPIs mean."""
    said = [row for row in found.features if row.is_registered]
    return (
        _words(
            ("Feature", "What it is", "Owner"),
            [(_named(row.feature_id, row.feature_name), row.description, row.owner) for row in said],
            _unsaid("features"),
        ),
        _words(
            ("Tag", "What it says", "Owner"),
            [(row["tag_key"], row["meaning"], row["owner"]) for row in found.seeds.tag_registry],
            _unsaid("tag_registry", found),
        ),
        _words(
            ("KPI", "What it says", "Unit", "Owner"),
            [(row["kpi_name"] or row["kpi_id"], row["meaning"], row["unit"], row["owner"]) for row in found.seeds.kpis],
            _unsaid("kpis", found),
        ),
    )


def _unsaid(seed: str, found: Insights | None = None) -> str:
    """What stands there when nobody says it: in the tables, or in the seeds that were given."""
    if found and not found.has_own_seeds:
        return f"No folder of seeds was given (--seeds, or the setting): its mapping/{seed}.csv says it."
    return f"Nobody has said it yet: seeds/mapping/{seed}.csv."


def _words(titles: tuple[str, ...], rows: Sequence[tuple[str | None, ...]], empty: str) -> Table:
    return Table(
        f"{titles[0]}s",
        tuple(Column(title) for title in titles),
        tuple(Row(tuple(text(each) for each in row)) for row in rows),
        empty,
    )


def _named(identifier: str, name: str | None) -> str:
    return f"{name} ({identifier})" if name and name != identifier else identifier


def _heading(title: str, columns: int) -> Row:
    """A line over those that belong together, with so many empty cells."""
    return Row((text(title), *[Cell("")] * columns), "group")


def method(found: Insights) -> tuple[str, ...]:
    """How the forecast was made, and how well it did; or why there is none."""
    total = next((row for row in found.forecasts if row.member_type == "total"), None)
    if total is None:
        return ()
    until = f"From usage until {total.known_to:%Y-%m-%d %H:%M} UTC."
    if total.status != "forecast":
        return (until, f"No forecast: {total.reason}.")
    said = [until, f"{(total.method or '').capitalize()}."]
    if total.back_test_mape is not None:
        tested = "a month" if total.back_test_months == 1 else f"{total.back_test_months} months"
        said.append(f"Held back and forecast, {tested} came out {percent(total.back_test_mape)} off.")
    return tuple(said)


def month_end(found: Insights, month: date) -> Forecast | None:
    """What all of the month will have cost."""
    return next(
        (
            row
            for row in found.forecasts
            if row.member_type == "total" and row.billing_period == month and row.status == "forecast"
        ),
        None,
    )
