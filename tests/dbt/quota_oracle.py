"""The rules of quotas once more, in plain Python: slow, one request at a time, and not made from the SQL.

A rule is a row of the seed `quota_rules` (all text); times are naive UTC.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

Rule = Mapping[str, str]
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Request:
    """An attempt. `who` has what it is known by (`user`, `team` … `metadata.<key>`); what it lacks is not there."""

    key: str
    started_at: datetime
    loaded_at: datetime
    who: Mapping[str, str]
    model_id: str | None = None
    is_final: bool = True
    is_cache_hit: bool = False
    is_blocked: bool = False
    is_unmeasured: bool = False
    is_of_record: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None

    @property
    def tokens(self) -> int:
        return (self.input_tokens or 0) + (self.output_tokens or 0)


class Counter(NamedTuple):
    rule_key: str
    subject_type: str
    subject: str
    window_start: datetime


@dataclass
class Window:
    """What a counter counted in one window, in the order of the requests."""

    rule: Rule
    end: datetime | None
    limit: Decimal
    moves: list[tuple[Request, Decimal]] = field(default_factory=list)
    unpriced: list[Request] = field(default_factory=list)

    @property
    def used(self) -> Decimal:
        return sum((amount for _, amount in self.moves), Decimal(0))

    @property
    def status(self) -> str:
        if self.used > self.limit:
            return "breached"
        below = [each for each in self._thresholds() if each < 100]
        return "warning" if self.used > 0 and below and self._reaches(min(below)) else "ok"

    @property
    def threshold_reached(self) -> int | None:
        return max((each for each in self._thresholds() if self.used > 0 and self._reaches(each)), default=None)

    @property
    def is_reliable(self) -> bool:
        match _measure(self.rule):
            case "cost":
                return not self.unpriced
            case "tokens":
                return not self.unmeasured
        return True

    @property
    def blocked(self) -> int:
        return sum(request.is_blocked and request.is_final for request, _ in self.moves)

    @property
    def unmeasured(self) -> int:
        return sum(request.is_unmeasured for request, _ in self.moves)

    def crossing(self) -> tuple[Request, datetime]:
        """The request that crossed the limit, and when enough was loaded to know."""
        in_order = sorted(self.moves, key=lambda move: (move[0].started_at, move[0].key))
        totals = accumulate(amount for _, amount in in_order)
        crossing = next(request for (request, _), used in zip(in_order, totals, strict=True) if used > self.limit)
        loaded = sorted({request.loaded_at for request, _ in self.moves})
        known = (at for at in loaded if sum(a for r, a in self.moves if r.loaded_at <= at) > self.limit)
        return crossing, next(known)

    def _thresholds(self) -> list[int]:
        return [int(each) for each in (self.rule["alert_thresholds"] or "80").split("|")]

    def _reaches(self, percent: int) -> bool:
        return self.used * 100 >= self.limit * percent


def windows(rules: Sequence[Rule], requests: Iterable[Request]) -> dict[Counter, Window]:
    """Every window of a rule with a limit in which a request moved a counter."""
    found: dict[Counter, Window] = {}
    rows: dict[str, list[Rule]] = defaultdict(list)
    for row in rules:
        rows[rule_key(row)].append(row)
    by_set: dict[str, list[list[Rule]]] = defaultdict(list)
    for versions in sorted(rows.values(), key=lambda each: int(each[0]["rule_order"])):
        by_set[versions[0]["rule_set"]].append(versions)
    for request in (each for each in requests if each.is_of_record):
        for versions_of_set in by_set.values():
            for subjects in versions_of_set:
                if not any(_matches(row, request) for row in subjects):
                    continue
                _count(found, subjects, request)
                if subjects[0]["evaluation"] == "first_match":
                    break
    return found


def rule_key(rule: Rule) -> str:
    return f"{rule['rule_set']}|{rule['rule_id']}|{rule['valid_from']}"


def period(window: Window, counter: Counter) -> tuple[datetime, datetime | None]:
    """From when to when the version of the rule counts in a window."""
    start, end = (_midnight(_day(window.rule[each]), window.rule) for each in ("valid_from", "valid_to"))
    assert start
    ends = [each for each in (window.end, end) if each]
    return max(counter.window_start, start), min(ends, default=None)


def known(requests: Sequence[Request]) -> tuple[date, datetime]:
    """The last date with requests, and up to when usage is known: neither is after the newest load."""
    newest = max(request.loaded_at for request in requests)
    dates = (request.started_at.date() for request in requests)
    as_of = max((each for each in dates if each <= newest.date()), default=newest.date())
    return as_of, min(datetime.combine(as_of + DAY, time()), newest)


def forecast(window: Window, counter: Counter, known_to: datetime) -> Fraction | None:
    """What a period will have cost, USD."""
    start, end = period(window, counter)
    if end and end <= known_to:
        return Fraction(window.used)
    if end is None or known_to - start < DAY:
        return None
    return Fraction(window.used) * Fraction((end - start) / DAY) / Fraction((known_to - start) / DAY)


def _count(found: dict[Counter, Window], rows: list[Rule], request: Request) -> None:
    rule = rows[0]
    subject = _subject(rows, request)
    amount = _amount(rule, request)
    limit = None if subject is None else _limit(rule, request)
    if subject is None or amount is None or limit is None:
        return
    start, end = _bounds(rule, request)
    counter = Counter(rule_key(rule), *subject, start)
    window = found.setdefault(counter, Window(rule, end, limit))
    window.moves.append((request, amount))
    if _measure(rule) == "cost" and request.cost is None:
        window.unpriced.append(request)


def _matches(rule: Rule, request: Request) -> bool:
    at = _local(request.started_at, rule)
    first, last = _day(rule["valid_from"]), _day(rule["valid_to"])
    who = rule["subject_type"]
    if (first and at < first) or (last and at >= last) or (who != "*" and request.who.get(who) != rule["subject"]):
        return False
    models = (request.who.get("model"), request.model_id)
    if rule["models"] and not any(_listed(each, rule["models"].split("|")) for each in models):
        return False
    if rule["metadata_key"] and request.who.get(f"metadata.{rule['metadata_key']}") != rule["metadata_value"]:
        return False
    return all(_holds(each, request) for each in rule["conditions"].split(";") if each)


def _holds(condition: str, request: Request) -> bool:
    key, values = condition.split("=", 1)
    wanted = not key.endswith("!")
    name = unquote(key.removesuffix("!"))
    has = [request.who.get(name)] + ([request.model_id] if name == "model" else [])
    return wanted == any(_listed(each, values.split("|")) for each in has)


def _listed(value: str | None, patterns: list[str]) -> bool:
    """A `*` is a wildcard; a percent-encoded character is itself."""
    if value is None:
        return False
    return any(
        re.fullmatch(".*".join(re.escape(unquote(part)) for part in pattern.split("*")), value) for pattern in patterns
    )


def _subject(rows: list[Rule], request: Request) -> tuple[str, str] | None:
    rule = rows[0]
    if not rule["applies_per"]:
        return ("rule", rule["rule_id"]) if len(rows) > 1 else (rule["subject_type"], rule["subject"])
    members = [request.who.get(each) for each in rule["applies_per"].split("|")]
    if None in members:
        return None
    if len(members) == 1:
        return rule["applies_per"], str(members[0])
    return rule["applies_per"], "|".join(str(each).replace("%", "%25").replace("|", "%7C") for each in members)


def _amount(rule: Rule, request: Request) -> Decimal | None:
    match _measure(rule):
        case "requests":
            return Decimal(1) if request.is_final else None
        case "tokens":
            return None if request.is_cache_hit else Decimal(request.tokens)
    return request.cost or Decimal(0)


def _limit(rule: Rule, request: Request) -> Decimal | None:
    overrides = dict(each.split("=") for each in rule["overrides"].split("|") if each)
    member = request.who.get(rule["applies_per"].split("|")[0])
    text = {unquote(name): limit for name, limit in overrides.items()}.get(member or "", rule["limit_to"])
    return Decimal(text) if text else None


def _bounds(rule: Rule, request: Request) -> tuple[datetime, datetime | None]:
    unit = rule["unit"].split("_per_")[1]
    if unit in ("minute", "hour"):
        start = request.started_at.replace(second=0, microsecond=0)
        start = start if unit == "minute" else start.replace(minute=0)
        return start, start + timedelta(**{f"{unit}s": 1})
    day = _local(request.started_at, rule)
    since = _day(rule["valid_from"])
    assert since
    last: date | None
    match unit:
        case "day":
            first, last = day, day + DAY
        case "week":
            first = day - day.weekday() * DAY
            last = first + 7 * DAY
        case "month":
            first = day.replace(day=1)
            last = (first + 31 * DAY).replace(day=1)
        case "quarter":
            first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
            last = (first + 93 * DAY).replace(day=1)
        case "lifetime":
            first, last = since, _day(rule["valid_to"])
        case _:
            length = int(unit.removesuffix("d"))
            first = since + (day - since).days // length * length * DAY
            last = first + length * DAY
    start = _midnight(first, rule)
    assert start
    return start, _midnight(last, rule)


def _measure(rule: Rule) -> str:
    return rule["unit"].split("_per_")[0]


def _zone(rule: Rule) -> ZoneInfo:
    is_short = rule["unit"].endswith(("_minute", "_hour"))
    return ZoneInfo("UTC" if is_short else rule["time_zone"] or "UTC")


def _local(at: datetime, rule: Rule) -> date:
    return at.replace(tzinfo=UTC).astimezone(_zone(rule)).date()


def _midnight(day: date | None, rule: Rule) -> datetime | None:
    if day is None:
        return None
    return datetime.combine(day, time(), _zone(rule)).astimezone(UTC).replace(tzinfo=None)


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
