"""The audit for people (Rich, 100 columns) and for programs (JSON)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llm_spend.answers.formats import count, percent, usd
from llm_spend.prices.audit import Audit, Cell, Finding, Kind, is_close
from llm_spend.prices.cells import NO_THRESHOLD, STANDARD

_MOST = 25


@dataclass(frozen=True)
class Report:
    """An audit, and what it was made of."""

    audit: Audit
    against: str
    on: date
    weighed_by: str | None = None
    """The month whose usage says what a difference is worth; None without a warehouse."""
    unweighed_because: str | None = None


def render(report: Report) -> RenderableType:
    """Verdict, counts, and the differences that matter most."""
    audit = report.audit
    parts: list[RenderableType] = [_verdict(report), Text(), _counts(audit.findings)]
    open_differences = [f for f in audit.findings if _may_be_our_fault(f)]
    shown = [f for f in open_differences if f.is_failing or f.worth_usd]
    if report.weighed_by and not shown:
        parts.append(Text(f"\nNone of the open differences is about usage of {report.weighed_by}."))
    elif not report.weighed_by:
        shown = open_differences
    if shown:
        parts += [Text(), _differences(shown[:_MOST], weighed=report.weighed_by is not None)]
        if len(open_differences) > len(shown[:_MOST]):
            parts.append(Text(f"{count(len(open_differences) - len(shown[:_MOST]))} more: see --json.", style="dim"))
    waived = sum(f.waiver is not None for f in audit.findings)
    parts.append(Text(f"\n{count(waived)} differences are waived.", style="dim"))
    for waiver in audit.unused_waivers:
        parts.append(Text(f"No longer needed: the waiver of {waiver.channel} {waiver.model_id} ({waiver.reason})"))
    return Group(*parts)


def to_json(report: Report) -> dict[str, Any]:
    """Every finding; prices, shares and amounts are exact strings."""
    audit = report.audit
    return {
        "against": report.against,
        "on": report.on.isoformat(),
        "weighed_by": report.weighed_by,
        "passed": audit.passed,
        "compared": audit.compared,
        "failing": len(audit.failing),
        "share": _text(audit.share),
        "fail_over": _text(audit.fail_over),
        "counts": {kind.value: sum(f.kind is kind for f in audit.findings) for kind in Kind},
        "unused_waivers": [f"{waiver.channel} {waiver.model_id}" for waiver in audit.unused_waivers],
        "findings": [_finding(finding) for finding in audit.findings if finding.kind is not Kind.EQUAL],
    }


def _may_be_our_fault(finding: Finding) -> bool:
    """What they do not list says nothing about us; models that we do not list are in the counts."""
    return (
        finding.model_id is not None
        and finding.waiver is None
        and finding.kind not in (Kind.EQUAL, Kind.NOT_THEIRS)
        and not is_close(finding.ours, finding.theirs)
    )


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "channel": finding.channel,
        "name": finding.name,
        "model_id": finding.model_id,
        **finding.cell._asdict(),
        "kind": finding.kind.value,
        "ours": _text(finding.ours),
        "theirs": _text(finding.theirs),
        "is_failing": finding.is_failing,
        "waiver": finding.waiver,
        "worth_usd": _text(finding.worth_usd),
    }


def _verdict(report: Report) -> Text:
    audit = report.audit
    style = "green" if audit.passed else "red"
    verdict = Text("Passed: " if audit.passed else "Failed: ", style=f"bold {style}")
    verdict.append(
        f"{count(len(audit.failing))} of {count(audit.compared)} base prices of the makers differ from"
        f" {report.against} without an explanation ({percent(audit.share)}; the limit is {percent(audit.fail_over)}).",
        style="",
    )
    if report.weighed_by:
        worth = [abs(f.worth_usd) for f in audit.failing if f.worth_usd]
        if audit.failing:
            verdict.append(
                f"\nThese differences are worth {usd(sum(worth, Decimal(0)))} of the usage of {report.weighed_by}.",
                style="",
            )
        else:
            verdict.append(f"\nWeighed by the usage of {report.weighed_by}.", style="")
    elif report.unweighed_because:
        verdict.append(f"\nNot weighed by usage: {report.unweighed_because}", style="dim")
    return verdict


def _counts(findings: Iterable[Finding]) -> Table:
    table = Table("cells", "makers", "clouds", "waived", box=None, pad_edge=False)
    by_kind: Counter[tuple[Kind, bool]] = Counter()
    waived: Counter[Kind] = Counter()
    for finding in findings:
        by_kind[finding.kind, finding.is_first_party] += 1
        waived[finding.kind] += finding.waiver is not None
    for kind in Kind:
        table.add_row(kind.value, count(by_kind[kind, True]), count(by_kind[kind, False]), count(waived[kind]))
    return table


def _differences(findings: Iterable[Finding], *, weighed: bool) -> Table:
    columns = ["channel", "model", "price", "ours", "theirs", "what"] + (["last month"] if weighed else [])
    table = Table(*columns, box=None, pad_edge=False)
    for finding in findings:
        row = [
            finding.channel,
            finding.name,
            price_name(finding.cell),
            plain_price(finding.ours),
            plain_price(finding.theirs),
            finding.kind.value,
        ]
        table.add_row(*row, *([usd(finding.worth_usd)] if weighed else []), style="red" if finding.is_failing else "")
    return table


def price_name(cell: Cell) -> str:
    """Such as `cache_read_tokens, batch, > 200,000`."""
    parts = [cell.usage_unit]
    if cell.service_tier != STANDARD:
        parts.append(cell.service_tier)
    if cell.input_tokens_gt != NO_THRESHOLD:
        parts.append(f"> {cell.input_tokens_gt:,}")
    if cell.is_window:
        parts.append("some hours")
    return ", ".join(parts)


def plain_price(price: Decimal | None) -> str:
    """A price without exponent and trailing zeros; `-` when there is none."""
    return "-" if price is None else _text(price) or "0"


def _text(number: Decimal | None) -> str | None:
    if number is None:
        return None
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
