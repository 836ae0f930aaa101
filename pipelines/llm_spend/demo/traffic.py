"""One day of traffic: what people and services called, through which gateway, and how it went.

Every day has its own random stream, so days can be made in any order and on any process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from llm_spend.demo import incidents
from llm_spend.demo.calls import Attempt, Call, Model, day_start_ms
from llm_spend.demo.gateways import (
    GENERIC_INSTANCE,
    LITELLM,
    LITELLM_INSTANCE,
    PORTKEY,
    PROXY_RELEASED,
    PROXY_UPDATED,
    SELF_HOSTED,
    SOURCES,
    TENANT,
    TRUEFOUNDRY,
    WORKSPACES,
)
from llm_spend.demo.habits import Habits
from llm_spend.demo.incidents import Incident
from llm_spend.demo.models import (
    EMBEDDING,
    GEMINI_FLASH,
    GEMINI_PRO,
    GPT_4_1,
    GPT_4O,
    GPT_4O_DATED,
    GPT_4O_MINI,
    GPT_5_6_SOL,
    GPT_5_MINI,
    HAIKU,
    IN_HOUSE,
    O4_MINI,
    SONNET,
    SONNET_DATED,
)
from llm_spend.demo.organisation import (
    CUSTOMER_FACING,
    FEATURES,
    MOVED_TEAM,
    TEAMS,
    VIRTUAL_ACCOUNTS,
    ApiKey,
    Organisation,
    User,
    Weighted,
    zipf,
)
from llm_spend.demo.pricing import SPLIT_BY_MODALITY, Tokens, cost_units

_SOURCE_WEIGHTS = {PORTKEY: 44, TRUEFOUNDRY: 18, LITELLM: 32, SELF_HOSTED: 6}

_HOURS = Weighted(range(24), (1, 1, 1, 1, 1, 2, 4, 9, 14, 16, 16, 14, 12, 14, 16, 16, 14, 11, 8, 6, 5, 3, 2, 1))
_LAST_START_MS = 86_400_000 - 90_000

_CHAT = zipf(
    (
        GPT_4O_MINI, GPT_4O, HAIKU, SONNET, GEMINI_FLASH, GPT_5_MINI, GPT_4_1, GPT_4O_DATED,
        GEMINI_PRO, O4_MINI, GPT_5_6_SOL, SONNET_DATED,
    ),
    0.55,
)  # fmt: skip
_BACKUPS = (GPT_4O_MINI, HAIKU, GEMINI_FLASH, GPT_5_MINI)
_GENERIC_MODELS = (GPT_4O_MINI, GPT_4O_MINI, GPT_4_1, IN_HOUSE)

_OUTCOMES: dict[str, dict[str, int]] = {
    PORTKEY: {
        "ok": 8800, "fallback": 300, "fallback_exhausted": 30, "stream_without_usage": 160, "error": 150,
        "error_with_usage": 50, "timeout": 70, "blocked_other": 30, "blocked_guardrail": 30,
        "rate_limited": 50, "check_failed": 30, "gateway_zero": 60, "unknown_model": 120, "embedding": 120,
    },
    TRUEFOUNDRY: {
        "ok": 8700, "retry": 200, "fallback": 200, "guardrail": 250, "rate_limited": 60, "error": 100,
        "error_with_usage": 40, "timeout": 50, "stream_without_usage": 100, "gateway_zero": 50,
        "unknown_model": 120, "embedding": 130,
    },
    LITELLM: {
        "ok": 8200, "retry": 250, "fallback": 200, "cache_hit": 600, "blocked_budget": 60, "rate_limited": 50,
        "error": 120, "timeout": 50, "stream_without_usage": 120, "usage_conflict": 25, "gateway_zero": 60,
        "unknown_model": 100, "embedding": 165,
    },
    SELF_HOSTED: {"ok": 9600, "missing_usage": 400},
}  # fmt: skip
_OUTCOME_DRAWS = {source: Weighted(tuple(outcomes), outcomes.values()) for source, outcomes in _OUTCOMES.items()}

_DELIVERIES = Weighted(("once", "duplicate", "overlap", "grown", "late"), (9780, 50, 100, 20, 50))
_ENVIRONMENTS = Weighted(("prod", "staging", "dev"), (76, 14, 10))

_TAG_NAMES: tuple[tuple[str, str, str, str], ...] = (
    ("team", "feature", "customer_id", "environment"),
    ("team_id", "feature_name", "customer", "environment"),
    ("business_unit", "feature_id", "customer_id", "env"),
)
_GENERATIONS = {
    feature: (0, 0, 1, 0, 2)[sum(feature.encode()) % 5] for features in FEATURES.values() for feature in features
}
_TYPOS = ("serach", "Support-EMEA", "plattform", "growth-team")


@dataclass(frozen=True)
class Burst:
    """A runaway script: this share of the day's calls comes from one user or virtual account."""

    share: float
    user: User | None = None
    virtual_account: str | None = None


