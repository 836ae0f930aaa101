"""The month in a few figures: spent, forecast, budget, charged, and what is not known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal

from llm_spend.answers.formats import UNKNOWN, age, count, day, moment, month_name, percent, ratio, usd
from llm_spend.answers.insight_words import interval_words
from llm_spend.answers.known import forecast, is_over, known_days
from llm_spend.answers.marts import UNALLOCATED
from llm_spend.months import back, last_day, next_month
from llm_spend.report import insight_tables
from llm_spend.report.blocks import Card, Tone, exact
from llm_spend.report.cube import DIMENSIONS
from llm_spend.report.figures import Sums, all_rows, by_day, by_member, since, total
from llm_spend.report.found import Budget, Found

_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class MonthBudget:
    """What the month may cost: one budget for everyone, or the budgets that one rule gives to each, together."""

    rule_id: str
    budgets: tuple[Budget, ...]

    @property
    def budget_usd(self) -> Decimal:
        """Of all of them."""
        return sum((each.budget_usd for each in self.budgets), Decimal(0))

    @property
    def is_for_everyone(self) -> bool:
        """One budget, not one for each."""
        return len(self.budgets) == 1 and self.budgets[0].subject_type == "*"

    @property
    def label(self) -> str:
        """What a chart calls it."""
        if self.is_for_everyone:
            return f"budget {self.rule_id}"
        return f"{len(self.budgets):,} budgets of {self.rule_id} together"


def month_budget(budgets: tuple[Budget, ...], month: date) -> MonthBudget | None:
    """The budget of the month for everyone, the tightest of several; else those of the rule with most of them."""
    of_month = [each for each in budgets if each.unit == "cost_per_month" and each.begins(month)]
    for_everyone = [each for each in of_month if each.subject_type == "*"]
    if for_everyone:
        tightest = min(for_everyone, key=lambda each: (each.budget_usd, each.rule_id))
        return MonthBudget(tightest.rule_id, (tightest,))
    rules: dict[str, list[Budget]] = {}
    for each in of_month:
        rules.setdefault(each.rule_id, []).append(each)
    if not rules:
        return None
    rule_id = min(rules, key=lambda name: (-len(rules[name]), name))
    return MonthBudget(rule_id, tuple(rules[rule_id]))


def cards(found: Found) -> tuple[Card, ...]:
    """What the page begins with. Filters don't change it."""
    sums = spent(found)
    return tuple(
        card
        for card in (
            _spent(found, sums),
            _forecast(found, sums),
            _budget(found),
            _charged(found),
            _unpriced(sums),
            _nobodys(found, sums),
            _fresh(found),
        )
        if card
    )


def _spent(found: Found, sums: Sums) -> Card:
    before = back(found.month, 1)
    until = last_day(before)
    name = month_name(before).split()[0]
    # An unfinished month is compared with as many days.
    if found.known.as_of < last_day(found.month):
        until = before.replace(day=min(found.known.as_of.day, until.day))
        name = f"{name} to the {until.day}."
    than = total(since(all_rows(found.usage), before, until)).cost_usd
    note = f"{count(sums['requests'])} requests. "
    change = ratio((sums.cost_usd or Decimal(0)) - than, than) if than else None
    if than is None or change is None:
        note += f"Nothing known of {name}"
    else:
        note += f"{'+' if change >= 0 else '-'}{percent(abs(change))} on {name} ({usd(than)})"
    return Card("Spent", usd(sums.cost_usd), note, exact=exact(sums.cost_usd))


def month_end(found: Found, sums: Sums) -> Decimal | None:
    """What the month will have cost: as the table of forecasts has it, else as the known days go on."""
    row = insight_tables.month_end(found.insights, found.month)
    return row.forecast_usd if row else forecast(sums.cost_usd, found.month, found.known)


