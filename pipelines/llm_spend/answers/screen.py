"""Answers and status for people (Rich, 100 columns) and for programs (JSON)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from llm_spend.answers.bills import Bills, ProviderBill
from llm_spend.answers.formats import UNKNOWN, age, count, day, moment, month_name, percent, printable, usd
from llm_spend.answers.marts import UNALLOCATED
from llm_spend.answers.month import (
    Answers,
    Breakdown,
    Chargeback,
    Part,
    Quality,
    Quotas,
    UnallocatedUsage,
    Unpriced,
    Usage,
)
from llm_spend.answers.sources import Status

WIDTH = 100
_MOST_TEAMS = 20
_MOST_MODELS = 5
_MOST_BILLS = 4

UNPRICED_REASONS = {
    "unpriced": "no price for the model",
    "no_usage": "success without token counts",
    "unmeasured": "timeout without token counts",
    "usage_conflict": "contradictory token counts",
}
_UNALLOCATED_REASONS = {
    "missing": "not given",
    "conflict": "given twice, differently",
    "unknown": "not in org_teams",
}


def to_json(value: Answers | Status) -> dict[str, Any]:
    """For a JSON document: amounts and shares as exact strings, times ISO (UTC), ages in whole seconds."""
    return {name: _json_value(part) for name, part in asdict(value).items()}


def _json_value(value: Any) -> Any:
    match value:
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case timedelta():
            return value // timedelta(seconds=1)
        case dict():
            return {name: _json_value(part) for name, part in value.items()}
        case list() | tuple():
            return [_json_value(part) for part in value]
    return value


def render(found: Answers) -> RenderableType:
    """The screen that `llm-spend demo` ends with."""
    sections = [
        _heading(found),
        _section("Who used most? (by tokens)", found.users.table, _usage_table("User", found.users, "user")),
        _section(
            "Which feature costs most?",
            found.features.table,
            _usage_table("Feature", found.features, "feature"),
        ),
        _section("What does each team use?", found.teams.table, _usage_table("Team", found.teams, "team")),
        _section(
            "What does each customer use?",
            found.customers.table,
            _usage_table("Customer", found.customers, "customer"),
        ),
        _section("What does each model cost?", found.models.table, _usage_table("Model", found.models, "model")),
        _section("Which quotas were exceeded?", found.quotas.table, _quota_rows(found.quotas, found.month)),
        _section(
            f"Who pays what for {month_name(found.month)}?",
            found.chargeback.table,
            _chargeback_table(found.chargeback),
        ),
        _section(
            f"What did providers bill for {month_name(found.month)}, and why?",
            found.bills.table,
            _bills_table(found.bills),
        ),
        _section("What has no price?", found.unpriced.table, _unpriced_table(found)),
        _section("What belongs to nobody?", found.unallocated.table, _unallocated_table(found.unallocated)),
        _section("What could not be read?", found.quality.table, _quality_lines(found.quality)),
    ]
    return Constrain(Group(*sections), WIDTH)


def render_status(found: Status) -> RenderableType:
    """The screen of `llm-spend status`: one row per source instance."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("Source", overflow="fold")
    for name in (
        "Files",
        "Attempts",
        "Last event",
        "Age",
        "Loaded",
        "Unread",
        "Doubled",
        "Unpriced",
        "No team",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for source in found.sources:
        table.add_row(
            _name(f"{source.source} / {source.source_instance}"),
            count(source.files),
            count(source.attempts),
            day(source.last_event_at),
            age(source.event_age),
            UNKNOWN if source.last_loaded_at is None else f"{age(found.as_of - source.last_loaded_at)} ago",
            count(source.lines_quarantined),
            count(source.duplicate_rows),
            percent(source.unpriced_share),
            percent(source.without_team_share),
        )
    notes = [
        Text(
            "Attempts are without the doubled rows; Unpriced and No team are shares of them. UTC.",
            style="dim",
        ),
        Text("Unread lines, with the reason: llm_spend_raw.llm_spend__quarantine", style="dim"),
    ]
    late = [source for source in found.sources if source.is_late]
    notes += [
        Text(
            f"{printable(source.source)} / {printable(source.source_instance)} is late:"
            f" its usage is known up to {moment(source.known_to)}.",
            style="bold",
        )
        for source in late
    ]
    if late:
        notes.append(Text("Forecasts and whole months end there until it is loaded, or has been silent for long."))
    if found.loads_not_built:
        loads = "load is" if found.loads_not_built == 1 else "loads are"
        notes.append(
            Text(
                f"{found.loads_not_built:,} {loads} not in the tables yet: run `llm-spend build`.",
                style="bold",
            )
        )
    return Group(
        _section(
            f"What was loaded? ({moment(found.as_of)} UTC)",
            "llm_spend.llm_source_health",
            Group(table, *notes),
        )
    )


def _heading(found: Answers) -> RenderableType:
    total = found.total
    title = Text(f"LLM spend in {month_name(found.month)}", style="bold")
    title.append(f"  (usage from {found.first_usage_date} to {found.last_usage_date}, UTC)", style="not bold")
    numbers = Text(f"{usd(total.cost_usd)} for {count(total.requests)} requests", style="bold")
    numbers.append(f" ({count(total.attempts)} attempts, {count(total.tokens)} tokens).", style="not bold")
    if found.previous_cost_usd is not None:
        numbers.append(f" {month_name(found.previous_month)}: {usd(found.previous_cost_usd)}.", style="not bold")
    return Group(title, numbers)


def _section(question: str, table: str, body: RenderableType) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    line.add_row(Text(question, style="bold"), Text(f"more: {table}", style="dim"))
    return Group(Text(), line, body)


def _table(*columns: tuple[str, str]) -> Table:
    """Columns of text (left) may wrap, those of numbers (right) may not: a cut number is a wrong number."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name, side in columns:
        if side == "right":
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table


def _aligned_table(names: tuple[str, ...], numbers: tuple[tuple[str, int], ...]) -> Table:
    """A table whose columns lie the same in every section: names share the width that the numbers leave."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    for name in names:
        table.add_column(name, ratio=1, overflow="fold")
    for name, width in numbers:
        table.add_column(name, justify="right", min_width=width, no_wrap=True)
    return table


def _name(name: str, style: str = "") -> Text:
    """Names come out of logs: nothing in them may act as markup or as a terminal code."""
    return Text(printable(name), style=style)


def _usage_table(heading: str, breakdown: Breakdown, noun: str) -> RenderableType:
    numbers = (("Requests", 11), ("Tokens", 15), ("Cost", 12), ("Share", 6), ("Unpriced", 8))
    table = _aligned_table((heading,), numbers)
    for part in breakdown.parts:
        table.add_row(_part_name(part, noun), *_usage_cells(part.usage, percent(part.share_of_cost)))
    table.add_row("Total", *_usage_cells(breakdown.total, ""), style="bold")
    return table


def _part_name(part: Part, noun: str) -> Text:
    match part.kind:
        case "top":
            return _name(part.name or "")
        case "others":
            return Text(f"{part.names:,} other {noun}{'' if part.names == 1 else 's'}", style="dim")
        case "unallocated":
            return Text(UNALLOCATED, style="dim")


def _usage_cells(usage: Usage, share: str) -> tuple[str, ...]:
    return (
        count(usage.requests),
        count(usage.tokens),
        usd(usage.cost_usd),
        share,
        count(usage.unpriced_attempts),
    )


def _amount(used: Decimal | int) -> str:
    return usd(used) if isinstance(used, Decimal) else count(used)


def _quota_rows(quotas: Quotas, month: date) -> RenderableType:
    if not quotas.rules:
        return Text("No quota rules are loaded. Give them in quota_rules.csv, then run `llm-spend build`.")
    rules = f"{quotas.rules:,} quota rule{'' if quotas.rules == 1 else 's'}"
    if not quotas.breaches:
        return Text(
            f"None of {rules} in {month_name(month)};"
            f" the highest use was {percent(quotas.highest_used_ratio)} of a limit."
        )
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for breach in quotas.latest:
        unit = (breach.unit or "").replace("_", " ").removeprefix("cost ")
        text = Text()
        who = f"{breach.subject_type.removeprefix('metadata.')} {breach.subject}"
        text.append("everyone" if who == "* *" else printable(who), style="bold")
        text.append(f"  {_amount(breach.used)} of {_amount(breach.limit_to)} {unit}")
        text.append(printable(f"  {breach.rule_id}"), style="dim")
        request = Text(printable(f"crossed by {breach.request_key}"), style="dim")
        grid.add_row(moment(breach.breached_at), Group(text, request))
    times = "1 time" if quotas.breaches == 1 else f"{quotas.breaches:,} times"
    shown = "" if len(quotas.latest) == quotas.breaches else f"; the latest {len(quotas.latest)}"
    return Group(Text(f"{rules}, exceeded {times} in {month_name(month)}{shown}:"), grid)


def _chargeback_table(chargeback: Chargeback) -> RenderableType:
    numbers = (("Cost centre pays", 16), ("Team pays", 12), ("Share", 6), ("Unpriced", 8))
    table = _aligned_table(("Cost centre", "Team"), numbers)
    paid = {center.cost_center_id: center.total_usd for center in chargeback.cost_centers}
    shown, left = chargeback.statements[:_MOST_TEAMS], chargeback.statements[_MOST_TEAMS:]
    last_center = None
    for statement in shown:
        first = statement.cost_center_id != last_center
        last_center = statement.cost_center_id
        table.add_row(
            _name(statement.cost_center_id if first else ""),
            _name(statement.team_id),
            usd(paid[statement.cost_center_id]) if first else "",
            usd(statement.total_usd),
            percent(statement.share_of_bill),
            count(statement.unpriced_attempts),
        )
    if left:
        known = [statement.total_usd for statement in left if statement.total_usd is not None]
        table.add_row(
            Text("...", style="dim"),
            Text(f"{len(left):,} more statements", style="dim"),
            "",
            usd(sum(known, Decimal(0)) if known else None),
            "",
            count(sum(statement.unpriced_attempts for statement in left)),
        )
    total = usd(chargeback.total_usd)
    table.add_row("Total", "", total, total, "", "", style="bold")
    return Group(table, _bill_line(chargeback))


def _bill_line(chargeback: Chargeback) -> Text:
    providers = ", ".join(printable(f"{provider} {usd(amount)}") for provider, amount in chargeback.bill_by_provider)
    if not chargeback.is_whole:
        return Text(
            f"The total is not that of the providers, {usd(chargeback.bill_usd)} ({providers}).", style="bold red"
        )
    state = "closed" if chargeback.is_closed else "open: it can still change"
    exact = UNKNOWN if chargeback.exact_usd is None else f"${_trimmed(chargeback.exact_usd)}"
    lines = (
        f"By provider, as billed, and by the price book where no bill is loaded: {providers}.",
        f"Before each provider was rounded to cents: {exact}. The month is {state}.",
    )
    return Text("\n".join(lines), style="dim")


def _bills_table(bills: Bills) -> RenderableType:
    """A column a provider, from what the gateways say to the bill."""
    if not bills.providers:
        return Text("No bill is loaded. Ask a provider (llm-spend load openai --api), or load its bills from files.")
    shown = bills.providers[:_MOST_BILLS]
    table = _table(("", "left"), *((printable(bill.provider), "right") for bill in shown))
    table.add_row("The gateways say", *(usd(bill.gateway_usd) for bill in shown))
    for cause in bills.causes:
        table.add_row(f"  {cause.replace('_', ' ')}", *(_cause(bill, cause) for bill in shown))
    table.add_row("The providers billed", *(usd(bill.provider_usd) for bill in shown), style="bold")
    return table


def _cause(bill: ProviderBill, cause: str) -> str:
    amount = bill.causes.get(cause)
    return "" if amount is None else usd(amount)


def _trimmed(amount: Decimal) -> str:
    """All digits of an amount that say something, cents at least."""
    whole, _, digits = f"{amount:,f}".partition(".")
    return f"{whole}.{digits.rstrip('0').ljust(2, '0')}"


def _unpriced_table(found: Answers) -> RenderableType:
    unpriced, total = found.unpriced, found.total
    if not unpriced.reasons:
        return Text("Everything has a price.")
    numbers = [(name, "right") for name in ("Attempts", "Tokens", "Since", "Last seen")]
    table = _table(("Model", "left"), ("Why", "left"), *numbers)
    models = [row for row in unpriced.reasons if row.model is not None]
    for row in models[:_MOST_MODELS]:
        _add_unpriced(table, _name(row.model or ""), row)
    for row in _sum_of_models(models[_MOST_MODELS:]) + [row for row in unpriced.reasons if row.model is None]:
        _add_unpriced(table, Text(f"{row.models:,} model{'' if row.models == 1 else 's'}", style="dim"), row)
    lines = (
        f"All months. In {month_name(found.month)}: {count(total.unpriced_attempts)} attempts"
        f" ({percent(unpriced.share_of_attempts)}) with {count(total.unpriced_tokens)} tokens"
        f" ({percent(unpriced.share_of_tokens)}).",
        "No amount above has them; the columns Unpriced count these attempts.",
    )
    note = Text("\n".join(lines), style="dim")
    return Group(table, note)


def _add_unpriced(table: Table, model: Text, row: Unpriced) -> None:
    table.add_row(
        model,
        _name(UNPRICED_REASONS.get(row.reason, row.reason)),
        count(row.attempts),
        count(row.tokens),
        day(row.first_seen_at),
        day(row.last_seen_at),
    )


def _sum_of_models(rows: list[Unpriced]) -> list[Unpriced]:
    """The models that are not named one by one, in one row; no row when there are none."""
    if not rows:
        return []
    tokens = [row.tokens for row in rows if row.tokens is not None]
    return [
        Unpriced(
            reason=rows[0].reason,
            model=None,
            models=len(rows),
            attempts=sum(row.attempts for row in rows),
            tokens=sum(tokens) if tokens else None,
            first_seen_at=min(row.first_seen_at for row in rows),
            last_seen_at=max(row.last_seen_at for row in rows),
        )
    ]


def _unallocated_table(unallocated: UnallocatedUsage) -> RenderableType:
    numbers = [(name, "right") for name in ("Attempts", "Share", "Cost", "Share")]
    table = _table(("Without a", "left"), *numbers, ("Why", "left"))
    for row in unallocated.dimensions:
        reasons = ", ".join(f"{number:,} {_UNALLOCATED_REASONS.get(reason, reason)}" for reason, number in row.reasons)
        table.add_row(
            row.dimension,
            count(row.attempts),
            percent(row.share_of_attempts),
            usd(row.cost_usd),
            percent(row.share_of_cost),
            _name(reasons),
        )
    return table


def _quality_lines(quality: Quality) -> RenderableType:
    lines = [
        (
            quality.lines_quarantined,
            "lines could not be read: llm_spend_raw.llm_spend__quarantine says where and why",
        ),
        (
            quality.attempts_with_unreadable_metadata,
            "attempts have metadata that can't be read: no tags",
        ),
        (
            quality.attempts_without_usage,
            "attempts succeeded without token counts: no cost",
        ),
        (
            quality.duplicate_rows,
            f"rows came twice and count once: {count(quality.attempts)} attempts are left",
        ),
    ]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right")
    grid.add_column()
    for number, meaning in lines:
        grid.add_row(count(number), meaning)
    return grid
