"""Quota rules of LiteLLM's rows and config.

Facts of the proxy (its code and pages): amounts are US dollars; `1d` and `24h` end at midnight, `7d` and `1w` on
Monday, `30d` and `1mo` on the first of a month, in the time zone of the config; other days are counted from when they
were set; a budget without a duration never ends. What a row says itself wins over the budget that it shares, and every
limit that matches must allow a request. A soft budget only warns. A member's rates are those of the budget of the
membership, so who has a budget of his own without rates has none; without an amount, the team's default holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from llm_spend.rules import remarks
from llm_spend.rules.litellm import (
    KINDS,
    OTHER_KINDS,
    UNCOUNTED,
    Budget,
    LiteLLMFile,
    Membership,
    ModelTerms,
    Owner,
    Team,
    Terms,
)
from llm_spend.rules.quota import Condition, Enforcement, Evaluation, QuotaRule, narrowed, zone_of_windows
from llm_spend.rules.remarks import Note, Remark, Unkept
from llm_spend.rules.yaml_lines import YamlPath

_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d"}
_WINDOWS = {
    "60s": "minute", "1m": "minute", "60m": "hour", "1h": "hour", "24h": "day", "1d": "day", "7d": "week", "1w": "week",
    "30d": "month", "1mo": "month",
}  # fmt: skip
_RATES = (("rpm_limit", "requests_per_minute"), ("tpm_limit", "tokens_per_minute"), ("tpd_limit", "tokens_per_day"))
_OWN_TERMS = ("max_budget", "soft_budget", "model_max_budget", *(name for name, _ in _RATES))
_MOST_DAYS = 9999
_NOT_COUNTED_SETTINGS = (
    "max_internal_user_budget", "max_end_user_budget", "max_end_user_budget_id", "tag_budget_config",
    "provider_budget_config",
)  # fmt: skip


class _Holder(NamedTuple):
    """Who is limited by a row: `who` are the conditions that say it."""

    path: YamlPath
    kind: str
    label: str
    who: tuple[Condition, ...]
    row: Owner
    per: tuple[str, ...] = ()


class _Limit(NamedTuple):
    """One limit of a holder. `unit`: None where its duration is none that can be kept."""

    holder: _Holder
    path: YamlPath
    name: str
    unit: str | None
    amount: Decimal
    duration: str | None = None
    model: str | None = None
    thresholds: tuple[Decimal, ...] = ()
    enforcement: Enforcement = ""

    @property
    def rule_id(self) -> str:
        return f"{self.holder.label} {self.name}{f' {self.model}' if self.model else ''}".strip()


def rules(file: LiteLLMFile, evaluation: Evaluation) -> list[QuotaRule]:
    orders: Counter[str] = Counter()
    made = []
    for limit in _limits(file):
        if limit.unit is None:
            continue
        rule_set = f"litellm/{limit.holder.kind}"
        orders[rule_set] += 1
        base = QuotaRule(
            rule_set=rule_set,
            rule_id=limit.rule_id,
            order=orders[rule_set],
            evaluation=evaluation,
            unit=limit.unit,
            limit_to=limit.amount,
            applies_per=limit.holder.per,
            time_zone=zone_of_windows(limit.unit, file.litellm_settings.timezone),
            enforcement=limit.enforcement,
            alert_thresholds=remarks.whole_percents(limit.thresholds),
        )
        of_model = (Condition("model", (limit.model,)),) if limit.model else ()
        made.append(narrowed(base, (*limit.holder.who, *of_model)))
    return made


def rule_sets(file: LiteLLMFile) -> tuple[str, ...]:
    """The kinds of owners of which a file has all: those that it lists, even if nobody is limited."""
    kinds = ["proxy"] if file.litellm_settings.is_config else []
    return tuple(f"litellm/{kind}" for kind in [*kinds, *(kind for kind in KINDS if kind in file.model_fields_set)])


def _holders(file: LiteLLMFile) -> Iterator[_Holder]:
    teams = {team.team_id: team.name for team in file.teams}
    for index, key in enumerate(file.keys):
        of_key = (Condition("api_key", (key.token,)),)
        yield _Holder(("keys", index), "keys", key.key_alias or key.token, of_key, key)
    for index, team in enumerate(file.teams):
        of_team = (Condition("team", (team.name,)),)
        yield _Holder(("teams", index), "teams", team.name, of_team, team)
    # Requests of an end user are his: the owner of the key counts where there is none.
    for kind, rows in (("users", file.users), ("customers", file.customers)):
        for index, user in enumerate(rows):
            yield _Holder((kind, index), kind, user.user_id, (Condition("user", (user.user_id,)),), user)
    for index, row in enumerate(file.team_memberships):
        team_name = teams.get(row.team_id, row.team_id)
        who = (Condition("user", (row.user_id,)), Condition("team", (team_name,)))
        yield _Holder(("team_memberships", index), "team_memberships", f"{row.user_id} in {team_name}", who, row)


def _limits(file: LiteLLMFile) -> Iterator[_Limit]:
    settings = file.litellm_settings
    # To the proxy 0 is no budget; to everyone else it is a budget of nothing.
    if settings.max_budget:
        proxy = _Holder(("litellm_settings",), "proxy", "proxy", (), Owner())
        yield _budget(proxy, "max_budget", settings.max_budget, settings.budget_duration)
    shared = {budget.budget_id: budget for budget in file.budgets}
    for holder in _holders(file):
        yield from _limits_of(holder, shared)
        if isinstance(holder.row, Team):
            yield from _limits_of_members(holder, holder.row, file.team_memberships, shared)


def _term(row: Owner, shared: Mapping[str, Budget], name: str) -> Any:
    """What a row says itself, or else the budget that it has."""
    sources = [row, row.litellm_budget_table, shared.get(row.budget_id or "")]
    values = (getattr(source, name) for source in sources if source is not None)
    return next((value for value in values if value is not None), None)


def _limits_of(holder: _Holder, shared: Mapping[str, Budget]) -> Iterator[_Limit]:
    row = holder.row

    def term(name: str) -> Any:
        return _term(row, shared, name)

    most, soft, duration = term("max_budget"), term("soft_budget"), term("budget_duration")
    if most is not None:
        thresholds = (soft * 100 / most,) if soft and most else ()
        yield _budget(holder, "max_budget", most, duration, thresholds=thresholds)
    elif soft is not None:
        yield _budget(holder, "soft_budget", soft, duration, enforcement="audit")
    for name, unit in _RATES:
        if (rate := term(name)) is not None:
            yield _Limit(holder, (*holder.path, name), name, unit, Decimal(rate))
    for model, terms in (term("model_max_budget") or {}).items():
        yield from _limits_of_model(holder, model, terms)
    for index, window in enumerate(row.budget_limits or ()):
        if window.max_budget is not None:
            path = (*holder.path, "budget_limits", index)
            name = f"max_budget {window.budget_duration or ''}".strip()
            yield _budget(holder, name, window.max_budget, window.budget_duration, path=path)


def _limits_of_model(holder: _Holder, model: str, terms: ModelTerms) -> Iterator[_Limit]:
    path: YamlPath = (*holder.path, "model_max_budget", model)
    if terms.max_budget is not None:
        yield _budget(holder, "max_budget", terms.max_budget, terms.budget_duration, path=path, model=model)
    for name, unit in _RATES[:2]:
        if (rate := getattr(terms, name)) is not None:
            yield _Limit(holder, (*path, name), name, unit, Decimal(rate), model=model)


def _limits_of_members(
    holder: _Holder, team: Team, memberships: Sequence[Membership], shared: Mapping[str, Budget]
) -> Iterator[_Limit]:
    """What each member of a team may use in it who has no such limit of his own."""
    of_team = [row for row in memberships if row.team_id == team.team_id]

    def each(*names: str) -> _Holder:
        own = tuple(row.user_id for row in of_team if any(_term(row, shared, name) is not None for name in names))
        others = (Condition("user", own, excludes=True),) if own else ()
        return holder._replace(who=(*holder.who, *others), per=("user",))

    if team.team_member_budget is not None:
        duration = team.team_member_budget_duration
        name = "team_member_budget"
        yield _budget(each("max_budget"), name, team.team_member_budget, duration)
    for name, unit in _RATES[:2]:
        if (rate := getattr(team, f"team_member_{name}")) is not None:
            yield _Limit(
                each(*_OWN_TERMS), (*holder.path, f"team_member_{name}"), f"team_member_{name}", unit, Decimal(rate)
            )


def _budget(
    holder: _Holder, name: str, amount: Decimal, duration: str | None, path: YamlPath = (), **others: Any
) -> _Limit:
    window = _window(duration)
    unit = f"cost_per_{window}" if window else None
    return _Limit(holder, path or (*holder.path, name), name, unit, amount, duration, **others)


def _window(duration: str | None) -> str | None:
    """The window of a `budget_duration`; None where it is none that can be kept."""
    text = (duration or "").strip().lower()
    if text in ("", "none", "null"):
        return "lifetime"
    text = _WORDS.get(text, text)
    if text in _WINDOWS:
        return _WINDOWS[text]
    found = re.fullmatch(r"([1-9]\d*)([dw])", text, re.ASCII)
    days = int(found[1]) * (7 if found[2] == "w" else 1) if found else 0
    return f"{days}d" if 0 < days <= _MOST_DAYS else None


def said(file: LiteLLMFile) -> Iterator[Remark]:
    limits = list(_limits(file))
    yield from _said_of_settings(file)
    yield from _said_of_answer(file)
    yield from _said_of_rows(file)
    yield from _said_of_people(file, limits)
    seen: set[tuple[str, str]] = set()
    for limit in limits:
        yield from _said_of_limit(limit)
        identity = (limit.holder.kind, limit.rule_id)
        if identity in seen:
            message = f"{limit.rule_id!r} is there twice: requests can't tell the two apart; leave one of them out"
            yield Unkept(limit.path, message)
        seen.add(identity)
    if not limits:
        message = "limits nothing: no key, team, user or customer in it has a budget or a rate limit"
        yield Note((), message) if rule_sets(file) else Unkept((), message)


def _said_of_limit(limit: _Limit) -> Iterator[Remark]:
    if limit.unit is None:
        message = f"begins anew every {limit.duration}; a quota counts 1m, 1h, days, weeks and 1mo: leave it out"
        yield Unkept(limit.path, message)
        return
    yield from remarks.of_amount(limit.path, limit.unit, limit.amount)
    yield from remarks.of_thresholds(limit.path, limit.thresholds)
    if limit.name == "tpd_limit":
        yield Note(limit.path, "the proxy counts batches only; here it counts all tokens of a day")
    if re.search(r"_\d+d$", limit.unit):
        yield Note(
            limit.path,
            f"its {limit.duration} are counted from the date from which the rule holds here: to have the proxy's,"
            " import with --valid-from on a day on which one of its begins (`budget_reset_at`)",
        )


def _said_of_settings(file: LiteLLMFile) -> Iterator[Remark]:
    settings = file.litellm_settings
    if settings.max_budget == 0:
        yield Note(("litellm_settings", "max_budget"), "is 0, which is no budget to the proxy: left out")
    if settings.budget_reset_time and not re.fullmatch(r"0?0:00(:00)?", settings.budget_reset_time):
        path: YamlPath = ("litellm_settings", "budget_reset_time")
        yield Unkept(path, f"is {settings.budget_reset_time!r}; a quota's day begins at midnight: leave it out")
    for part, config in (("litellm_settings", settings), ("router_settings", file.router_settings)):
        for name, value in (config.model_extra or {}).items():
            if name in _NOT_COUNTED_SETTINGS and value:
                message = "can't be told from a request; leave it out to import the rest"
                yield Unkept((part, name), message)


def _said_of_answer(file: LiteLLMFile) -> Iterator[Remark]:
    """Of lists that are not the whole of their kind."""
    longest = max(len(getattr(file, kind)) for kind in (*KINDS, *OTHER_KINDS, "budgets"))
    total = file.total if file.total_count is None else file.total_count
    yield from remarks.of_pages(longest, total, file.total_pages)
    for name in ("user_info", "team_info", "user_id", "team_id"):
        if getattr(file, name) is not None:
            message = (
                f"is one {name[:4]}'s answer, which has only what is theirs: export the whole lists"
                " (/key/list?return_full_object=true, /team/list, /user/list)"
            )
            yield Unkept((name,), message)
            return


def _said_of_people(file: LiteLLMFile, limits: Sequence[_Limit]) -> Iterator[Remark]:
    """Of limits whose people requests may name otherwise."""
    kinds = {limit.holder.kind for limit in limits}
    if "users" in kinds:
        yield Note(
            ("users",),
            "are counted by the `user` of a request, which is the end user where the log has one; the proxy counts the"
            " owner of the key, and not for keys of a team",
        )
    teams = {team.team_id for team in file.teams}
    places = {limit.holder.path: limit.holder.row for limit in limits}
    for path, row in places.items():
        if isinstance(row, Membership) and row.team_id not in teams:
            message = (
                f"its team {row.team_id!r} is not among `teams`: where the team has an alias, requests have that,"
                " and this matches nothing; list the team as well"
            )
            yield Note(path, message)


def _said_of_rows(file: LiteLLMFile) -> Iterator[Remark]:
    used = {holder.row.budget_id for holder in _holders(file)}
    for index, budget in enumerate(file.budgets):
        if budget.budget_id not in used:
            yield Note(("budgets", index), f"{budget.budget_id!r} is nobody's in this file: left out")
    rows: list[tuple[YamlPath, Terms]] = [(("budgets", index), budget) for index, budget in enumerate(file.budgets)]
    for holder in _holders(file):
        rows.append((holder.path, holder.row))
        if table := holder.row.litellm_budget_table:
            rows.append(((*holder.path, "litellm_budget_table"), table))
    for path, row in rows:
        for part in row.unknown_limits:
            yield Unkept((*path, *part), "can't be kept; leave it out to import the rest")
        if row.temp_budget_increase:
            message = "is a rise that ends; add it to max_budget, and import again without it when it has ended"
            yield Unkept((*path, "temp_budget_increase"), message)
        if (row.model_extra or {}).get(UNCOUNTED):
            yield Note((*path, UNCOUNTED), "is left out: logs don't tell how many run at once")
    for kind in OTHER_KINDS:
        for index, row in enumerate(getattr(file, kind)):
            if any(getattr(row, name) is not None for name in ("max_budget", "soft_budget", "budget_id", "rpm_limit")):
                yield Unkept((kind, index), f"requests don't tell their {kind[:-1]}; leave it out")
