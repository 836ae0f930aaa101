"""The message: one for all that is to be said, by rule, worst first, of a length that every service takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from llm_spend.alerts.decide import Alert
from llm_spend.alerts.facts import Anomaly, Level, Standing, Voided
from llm_spend.alerts.tables import ANOMALIES, USAGE
from llm_spend.alerts.targets import Urgency
from llm_spend.answers.formats import day, moment, percent, printable, usd

_MOST_LINES, _MOST_CHARACTERS = 20, 1_900  # Discord takes 2,000 characters
_ROOM_FOR_REST = 100
_LONGEST_NAME, _LONGEST_EXPLANATION = 60, 400
_MENTION = re.compile(r"@(?=(?:everyone|here|channel|all)\b)", re.IGNORECASE)
_DAY = timedelta(days=1)
_WITHDRAWN = Level(0, False)
# Beside quotas: what costs more than a usual day of everybody is as bad as a breach.
_AS_BAD_AS = {"low": Level(1, False), "medium": Level(80, False), "high": Level(100, True)}


@dataclass(frozen=True)
class _Rule:
    rule_set: str
    rule_id: str
    unit: str


@dataclass(frozen=True)
class Digest:
    """A message; `remarks` end it."""

    title: str
    body: str
    urgency: Urgency


def digest(alerts: Sequence[Alert], remarks: Sequence[str] = ()) -> Digest:
    """The message that says all alerts, of which there is at least one. `remarks` are said at its end."""
    if any(alert.may_repeat for alert in alerts):
        remarks = ("Marked * may be a repeat: it was sent before, and nobody knows whether it arrived.", *remarks)
    lines: list[str] = []
    room = _MOST_CHARACTERS - sum(len(remark) + 1 for remark in remarks) - _ROOM_FOR_REST
    said = count = 0
    headed = None
    grouped = _grouped(alerts)
    for rule, group in grouped:
        heading = [] if rule == headed else [_heading(rule)]
        added = [*heading, f"- {line(group)}"]
        room -= sum(len(text) + 1 for text in added)
        if said and (room < 0 or count == _MOST_LINES):
            break
        lines += added
        headed, said, count = rule, said + len(group), count + 1
    if left := grouped[count:]:
        tables = sorted({ANOMALIES if isinstance(group[0].about, Anomaly) else USAGE for _, group in left})
        places = f"table{'s' if len(tables) > 1 else ''} {' and '.join(tables)}"
        lines.append(f"And {len(alerts) - said:,} more: see the {places}.")
    return Digest(_title(alerts), "\n".join([*lines, *remarks]), _urgency(alerts))


def line(group: Sequence[Alert]) -> str:
    """Alerts of one subject, worst first, in one line that is about the first. Names are as in the tables."""
    mark = "* " if any(alert.may_repeat for alert in group) else ""
    match group[0].about:
        case Voided() as voided:
            said = f"withdrawn: {_whose(voided)} was not over the limit after all, {_window(voided)}"
        case Standing() as standing:
            said = _standing(standing)
        case Anomaly() as anomaly:
            said = f"{anomaly.severity}: {_name(anomaly.explanation, _LONGEST_EXPLANATION)}"
    others = len(group) - 1
    rest = f"; and in {others:,} other window{'' if others == 1 else 's'}" if others else ""
    return mark + said + rest


def _heading(rule: _Rule) -> str:
    if rule.rule_set == "anomalies":
        return f"anomalies, {rule.rule_id.replace('_', ' ')}"
    return f"{_name(rule.rule_id)} ({_name(rule.rule_set)}), {rule.unit}"


def _standing(standing: Standing) -> str:
    level = standing.level
    head = "OVER THE LIMIT" if level.is_breached else f"{level.percent}% reached"
    cost = standing.counter.unit.startswith("cost_")
    share = "" if standing.used_ratio is None else f" ({percent(standing.used_ratio)})"
    parts = [
        f"{head}: {_whose(standing)} used {_of(standing.used, standing.limit_to, cost)}{share}, {_window(standing)}"
    ]
    if standing.breached_at:
        late = standing.detected_at and standing.detected_at - standing.breached_at > _DAY
        known = f", known since {moment(standing.detected_at)}" if late else ""
        parts.append(f"crossed {moment(standing.breached_at)}{known}")
    if standing.observed_blocks:
        parts.append(f"{standing.observed_blocks:,} requests refused")
    if standing.forecast_usd is not None and standing.forecast_usd > standing.used:
        parts.append(f"heading for {_usd(standing.forecast_usd)} USD")
    if standing.enforcement in ("audit", "soft"):
        parts.append(f"{standing.enforcement} rule")
    if not standing.is_reliable:
        parts.append(_unreliable(standing))
    return "; ".join(parts)


def _unreliable(standing: Standing) -> str:
    if not standing.unpriced_requests:
        return "at least: not all of it is known"
    many = "1 request has" if standing.unpriced_requests == 1 else f"{standing.unpriced_requests:,} requests have"
    return f"at least: {many} no price"


def _of(used: Decimal, limit_to: Decimal, cost: bool) -> str:
    return f"{_usd(used)} of {_usd(limit_to)} USD" if cost else f"{used:,.0f} of {limit_to:,.0f}"


def _usd(amount: Decimal) -> str:
    return usd(amount).replace("$", "")


def _whose(about: Standing | Voided) -> str:
    counter = about.counter
    if counter.subject_type in ("*", "rule"):
        return "all together"
    return f"{_name(counter.subject_type)} {_name(counter.subject)}"


def _window(about: Standing | Voided) -> str:
    start, end = about.counter.window_start, about.window_end
    if end is None or end.year == 9999:
        return f"since {day(start)}"
    if start.time() == end.time() == datetime.min.time():
        last = end - _DAY
        return day(start) if last <= start else f"{day(start)} to {day(last)}"
    if end - start <= timedelta(hours=1):
        return f"{moment(start)}-{end:%H:%M} UTC"
    return f"{moment(start)} to {moment(end)} UTC"


def _name(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name out of a log, or a sentence with some, without what a terminal or a chat would obey."""
    shown = printable(text).replace("<", "‹").replace(">", "›")
    shown = _MENTION.sub("@ ", shown)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _badness(alert: Alert) -> tuple[Level, Decimal, Decimal]:
    match alert.about:
        case Voided():
            return _WITHDRAWN, Decimal(0), Decimal(0)
        case Anomaly(severity=severity, severity_usd=amount):
            return _AS_BAD_AS[severity], Decimal("Infinity"), amount or Decimal(0)
        case Standing(level=level, used_ratio=ratio):
            # A quota of 0 has no ratio, and any use of it is infinitely much.
            return level, Decimal("Infinity") if ratio is None else ratio, Decimal(0)


