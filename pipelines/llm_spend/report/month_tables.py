"""The tables of the whole month, and of all time: filters don't change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from llm_spend.answers.formats import UNKNOWN, age, count, day, moment, month_name, percent, ratio, usd
from llm_spend.answers.marts import UNALLOCATED
from llm_spend.answers.quota_words import subject_words, unit_words
from llm_spend.answers.screen import UNPRICED_REASONS
from llm_spend.export.words import LINE_TYPES as LINE_TYPE_WORDS
from llm_spend.export.words import in_words
from llm_spend.report.blocks import Cell, Column, Row, Table, Tone, amount, bar, exact, text
from llm_spend.report.found import LINE_TYPES, Budget, Found, Statement, UnpricedModel

_STATES: dict[str, tuple[str, Tone]] = {
    "breached": ("over", "bad"),
    "warning": ("warning", "warn"),
    "ok": ("within", "good"),
}
_MOST_BUDGETS, _MOST_MODELS = 40, 20
_NO_BILL = (
    "No bill of this month is loaded: ask a provider (llm-spend load openai --api), or load its bills from files."
)


def budgets(found: Found) -> Table:
    """Every budget with a period in the month; of several periods the fullest, and how many were overspent."""
    groups: dict[tuple[str, str, str], list[Budget]] = {}
    for each in found.budgets:
        groups.setdefault((each.rule_id, each.subject_type, each.subject), []).append(each)
    ordered = sorted(groups.values(), key=lambda group: (-_fullness(group), group[0].rule_id, group[0].subject))
    rows = [_budget(group) for group in ordered[:_MOST_BUDGETS]]
    if len(ordered) > _MOST_BUDGETS:
        rows.append(_more(len(ordered) - _MOST_BUDGETS, "budgets", 7))
    numbers = (Column(title, True) for title in ("Used", "Spent", "Budget", "Forecast"))
    return Table(
        "Budgets",
        (Column("Whose"), *numbers, Column("State", is_short=True), Column("Rule")),
        tuple(rows),
        "There is no budget: write them in a few words and import them with llm-spend quotas import.",
    )


def quotas(found: Found) -> Table:
    """The fullest window of each quota and subject."""
    rows = [
        Row(
            (
                text(subject_words(each.subject_type, each.subject)),
                Cell(percent(each.used_ratio), bar=bar(each.used_ratio), tone=_tone(each.breached, each.near)),
                Cell(("" if each.is_reliable else "≥ ") + _quantity(each.used, each.unit)),
                Cell(_limit(each.limit, each.unit)),
                Cell(count(each.observed_blocks)),
                Cell(_windows(each.breached, each.windows, "window"), tone=_tone(each.breached, each.near)),
                text(each.rule_id),
            )
        )
        for each in found.quotas.rows
    ]
    if found.quotas.more:
        rows.append(_more(found.quotas.more, "counters with less use", 7))
    numbers = (Column(title, True) for title in ("Used", "Fullest window", "Limit", "Refused"))
    return Table(
        "Quotas",
        (Column("Whose"), *numbers, Column("State", is_short=True), Column("Rule")),
        tuple(rows),
        "No quota matched a request in this month." if found.quota_rules else "There are no quota rules.",
    )


def breaches(found: Found) -> Table:
    """What went above a limit in the month, latest first."""
    rows = [
        Row(
            (
                Cell(moment(each.at)),
                text(each.rule_id),
                text(subject_words(each.subject_type, each.subject)),
                Cell(_quantity(each.used, each.unit)),
                Cell(_limit(each.limit, each.unit)),
                Cell(count(each.observed_blocks)),
                Cell(each.request_key, is_quiet=True),
            )
        )
        for each in found.breaches.rows
    ]
    if found.breaches.more:
        rows.append(_more(found.breaches.more, "earlier breaches", 7))
    return Table(
        "Breaches",
        (
            Column("When (UTC)", is_short=True),
            Column("Rule"),
            Column("Whose"),
            Column("Used", True),
            Column("Limit", True),
            Column("Refused", True),
            Column("Crossed by request", False, True),
        ),
        tuple(rows),
        "No limit was exceeded in this month.",
    )


def statement(found: Found) -> Table:
    """What each cost centre and team pays. Types of lines that nobody has are left out."""
    rows = found.statements
    kept = [place for place in range(len(LINE_TYPES)) if any(each.amounts[place] != 0 for each in rows)]
    centers: dict[str, list[Statement]] = {}
    for each in rows:
        centers.setdefault(each.cost_center, []).append(each)
    order = sorted(centers, key=lambda name: (name == UNALLOCATED, -(_pays(centers[name]) or Decimal(0)), name))
    whole = _pays(rows)
    lines: list[Row] = []
    for name in order:
        part = centers[name]
        if len(part) == 1 and part[0].team == name:
            lines.append(_statement(name, part, kept, whole, "group"))
            continue
        lines.append(_statement(name, part, kept, whole, "group"))
        lines += [_statement(each.team, [each], kept, whole, "") for each in part]
    if rows:
        lines.append(_statement("Total", rows, kept, whole, "total"))
    return Table(
        f"Statement of {month_name(found.month)}",
        (
            Column("Cost centre, team"),
            Column("Pays", True),
            Column("Share", True),
            *(Column(LINE_TYPE_WORDS[LINE_TYPES[place]], True, True) for place in kept),
            Column("Unpriced", True),
        ),
        tuple(lines),
        "There is no statement of this month.",
    )


def reconciliation(found: Found) -> Table:
    """From what the gateways say to what each provider billed."""
    providers = found.bills.providers
    if not providers:
        return Table("", (), (), _NO_BILL)
    rows = [Row((Cell("The gateways say"), *(amount(each.gateway_usd) for each in providers)), "group")]
    for cause in found.bills.causes:
        cells = (amount(each.causes[cause]) if cause in each.causes else Cell("") for each in providers)
        rows.append(Row((Cell(in_words(cause, {})), *cells)))
    rows.append(Row((Cell("The providers billed"), *(amount(each.provider_usd) for each in providers)), "total"))
    rows.append(
        Row((Cell("of it unexplained"), *(Cell(percent(each.unexplained_ratio)) for each in providers)), "rest")
    )
    return Table(
        f"Bills of {month_name(found.month)}",
        (Column(""), *(Column(each.provider, True) for each in providers)),
        tuple(rows),
    )


def causes(found: Found) -> Table:
    """What the causes mean."""
    return Table(
        "Causes",
        (Column("Provider"), Column("Cause"), Column("Amount", True), Column("What it means")),
        tuple(
            Row((text(each.provider), text(in_words(each.cause, {})), amount(each.amount_usd), text(each.explanation)))
            for each in found.causes
        ),
    )


def unpriced(found: Found) -> Table:
    """What has no cost, of all time. Models without a price are named: each wants one; of other reasons the size."""
    models = [each for each in found.unpriced if each.reason == "unpriced"]
    rows = [_unpriced(f"{each.provider} / {each.model}", [each]) for each in models[:_MOST_MODELS]]
    if models[_MOST_MODELS:]:
        rows.append(_unpriced(f"{len(models) - _MOST_MODELS:,} more models", models[_MOST_MODELS:]))
    for reason in dict.fromkeys(each.reason for each in found.unpriced if each.reason != "unpriced"):
        of_reason = [each for each in found.unpriced if each.reason == reason]
        rows.append(_unpriced(f"{len(of_reason):,} model{'' if len(of_reason) == 1 else 's'}", of_reason))
    return Table(
        "Without a price",
        (
            Column("Model"),
            Column("Why"),
            Column("Attempts", True),
            Column("Tokens", True),
            Column("Since", is_minor=True, is_short=True),
            Column("Last seen", is_short=True),
            Column("What helps", False, True),
        ),
        tuple(rows),
        "Everything has a price.",
    )


def sources(found: Found) -> Table:
    """How fresh and complete each source is, of all time."""
    rows = [
        Row(
            (
                text(f"{each.source} {each.source_instance}"),
                Cell(moment(each.last_event_at)),
                Cell(age(each.event_age)),
                Cell(moment(each.last_loaded_at)),
                Cell(count(each.attempts)),
                Cell(count(each.duplicate_rows)),
                Cell(count(each.lines_quarantined), tone="warn" if each.lines_quarantined else ""),
                Cell(count(each.attempts_without_usage)),
            )
        )
        for each in found.status.sources
    ]
    return Table(
        "Sources",
        (
            Column("Source"),
            Column("Latest request (UTC)", is_short=True),
            Column("Age", True),
            Column("Loaded (UTC)", is_minor=True, is_short=True),
            Column("Attempts", True),
            Column("Came twice", True, True),
            Column("Could not be read", True),
            Column("Without token counts", True, True),
        ),
        tuple(rows),
    )


def _budget(group: list[Budget]) -> Row:
    fullest = max(group, key=lambda each: (each.used_ratio or Decimal(0), each.start))
    over = sum(each.status == "breached" for each in group)
    near = sum(each.status == "warning" for each in group)
    is_one = len(group) == 1
    return Row(
        (
            text(subject_words(fullest.subject_type, fullest.subject)),
            Cell(percent(fullest.used_ratio), bar=bar(fullest.used_ratio), tone=_STATES[fullest.status][1]),
            Cell(("" if fullest.is_exact else "≥ ") + usd(fullest.spent_usd), exact(fullest.spent_usd)),
            amount(fullest.budget_usd),
            amount(fullest.forecast_usd) if is_one else Cell(""),
            Cell(
                _STATES[fullest.status][0] if is_one else _windows(over, len(group), "period"), tone=_tone(over, near)
            ),
            text(f"{fullest.rule_id} {_period(fullest.unit)}{'' if is_one else f', fullest {day(fullest.start)}'}"),
        )
    )


def _unpriced(name: str, models: Sequence[UnpricedModel]) -> Row:
    tokens = sum(each.tokens for each in models)
    files = {each.seed_file for each in models if each.seed_file}
    return Row(
        (
            text(name),
            text(UNPRICED_REASONS.get(models[0].reason, models[0].reason)),
            Cell(count(sum(each.attempts for each in models))),
            # Nobody counted them: that is not 0.
            Cell(UNKNOWN if models[0].reason in ("no_usage", "unmeasured") and not tokens else count(tokens)),
            Cell(day(min(each.first_seen_at for each in models))),
            Cell(day(max(each.last_seen_at for each in models))),
            text(f"a price in {', '.join(sorted(files))}" if files else "nothing: it was not measured"),
        )
    )


def _fullness(group: list[Budget]) -> Decimal:
    return max(each.used_ratio or Decimal(0) for each in group)


def _statement(name: str, rows: Sequence[Statement], kept: list[int], whole: Decimal | None, kind: str) -> Row:
    pays = _pays(rows)
    return Row(
        (
            text(name),
            amount(pays),
            Cell(percent(ratio(pays, whole))),
            *(amount(_known(each.amounts[place] for each in rows), blank_zero=True) for place in kept),
            Cell(count(sum(each.unpriced_requests for each in rows))),
        ),
        "group" if kind == "group" else "total" if kind == "total" else "",
    )


def _pays(rows: Iterable[Statement]) -> Decimal | None:
    return _known(each.total_usd for each in rows)


def _known(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [each for each in amounts if each is not None]
    return sum(known, Decimal(0)) if known else None


def _quantity(value: Decimal, unit: str | None) -> str:
    return usd(value) if unit is None or unit.startswith("cost") else count(int(value))


def _limit(value: Decimal, unit: str | None) -> str:
    return f"{_quantity(value, unit)} {_period(unit)}".strip()


def _period(unit: str | None) -> str:
    """The unit beside an amount: its `$` says the rest."""
    return unit_words(unit).removeprefix("cost ")


def _windows(over: int, windows: int, name: str) -> str:
    return f"over in {over:,} of {windows:,} {name}{'' if windows == 1 else 's'}" if over else "within"


def _tone(over: int, near: int) -> Tone:
    return "bad" if over else "warn" if near else "good"


def _more(number: int, what: str, columns: int) -> Row:
    return Row((Cell(f"{number:,} more {what}"), *[Cell("")] * (columns - 1)), "rest")
