"""The report as one HTML file that needs nothing else: to look at, to filter, to print, and to read without scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from llm_spend.answers.formats import count, day, moment, month_name
from llm_spend.export.names import shown
from llm_spend.export.words import zone_words
from llm_spend.months import last_day, month_of
from llm_spend.report import headline, insight_tables, month_tables, usage_tables
from llm_spend.report.blocks import amount
from llm_spend.report.cube import ALWAYS_NAMED, DIMENSIONS, Detail
from llm_spend.report.found import Found
from llm_spend.report.payload import encoded, facts, payload
from llm_spend.report.read import MONTHS

_HERE = Path(__file__).parent
_SCRIPTS = (
    "vega/vega.min.js",
    "vega/vega-lite.min.js",
    "vega/vega-embed.min.js",
    "figures.js",
    "charts.js",
    "report.js",
)
# As the questions are asked: who, then what.
_BREAKDOWNS = (("team",), ("user",), ("feature",), ("customer",), ("model",), ("environment", "provider"))


def page(found: Found) -> bytes:
    """The content of an HTML file, UTF-8: the same for the same rows and the same time."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    environment.filters["breakable"] = _breakable
    template = environment.from_string(_text("report.html.jinja"))
    return template.render(**_content(found)).encode()


def _content(found: Found) -> dict[str, Any]:
    daily = headline.daily(found)
    end = headline.month_end(found, headline.spent(found))
    known = facts(found, daily, end, headline.month_budget(found.budgets, found.month))
    by_member = {each.name: (each, usage_tables.members(found, each)) for each in DIMENSIONS}
    return {
        "title": f"LLM spend, {month_name(found.month)}",
        "month": month_name(found.month),
        "made_at": moment(found.made_at),
        "first": day(found.first),
        "last": day(min(found.known.as_of, last_day(found.month))),
        "months": MONTHS,
        "limits": limits(found),
        "cards": headline.cards(found),
        "breakdowns": [[by_member[name] for name in together] for together in _BREAKDOWNS],
        "dimensions": DIMENSIONS,
        "days": usage_tables.days(found),
        "running": usage_tables.running(known["spent"], known["before"]),
        "tags": usage_tables.tag_values(found),
        "latencies": usage_tables.latencies(found),
        "budgets": month_tables.budgets(found),
        "quotas": month_tables.quotas(found),
        "breaches": month_tables.breaches(found),
        "statement": month_tables.statement(found),
        "statement_status": _statement_status(found),
        "statement_zone": zone_words(found.billing_timezone),
        "bill_by_provider": [(provider, amount(usd)) for provider, usd in found.bill_by_provider],
        "reconciliation": month_tables.reconciliation(found),
        "causes": month_tables.causes(found),
        "unpriced": month_tables.unpriced(found),
        "nobodys": usage_tables.nobodys(found),
        "sources": month_tables.sources(found),
        "loads_not_built": found.status.loads_not_built,
        "of_now": _of_now(found),
        "method": insight_tables.method(found.insights),
        "forecast": insight_tables.forecast(found.insights),
        "anomalies": insight_tables.anomalies(found.insights),
        "anomalies_in_all": count(found.insights.anomalies_in_all),
        "model_costs": insight_tables.model_costs(found.insights),
        "candidate_kinds": insight_tables.candidate_kinds(found.insights),
        "candidates": insight_tables.candidates(found.insights),
        "switches": insight_tables.switches(found.insights),
        "kpis": insight_tables.kpis(found.insights),
        "kpi_notes": insight_tables.kpi_notes(found.insights),
        "designs": insight_tables.designs(found.insights),
        "design_notes": insight_tables.design_notes(found.insights),
        "coverage": insight_tables.coverage(found.insights),
        "findings": insight_tables.findings(found.insights),
        "words": insight_tables.words(found.insights),
        "style": Markup(_text("report.css")),
        "facts": _json(known),
        "data": Markup(encoded(payload(found))),
        "scripts": [Markup(_text(name)) for name in _SCRIPTS],
    }


def limits(found: Found) -> tuple[str, ...]:
    """What the page leaves out to stay small, in words; nothing when it has everything."""
    notes = []
    joint = found.usage.joint
    known = {
        each.plural: len({row.members[joint.place(each)] for row in joint.rows}.difference(ALWAYS_NAMED, [each.others]))
        for each in DIMENSIONS
        if not joint.names_all(each)
    }
    if known:
        listed = " and ".join(f"{count(number)} {plural}" for plural, number in known.items())
        notes.append(f"Filters know the {listed} that cost most; the others stand together, as (other …).")
    single = [cube.detail for cube in found.usage.single.values()]
    if put_together := _put_together(joint.detail):
        notes.append(f"{'With a filter, days' if single else 'Days'} {put_together}. Every sum stays exact.")
    if single and (put_together := _put_together(min(single, key=lambda detail: (detail.daily, detail.weekly)))):
        notes.append(f"Without a filter, days {put_together}.")
    hidden = [each.plural for each in DIMENSIONS if not found.usage.by(each).names_all(each)]
    if hidden:
        notes.append(f"Not all {' and '.join(hidden)} are named: those that cost least are (other …).")
    if found.tags.keys_left_out:
        notes.append(f"{count(found.tags.keys_left_out)} tag keys that few requests carry are left out.")
    if found.series_left_out:
        notes.append(
            f"{count(found.series_left_out)} models and kinds of calls with little use have no latencies here."
        )
    return tuple(notes)


def _put_together(detail: Detail) -> str:
    """Which days of the page stand together as what; nothing when each stands alone."""
    if detail.daily >= MONTHS:
        return ""
    since = f" before {_last_months(detail.daily)}" if detail.daily else ""
    if not detail.weekly:
        return f"{since} stand together as months".strip()
    weeks = f"{since} stand together as weeks".strip()
    known = detail.daily + detail.weekly
    return weeks if known >= MONTHS else f"{weeks}, those before {_last_months(known)} as months"


def _last_months(number: int) -> str:
    return "the last month" if number == 1 else f"the last {number} months"


def _statement_status(found: Found) -> str:
    if not found.statements:
        return ""
    return "closed" if all(each.is_closed for each in found.statements) else "open: it can still change"


def _of_now(found: Found) -> str:
    """What heads a part that is not of the month of the page; nothing on the page of the last month with usage."""
    if found.month >= month_of(found.known.as_of):
        return ""
    return f"As of {found.known.as_of}, not of {month_name(found.month)}."


def _breakable(name: str) -> Markup:
    """A name that is cut behind its @ rather than anywhere."""
    return Markup("@<wbr>").join(shown(name).split("@"))  # what is joined is escaped


def _json(content: Any) -> Markup:
    """JSON that can't end the script that it stands in."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c"))


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