def _grouped(alerts: Iterable[Alert]) -> list[tuple[_Rule, list[Alert]]]:
    """Alerts of the same subject, worst first; by level, and within a level by rule, that with the worst first."""
    rules: dict[_Rule, dict[tuple[str, ...], list[Alert]]] = {}
    for alert in sorted(sorted(alerts, key=lambda alert: alert.about.counter), key=_badness, reverse=True):
        counter = alert.about.counter
        rule = _Rule(counter.rule_set, counter.rule_id, counter.unit.replace("_", " "))
        subject = (counter.subject_type, counter.subject, type(alert.about).__name__)
        rules.setdefault(rule, {}).setdefault(subject, []).append(alert)
    groups = [(rule, group) for rule, subjects in rules.items() for group in subjects.values()]
    return sorted(groups, key=lambda each: _badness(each[1][0])[0], reverse=True)


def _title(alerts: Sequence[Alert]) -> str:
    standings = [alert.about for alert in alerts if isinstance(alert.about, Standing)]
    over = sum(standing.level.is_breached for standing in standings)
    anomalies = sum(isinstance(alert.about, Anomaly) for alert in alerts)
    counts = {
        "over the limit": over,
        "near it": len(standings) - over,
        "withdrawn": len(alerts) - len(standings) - anomalies,
        "anomaly" if anomalies == 1 else "anomalies": anomalies,
    }
    about = "LLM spend" if anomalies else "LLM quotas"
    return f"{about}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _urgency(alerts: Sequence[Alert]) -> Urgency:
    levels = [alert.about.level for alert in alerts if not isinstance(alert.about, Voided)]
    if not levels:
        return "info"
    return "failure" if max(levels).is_breached else "warning"
