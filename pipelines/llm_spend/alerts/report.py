"""What a run of alerts did, for people and for programs. No URL is known here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_spend.alerts.decide import Alert
from llm_spend.alerts.facts import Anomaly, Standing
from llm_spend.alerts.send import Outcome, Report


def render(report: Report) -> Iterator[str]:
    """Lines for people; of a dry run with the messages. What went wrong is not among them: see Report.problems."""
    for outcome in report.outcomes:
        count = _count(len(outcome.alerts), "alert")
        if outcome.message is None:
            yield f"{outcome.target}: nothing new"
        elif report.is_dry:
            yield f"{outcome.target}: {count} would be sent:\n\n{outcome.message.title}\n{outcome.message.body}\n"
        elif not outcome.problem:
            yield f"{outcome.target}: {count} sent in one message"
    if report.too_old:
        done = "are not sent" if report.is_dry else "recorded as not sent"
        yield f"{_count(report.too_old, 'level')} reached in windows that are no longer recent, {done}"


def to_json(report: Report) -> dict[str, Any]:
    """For a JSON document: amounts as exact strings, times ISO (UTC)."""
    return {
        "is_dry_run": report.is_dry,
        "too_old": report.too_old,
        "targets": [_outcome(outcome) for outcome in report.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "target": outcome.target,
        "problem": outcome.problem,
        "message": {"title": outcome.message.title, "body": outcome.message.body} if outcome.message else None,
        "alerts": [_alert(alert) for alert in outcome.alerts],
    }


def _alert(alert: Alert) -> dict[str, Any]:
    counter = alert.about.counter
    found = {
        "rule_set": counter.rule_set,
        "rule_id": counter.rule_id,
        "subject_type": counter.subject_type,
        "subject": counter.subject,
        "unit": counter.unit,
        "window_start": counter.window_start.isoformat(),
        "counted_from": counter.counted_from.isoformat(),
        "level": alert.level,
        "may_repeat": alert.may_repeat,
    }
    if isinstance(alert.about, Standing):
        found |= {
            "used": f"{alert.about.used:f}",
            "limit_to": f"{alert.about.limit_to:f}",
            "is_reliable": alert.about.is_reliable,
        }
    elif isinstance(alert.about, Anomaly):
        cost = alert.about.severity_usd
        found |= {
            "severity": alert.about.severity,
            "severity_usd": None if cost is None else f"{cost:f}",
            "usage_date": alert.about.usage_date.isoformat(),
            "explanation": alert.about.explanation,
        }
    return found


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