@dataclass(frozen=True)
class Plan:
    """How much traffic which day has. Deterministic by seed, size and dates."""

    seed: int
    days: tuple[date, ...]
    requests: tuple[int, ...]
    bursts: dict[date, Burst]
    gateways: tuple[str, ...] = SOURCES
    incidents: tuple[Incident, ...] = ()

    @property
    def daily_mean(self) -> float:
        return sum(self.requests) / len(self.requests)


def plan(
    org: Organisation, seed: int, requests: int, last: date, days: int, gateways: tuple[str, ...] = SOURCES
) -> Plan:
    """Spreads exactly `requests` calls over the days: quiet weekends, slow growth, some noise."""
    rng = Random(f"{seed}:plan")
    dates = tuple(last - timedelta(days=back) for back in range(days - 1, -1, -1))
    weights = [
        (0.25 if day.weekday() >= 5 else 1.0) * (1 + 0.4 * index / days) * rng.uniform(0.9, 1.1)
        for index, day in enumerate(dates)
    ]
    scale = requests / sum(weights)
    counts = [int(weight * scale) for weight in weights]
    by_remainder = sorted(range(days), key=lambda index: (counts[index] - weights[index] * scale, index))
    for index in by_remainder[: requests - sum(counts)]:
        counts[index] += 1
    bursts = _bursts(org, rng, dates)
    # What goes wrong takes all gateways to be seen.
    planned = incidents.plan(seed, dates, bursts) if gateways == SOURCES else ()
    return Plan(seed, dates, tuple(counts), bursts, gateways, planned)


def _bursts(org: Organisation, rng: Random, dates: Sequence[date]) -> dict[date, Burst]:
    """A few runaway days: two people of ordinary teams, one of the support team, one nightly job."""
    free = [user for user in org.users if user.teams[0][1] in {"platform", "sales-ops", "marketing"}]
    limited = [user for user in org.users if user.teams == ((user.joined, "support-emea"),)]
    workdays = [day for day in dates if day.weekday() < 5] or list(dates)
    chosen = rng.sample(workdays, min(7, len(workdays)))
    kinds = (
        Burst(0.35, user=free[0]),
        Burst(0.30, user=limited[0]),
        Burst(0.12, virtual_account="nightly-batch"),
        Burst(0.40, user=free[1]),
        Burst(0.15, virtual_account="nightly-batch"),
        Burst(0.30, user=limited[1]),
        Burst(0.30, user=free[0]),
    )
    return dict(zip(chosen, kinds, strict=False))


def labels(plan: Plan) -> list[Incident]:
    """Everything that a watch over the marts has to notice, by day."""
    bursts = []
    for day, burst in plan.bursts.items():
        if _gateway_of(burst) not in plan.gateways:
            continue
        if burst.user is None:
            account = burst.virtual_account or ""
            what = f"{burst.share:.0%} of the day's calls come from one virtual account's job"
            also = (("cost_spike", "team", VIRTUAL_ACCOUNTS[account]),)
            bursts.append(Incident("cost_spike", "api_key", account, (day,), what, also))
            continue
        what = f"{burst.share:.0%} of the day's calls come from one person's script"
        team = burst.user.team_on(day)
        bursts.append(
            Incident("cost_spike", "user", burst.user.user_id, (day,), what, (("cost_spike", "team", team),), 5_000)
        )
    return sorted([*bursts, *plan.incidents], key=lambda incident: incident.days)


def _gateway_of(burst: Burst) -> str:
    return TRUEFOUNDRY if burst.virtual_account else PORTKEY