def _forecast(found: Found, sums: Sums) -> Card:
    if row := insight_tables.month_end(found.insights, found.month):
        interval = interval_words(row.lower_usd, row.upper_usd)
        return Card("Forecast", usd(row.forecast_usd), f"By {day(last_day(found.month))}: {interval}")
    days = known_days(found.month, found.known)
    if sums.cost_usd is None:
        return Card("Forecast", UNKNOWN, "Nothing has a price")
    if found.known.late and not is_over(found.month, found.known):
        return Card("Forecast", UNKNOWN, found.known.late_words)
    if days is None:
        return Card("Forecast", UNKNOWN, "Less than a day of the month is known")
    daily = usd(_EXACT.divide(sums.cost_usd, days))
    end = forecast(sums.cost_usd, found.month, found.known)
    if end is None:
        return _next_month(found) or Card("Forecast", usd(sums.cost_usd), f"The month is over: {daily} a day")
    return Card("Forecast", usd(end), f"By {day(last_day(found.month))}, at {daily} a day")


def _next_month(found: Found) -> Card | None:
    month = next_month(found.month)
    row = insight_tables.month_end(found.insights, month)
    if row is None:
        return None
    interval = interval_words(row.lower_usd, row.upper_usd)
    return Card(f"Forecast, {month_name(month).split()[0]}", usd(row.forecast_usd), interval)


def _budget(found: Found) -> Card:
    budget = month_budget(found.budgets, found.month)
    if budget is None:
        return Card("Budget", "none", "No budget by the month: llm-spend quotas import")
    over = [each for each in budget.budgets if each.status == "breached"]
    near = [each for each in budget.budgets if each.status == "warning"]
    tone: Tone = "bad" if over else "warn" if near else "good"
    if budget.is_for_everyone:
        (only,) = budget.budgets
        left = only.budget_usd - only.spent_usd
        note = f"{usd(abs(left))} {'left of' if left >= 0 else 'over'} {usd(only.budget_usd)} ({budget.rule_id})"
        return Card("Budget used", percent(only.used_ratio), note, tone)
    first = max(budget.budgets, key=lambda each: (each.used_ratio or Decimal(0), each.subject))
    note = f"{first.subject} is at {percent(first.used_ratio)} of {usd(first.budget_usd)}"
    if near:
        note += f"; {len(near)} past a warning"
    return Card("Budgets", f"{len(over)} of {len(budget.budgets)} over", note, tone)


def _charged(found: Found) -> Card | None:
    if not found.statements:
        return None
    known = [each.total_usd for each in found.statements if each.total_usd is not None]
    charged = sum(known, Decimal(0)) if known else None
    closed = all(each.is_closed for each in found.statements)
    note = "With bills, seats and shared costs; " + ("closed" if closed else "open: it can still change")
    return Card("Charged", usd(charged), note, exact=exact(charged))


def _unpriced(sums: Sums) -> Card:
    attempts = sums["unpriced_requests"]
    if not attempts:
        return Card("Without a price", "none", "Everything has a price", "good")
    share, tokens = percent(ratio(attempts, sums["attempts"])), sums["unpriced_tokens"]
    return Card(
        "Without a price",
        share,
        f"{count(attempts)} attempts, {count(tokens)} tokens: in no amount",
        "warn",
    )


def _nobodys(found: Found, sums: Sums) -> Card:
    teams = by_member(found.usage, DIMENSIONS[1], found.month)
    nobodys = teams.get(UNALLOCATED)
    if nobodys is None or not nobodys["attempts"]:
        return Card("Without a team", "none", "All usage has a team", "good")
    share = ratio(nobodys.cost_usd, sums.cost_usd)
    return Card(
        "Without a team", usd(nobodys.cost_usd), f"{percent(share)} of what was spent", exact=exact(nobodys.cost_usd)
    )


def _fresh(found: Found) -> Card:
    events = [each.last_event_at for each in found.status.sources if each.last_event_at]
    if not events:
        return Card("Latest request", day(found.known.as_of), "No source says when")
    last = max(events)
    waiting = found.status.loads_not_built
    note = f"{age(found.made_at - last)} before this page was made"
    if waiting:
        note += f"; {waiting:,} loads are not built yet"
    if late := found.known.late_words:
        note += f"; {late}"
    return Card("Latest request", moment(last), note, "warn" if waiting or late else "")


def spent(found: Found) -> Sums:
    """What the month used and cost so far."""
    return total(since(all_rows(found.usage), found.month))


def daily(found: Found) -> dict[date, Sums]:
    """What was used on each day of the month and the one before."""
    return by_day(since(all_rows(found.usage), back(found.month, 1)))