class Day:
    """Makes the calls of one day."""

    def __init__(self, plan: Plan, org: Organisation, index: int) -> None:
        self.day = plan.days[index]
        self.index = index
        self.org = org
        self.count = plan.requests[index]
        self.sources = Weighted(plan.gateways, [_SOURCE_WEIGHTS[gateway] for gateway in plan.gateways])
        self.burst = plan.bursts.get(self.day)
        if self.burst is not None and _gateway_of(self.burst) not in plan.gateways:
            self.burst = None
        self.rng = Random(f"{plan.seed}:{self.day.isoformat()}")
        self.habits = Habits(plan.seed, self.day, plan.incidents, org.keys[0])
        self.start_ms = day_start_ms(self.day)
        self.release = f"{self.day.year}.{self.day.isocalendar().week:02d}"
        self.is_last = {back: index + back >= len(plan.days) for back in (1, 3)}
        self.forced = {source: False for source in SOURCES}

    def calls(self) -> list[Call]:
        """All calls of the day, ordered by source and by time."""
        made = [self._call() for _ in range(self.count)]
        made.sort(key=lambda call: (call.source, call.attempts[0].started_ms, call.attempts[0].record_id))
        return made

    def _call(self) -> Call:
        rng = self.rng
        burst = self.burst if self.burst is not None and rng.random() < self.burst.share else None
        source = _gateway_of(burst) if burst else self.sources.draw(rng)
        call = Call(
            source=source,
            instance="",
            day=self.day,
            outcome=self._outcome(source),
            trace_id=f"{rng.getrandbits(128):032x}",
            attempts=[],
            is_stream=rng.random() < 0.45,
            style=rng.random(),
        )
        self._describe(call, burst)
        self.habits.describe(call)
        self._attempt(call)
        self.habits.finish(call)
        self._deliver(call)
        return call

    def _outcome(self, source: str) -> str:
        if not self.forced[source]:
            # One call a day walks through the list, so that small sizes have every sort of dirt too.
            self.forced[source] = True
            outcomes = list(_OUTCOMES[source])
            return outcomes[self.index % len(outcomes)]
        return _OUTCOME_DRAWS[source].draw(self.rng)

    # --- who ------------------------------------------------------------------------------------------

    def _describe(self, call: Call, burst: Burst | None) -> None:
        rng = self.rng
        user = burst.user if burst is not None and burst.user is not None else self.org.draw_user(rng, self.day)
        match call.source:
            case "portkey":
                self._through_portkey(call, user, burst)
            case "truefoundry":
                self._through_truefoundry(call, user, burst)
            case "litellm":
                self._through_litellm(call, user)
            case _:
                self._through_self_hosted(call, user)

    def _through_portkey(self, call: Call, user: User, burst: Burst | None) -> None:
        team = user.team_on(self.day)
        call.instance = WORKSPACES[0] if team in CUSTOMER_FACING or team == MOVED_TEAM else WORKSPACES[1]
        generation = self._tag(call, team, keep_team=0.8)
        if burst is not None or self.rng.random() < 0.93:
            call.user_key = ("_user", "user", "user_id")[generation]
            call.tagged_user = user.user_id
        if call.environment is not None and generation == 0:
            call.tags["_environment"] = call.tags.pop("environment")

    def _through_truefoundry(self, call: Call, user: User, burst: Burst | None) -> None:
        call.instance = TENANT
        rng = self.rng
        account = burst.virtual_account if burst is not None else None
        if account is None and rng.random() < 0.12:
            account = rng.choice(tuple(VIRTUAL_ACCOUNTS))
        if account is not None:
            call.virtual_account = account
            call.gateway_teams = (VIRTUAL_ACCOUNTS[account],)
            self._tag(call, VIRTUAL_ACCOUNTS[account], keep_team=0.3)
        else:
            team = user.team_on(self.day)
            call.gateway_user = user.user_id
            if rng.random() < 0.1:
                call.gateway_teams = (team, rng.choice([other for other in TEAMS if other != team]))
            elif rng.random() < 0.9:
                call.gateway_teams = (team,)
            self._tag(call, team, keep_team=0.3)
        if len(call.gateway_teams) == 1:
            call.gateway_team = call.gateway_teams[0]

    def _through_litellm(self, call: Call, user: User) -> None:
        call.instance = LITELLM_INSTANCE
        rng = self.rng
        key: ApiKey = self.org.key_draw.draw(rng)
        call.key = key
        call.gateway_user, call.gateway_team = key.gateway_user, key.gateway_team
        if key.gateway_user is None and rng.random() < 0.4:
            call.end_user = user.user_id
            call.gateway_user = user.user_id
        team = key.gateway_team or user.team_on(self.day)
        self._tag(call, team, keep_team=0.4)
        if rng.random() < 0.15:
            call.user_key, call.tagged_user = "user_id", user.user_id

    def _through_self_hosted(self, call: Call, user: User) -> None:
        call.instance = GENERIC_INSTANCE
        self._tag(call, user.team_on(self.day), keep_team=0.85, generation=0)
        if self.rng.random() < 0.9:
            call.user_key, call.tagged_user = "user", user.user_id

    def _tag(self, call: Call, team: str, keep_team: float, generation: int | None = None) -> int:
        """Adds team, feature, customer, environment and free tags. Returns the generation of tag names."""
        rng = self.rng
        feature = rng.choice(FEATURES[team])
        if generation is None:
            # All code of one feature follows one convention, as the team that wrote it learned it.
            generation = _GENERATIONS[feature]
        names = _TAG_NAMES[generation]
        if rng.random() < keep_team:
            call.tagged_team = rng.choice(_TYPOS) if rng.random() < 0.008 else team
            call.tags[names[0]] = call.tagged_team
        elif rng.random() < 0.1:
            call.tags[names[0]] = ""
        if rng.random() < 0.93:
            call.feature = feature
            call.tags[names[1]] = feature
        if team in CUSTOMER_FACING and rng.random() < 0.9:
            customer = self.org.customer_draw.draw(rng)
            if rng.random() < 0.03:
                call.tags[names[2]] = ""
            else:
                call.customer = customer.customer_id
                call.tags[names[2]] = customer.customer_id
                if names[2] == "customer_id":
                    call.tags["plan"] = customer.plan
        if rng.random() < 0.92:
            call.environment = _ENVIRONMENTS.draw(rng)
            call.tags[names[3]] = call.environment
        if rng.random() < 0.3:
            call.tags["release"] = self.release
        if rng.random() < 0.006:
            call.tags["session_note"] = (f"{feature} session {rng.randrange(5)} " + "long-note-" * 20)[:128]
        return generation

    # --- how it went ----------------------------------------------------------------------------------

    def _attempt(self, call: Call) -> None:
        rng = self.rng
        hour = _HOURS.draw(rng)
        if call.virtual_account == "nightly-batch":
            hour = rng.choice((1, 2, 3))
        offset = min(hour * 3_600_000 + rng.randrange(3_600_000), _LAST_START_MS)
        call.has_trace = rng.random() < 0.9 or call.outcome in {"retry", "fallback"}
        _STORIES.get(call.outcome, _single)(self, call, self.start_ms + offset)
        if call.outcome == "embedding":
            call.is_stream = False
        last = max(call.attempts, key=lambda attempt: attempt.started_ms)
        last.is_final = True

    def model(self, call: Call) -> Model:
        rng = self.rng
        if call.source == SELF_HOSTED:
            return rng.choice(_GENERIC_MODELS[:3] if call.outcome == "missing_usage" else _GENERIC_MODELS)
        match call.outcome:
            case "unknown_model":
                return IN_HOUSE
            case "embedding":
                return EMBEDDING
            case "usage_conflict":
                return SONNET
            case _:
                return _CHAT.draw(rng)

    def tokens(self, call: Call, model: Model) -> Tokens:
        """Usage of a success. Only gateways that report cache buckets get them."""
        rng = self.rng
        size = max(1, min(int(rng.lognormvariate(model.input_size, 0.9)), 150_000))
        if model is GEMINI_PRO and rng.random() < 0.02:
            size = rng.randrange(200_001, 420_000)
        if model.kind == "embedding":
            return Tokens(size, 0)
        output = max(1, min(int(rng.lognormvariate(model.output_size, 0.8)), 16_000))
        reasoning = output * rng.randrange(20, 70) // 100 if model in (O4_MINI, GPT_5_MINI) else 0
        read = write_5m = write_1h = 0
        can_cache = call.source in (TRUEFOUNDRY, LITELLM) and model.model_id not in (None, "gpt-5.6-sol")
        if can_cache and rng.random() < 0.35:
            read = size * rng.randrange(10, 90) // 100
            if model.provider == "anthropic" and rng.random() < 0.5:
                write_5m = (size - read) * rng.randrange(20, 90) // 100
                if call.source == LITELLM and rng.random() < 0.4:
                    write_1h = write_5m * rng.randrange(10, 100) // 100
                    write_5m -= write_1h
        return Tokens(size, output, read, write_5m, write_1h, reasoning)

    def record_id(self, call: Call) -> str:
        rng = self.rng
        if call.source == TRUEFOUNDRY:
            return f"{rng.getrandbits(64):016x}"
        if call.source == SELF_HOSTED:
            return f"job-{rng.getrandbits(64):016x}"
        bits = f"{rng.getrandbits(128):032x}"
        if call.source == LITELLM:
            return f"chatcmpl-{bits}"
        return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"

    def served(self, call: Call, started_ms: int, model: Model) -> Attempt:
        """A priced (or unpriced) success."""
        attempt = self.blank(call, started_ms, model)
        attempt.tokens = self.tokens(call, model)
        if call.outcome == "usage_conflict":
            attempt.tokens = Tokens(5000 + self.rng.randrange(1000), 200, 0, 1000 + self.rng.randrange(500), 0)
            attempt.conflicting_1h = attempt.tokens.cache_write + 100
            attempt.price_status, attempt.gateway_cost = "usage_conflict", 0
            return attempt
        self.habits.shape(call, attempt)
        settle(attempt, call)
        if call.outcome == "gateway_zero":
            attempt.gateway_cost = 0
        return attempt

    def refused(self, call: Call, started_ms: int, model: Model, status: str, http: int, error: str) -> Attempt:
        """An attempt that consumed nothing."""
        attempt = self.blank(call, started_ms, model)
        refuse(attempt, call, status, http, error)
        return attempt

    def waste(self, call: Call) -> None:
        """Now and then the first attempt was answered, and paid, before something failed."""
        first, last = call.attempts[0], call.attempts[-1]
        if last.tokens is None or not self.habits.is_paid_in_vain(call):
            return
        first.status, first.http_status, first.error_type = "error", 500, "InternalServerError"
        first.tokens = Tokens(last.tokens.input, 1 + last.tokens.output // 3)
        settle(first, call)

    def blank(self, call: Call, started_ms: int, model: Model) -> Attempt:
        latency = 80 + int(self.rng.lognormvariate(6.8, 0.7))
        return Attempt(self.record_id(call), started_ms, min(latency, 45_000), model)

    # --- how it reaches the files ---------------------------------------------------------------------

    def _deliver(self, call: Call) -> None:
        delivery = _DELIVERIES.draw(self.rng)
        if call.source == SELF_HOSTED:
            delivery = delivery if delivery == "duplicate" else "once"
        if delivery == "grown" and not (call.source == PORTKEY and call.outcome == "ok"):
            delivery = "overlap"
        if (delivery in ("overlap", "grown") and self.is_last[1]) or (delivery == "late" and self.is_last[3]):
            delivery = "once"
        call.delivery = delivery


def refuse(attempt: Attempt, call: Call, status: str, http: int, error: str) -> None:
    """Makes an attempt one that consumed nothing."""
    attempt.status, attempt.http_status, attempt.error_type = status, http, error
    attempt.tokens, attempt.price_status, attempt.cost = None, "not_billed", 0
    attempt.gateway_cost = None if call.source == TRUEFOUNDRY else 0


def settle(attempt: Attempt, call: Call) -> None:
    """Prices an attempt that has tokens, and decides what the gateway says that it cost."""
    tokens = attempt.tokens
    if tokens is None or attempt.model.model_id is None:
        attempt.price_status, attempt.cost = "unpriced", None
        attempt.gateway_cost = None if call.source == SELF_HOSTED else 0
        return
    attempt.price_status = "parent_unit" if attempt.model.model_id in SPLIT_BY_MODALITY else "priced"
    attempt.cost = cost_units(attempt.model.model_id, call.day, tokens)
    attempt.gateway_cost = attempt.cost
    if call.source == LITELLM and call.day < PROXY_UPDATED:
        # Its price list is that of its release.
        attempt.gateway_cost = cost_units(attempt.model.model_id, PROXY_RELEASED, tokens)
    if call.source == TRUEFOUNDRY:
        # This gateway knows no cache prices and charges every input token alike.
        plain = Tokens(tokens.input, tokens.output)
        attempt.gateway_cost = cost_units(attempt.model.model_id, call.day, plain)
    if call.source == SELF_HOSTED:
        attempt.gateway_cost = None


Story = Callable[[Day, Call, int], None]


def _single(day: Day, call: Call, at: int) -> None:
    attempt = day.served(call, at, day.model(call))
    if day.habits.is_failing(call, attempt):
        call.outcome = "error"
        refuse(attempt, call, "error", 529, "OverloadedError")
    call.attempts = [attempt]


def _refusal(status: str, http: int, error: str) -> Story:
    def story(day: Day, call: Call, at: int) -> None:
        call.attempts = [day.refused(call, at, day.model(call), status, http, error)]

    return story


def _retry(day: Day, call: Call, at: int) -> None:
    model = day.model(call)
    failures = 1 + (day.rng.random() < 0.3)
    for number in range(failures):
        call.attempts.append(day.refused(call, at + number * 1_700, model, "error", 500, "InternalServerError"))
    call.attempts.append(day.served(call, at + failures * 1_700 + 311, model))
    day.waste(call)


def _fallback(day: Day, call: Call, at: int) -> None:
    model = day.model(call)
    first = day.refused(call, at, model, "blocked_rate_limit", 429, "RateLimitError")
    backup = day.rng.choice([other for other in _BACKUPS if other.model_id != model.model_id])
    call.attempts = [first]
    if call.outcome == "fallback_exhausted":
        call.attempts.append(day.refused(call, at + 900, backup, "error", 503, "ServiceUnavailableError"))
    else:
        call.attempts.append(day.served(call, at + 900, backup))
        day.waste(call)


def _error_with_usage(day: Day, call: Call, at: int) -> None:
    attempt = day.served(call, at, day.model(call))
    attempt.status, attempt.http_status, attempt.error_type = "error", 500, "InternalServerError"
    call.attempts = [attempt]


def _timeout(day: Day, call: Call, at: int) -> None:
    http = 408 if day.rng.random() < 0.3 else 504
    attempt = day.refused(call, at, day.model(call), "error", http, "Timeout")
    attempt.price_status, attempt.cost, attempt.latency_ms = "unmeasured", None, 60_000
    call.attempts = [attempt]


def _without_usage(day: Day, call: Call, at: int) -> None:
    attempt = day.blank(call, at, day.model(call))
    attempt.price_status, attempt.cost = "no_usage", None
    attempt.gateway_cost = None if call.source in (TRUEFOUNDRY, SELF_HOSTED) else 0
    call.is_stream = call.source != SELF_HOSTED
    call.attempts = [attempt]


def _cache_hit(day: Day, call: Call, at: int) -> None:
    attempt = day.blank(call, at, day.model(call))
    attempt.tokens = day.tokens(call, attempt.model)
    attempt.is_cache_hit, attempt.latency_ms = True, 20
    attempt.price_status, attempt.cost, attempt.gateway_cost = "cache_hit", 0, 0
    attempt.record_id += f"_cache_hit{attempt.started_ms / 1000}"
    call.attempts = [attempt]


def _check_failed(day: Day, call: Call, at: int) -> None:
    _single(day, call, at)
    call.attempts[0].http_status = 246


_STORIES: dict[str, Story] = {
    "retry": _retry,
    "fallback": _fallback,
    "fallback_exhausted": _fallback,
    "error": _refusal("error", 500, "InternalServerError"),
    "error_with_usage": _error_with_usage,
    "timeout": _timeout,
    "stream_without_usage": _without_usage,
    "missing_usage": _without_usage,
    "blocked_other": _refusal("blocked_other", 412, "usage_limits_policy_exhaust_error"),
    "blocked_guardrail": _refusal("blocked_guardrail", 446, "hooks_failed"),
    "blocked_budget": _refusal("blocked_budget", 422, "BudgetExceededError"),
    "rate_limited": _refusal("blocked_rate_limit", 429, "RateLimitError"),
    "cache_hit": _cache_hit,
    "check_failed": _check_failed,
}
