"""Costs of random requests: as the fact prices them, as genai-prices does, and as an oracle over the seeds does.

Every model of every generated provider, at times around each change of its prices. Where a hand-written seed (an
override, an alias, a multiplier) has a say, the data set is not asked; the oracle always is. The random seed is printed
when a test fails; LLM_SPEND_RANDOM_SEED sets it.
"""

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import pytest

from tests.dbt.price_oracle import Oracle, UnitPrice, to_12_digits
from tests.dbt.price_project import (
    BESIDE_TOKENS,
    BUCKETS,
    CLASSES,
    MEMOS,
    PARTS,
    PROJECT,
    Priced,
    PriceProject,
    Request,
)

pytestmark = pytest.mark.slow

data = pytest.importorskip("genai_prices.data")

RANDOM_SEED = int(os.environ.get("LLM_SPEND_RANDOM_SEED") or random.SystemRandom().randrange(10**6))
CASES = 24_000

# What a variant's condition is called in the seeds.
TIERS = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}


@dataclass(frozen=True)
class Case(Request):
    model_id: str = ""
    """Of the data set; alias overrides may mean another one."""
    context: tuple[tuple[str, str], ...] = ()
    """What the data set calls the tier."""


class Generator:
    def __init__(self, oracle: Oracle, rng: random.Random) -> None:
        self.oracle = oracle
        self.rng = rng
        self.providers = {provider.id: provider for provider in data.providers}
        self.channels = sorted({channel for channel, _ in oracle.cells} & set(self.providers))
        self.without_name: list[tuple[str, str]] = []

    def models(self) -> Iterator[tuple[str, Any]]:
        """(channel, model): a channel's own, and a few that it resells."""
        for channel in self.channels:
            provider = self.providers[channel]
            yield from ((channel, model) for model in provider.models)
            for fallback in provider.fallback_model_providers or ():
                if fallback in self.channels:
                    # Where both list a model, the price is that of the one who bills; upstream takes the name's.
                    own = {model.id for model in provider.models}
                    resold = [model for model in self.providers[fallback].models if model.id not in own]
                    yield from ((channel, model) for model in self.rng.sample(resold, min(8, len(resold))))

    def cases(self) -> Iterator[Case]:
        named = []
        for channel, model in self.models():
            names = self._names(channel, model)
            if names:
                named.append((channel, model, names))
            else:
                self.without_name.append((channel, model.id))
        number = 0
        while number < CASES:
            for channel, model, names in named:
                number += 1
                yield self._case(number, channel, model, self.rng.choice(names))

    def _names(self, channel: str, model: Any) -> list[str]:
        """Names that upstream takes for the model: its id, and what is in its patterns."""
        candidates = [model.id, *_patterns(model.match)]
        provider = self.providers[channel]
        found = {name.lower(): provider.find_model(name, all_providers=data.providers) for name in candidates}
        return sorted(name for name, meant in found.items() if meant is model and not name.startswith("ft:gpt-4-0"))

    def _case(self, number: int, channel: str, model: Any, name: str) -> Case:
        at = self._instant(channel, model)
        variants = [variant.when for variant in model.price_variants or () if _tier(variant.when)]
        context = tuple(self.rng.choice(variants).items()) if variants and self.rng.random() < 0.6 else ()
        tier = _tier(dict(context)) or "standard"
        # A tier that the model doesn't have is standard.
        foreign = sorted(set(TIERS.values()) - {_tier(when) for when in variants})
        if foreign and not context and self.rng.random() < 0.1:
            tier = self.rng.choice(foreign)
            context = (next(key for key, value in TIERS.items() if value == tier),)
        regions = sorted({one.region for one in self.oracle.multipliers if one.channel == channel})
        region = self.rng.choice(regions) if regions and self.rng.random() < 0.3 else ""
        usage = self._usage(channel, model, at, dict(context))
        return Case(number, channel, name, at, tier, region, usage, model_id=model.id, context=context)

    def _instant(self, channel: str, model: Any) -> datetime:
        """Around a change of the model's prices, around the beginning or end of a daily window, or at any time."""
        rng = self.rng
        anywhere = datetime(2024, 1, 1) + timedelta(seconds=rng.randrange(3 * 365 * 86_400))
        kind = rng.random()
        changes = [at for at in self.oracle.changes(channel, model.id) if at > datetime(2020, 1, 2)]
        if kind < 0.5 and changes:
            return rng.choice(changes) + timedelta(seconds=rng.choice([-86_400, -1, 0, 1, rng.randrange(86_400)]))
        cells = self.oracle.cells_of(channel, model.id)
        minutes = sorted({m for cell in cells for m in (cell.minute_from, cell.minute_to)} - {0, 1440})
        if kind < 0.8 and minutes:
            calendars = {cell.calendar for cell in cells}
            holidays = sorted(day for calendar, day in self.oracle.holidays if calendar in calendars)
            is_holiday = holidays and rng.random() < 0.3
            day = datetime.fromisoformat(rng.choice(holidays)) if is_holiday else _midnight(anywhere)
            return day + timedelta(minutes=rng.choice(minutes), seconds=rng.choice([-1, 0, 1, rng.randrange(3600)]))
        return anywhere

    def _usage(self, channel: str, model: Any, at: datetime, context: dict[str, str]) -> dict[str, Decimal | int]:
        """Quantities of units that upstream has a price for at the time, or for what they are inside of."""
        rng = self.rng
        priced = {
            unit
            for unit, key in UPSTREAM_PRICES.items()
            if any(getattr(model.get_prices(at.replace(tzinfo=UTC), context), k) is not None for k in key)
        }
        usage: dict[str, Decimal | int] = {}
        thresholds = {cell.threshold for cell in self.oracle.cells_of(channel, model.id)} - {-1}
        buckets = [u for u in BUCKETS if (u if u == "output_tokens" else "input_tokens") in priced]
        for unit in buckets:
            if rng.random() < 0.7:
                usage[unit] = rng.choice([rng.randrange(50), rng.randrange(20_000), rng.randrange(400_000)])
        if thresholds and "input_tokens" in priced and rng.random() < 0.5:
            others = sum(usage.get(unit, 0) for unit in BUCKETS[1:4])
            usage["input_tokens"] = max(0, rng.choice(sorted(thresholds)) + rng.choice([-1, 0, 1, 5000]) - int(others))
        if rng.random() < 0.6:
            left = Counter({unit: int(usage.get(unit, 0)) for unit in BUCKETS})
            for unit in rng.sample(sorted(MEMOS), 4):
                if left[MEMOS[unit]]:
                    usage[unit] = rng.randrange(left[MEMOS[unit]] + 1)
                    left[MEMOS[unit]] -= int(usage[unit])
        for unit in BESIDE_TOKENS:
            parent = "pages" if unit == "annotated_pages" else unit
            if parent in priced and rng.random() < 0.8:
                usage[unit] = rng.choice([1, rng.randrange(1, 50), rng.randrange(1, 100_000)])
                if unit == "audio_seconds":
                    # Groq bills ten seconds at least; nothing in our seeds says so.
                    usage[unit] = 10 + Decimal(rng.randrange(10**7)) / 1000
        return usage


UPSTREAM_PRICES = {
    "input_tokens": ("input_mtok",),
    "output_tokens": ("output_mtok",),
    "web_searches": ("web_searches_kcount",),
    "file_searches": ("storage_searches_kcount",),
    "audio_seconds": ("input_audio_hours", "audio_hours"),
    "pages": ("input_document_kpages",),
    "input_characters": ("input_mchars",),
    "text_messages": ("input_text_messages_kcount",),
}


def _midnight(at: datetime) -> datetime:
    return datetime.combine(at.date(), datetime.min.time())


def _patterns(match: Any) -> Iterator[str]:
    """The texts in a match tree; one that is a part of a name may be a name of the model, too."""
    for kind in ("equals", "starts_with", "ends_with", "contains"):
        if text := getattr(match, kind, None):
            yield text
    for clause in (*getattr(match, "or_", ()), *getattr(match, "and_", ())):
        yield from _patterns(clause)


def _tier(when: dict[str, str]) -> str | None:
    return TIERS.get(next(iter(when.items()))) if len(when) == 1 else None


def upstream_cost(case: Case, provider: Any, model: Any) -> Decimal:
    """USD by genai-prices, whose quantities include what is inside of them, rounded half-up to 12 digits."""
    from genai_prices import Usage

    use = defaultdict(int, case.usage)
    cached_audio, cached_image = use["cache_read_audio_tokens"], use["cache_read_image_tokens"]
    writes = use["cache_write_5m_tokens"] + use["cache_write_1h_tokens"]
    usage = {
        "input_tokens": use["input_tokens"] + use["cache_read_tokens"] + writes,
        "cache_read_tokens": use["cache_read_tokens"],
        "cache_write_tokens": writes,
        "cache_write_5m_tokens": use["cache_write_5m_tokens"],
        "cache_write_1h_tokens": use["cache_write_1h_tokens"],
        "output_tokens": use["output_tokens"],
        "output_reasoning_tokens": use["reasoning_tokens"],
        "input_audio_tokens": use["input_audio_tokens"] + cached_audio,
        "input_image_tokens": use["input_image_tokens"] + cached_image,
        "input_video_tokens": use["input_video_tokens"],
        "cache_audio_read_tokens": cached_audio,
        "cache_image_read_tokens": cached_image,
        "output_audio_tokens": use["output_audio_tokens"],
        "output_image_tokens": use["output_image_tokens"],
        "output_video_tokens": use["output_video_tokens"],
        "web_searches": use["web_searches"],
        "storage_searches": use["file_searches"],
        "audio_seconds": use["audio_seconds"],
        "input_audio_seconds": use["audio_seconds"],
        "input_document_pages": use["pages"] + use["annotated_pages"],
        "input_annotated_document_pages": use["annotated_pages"],
        "input_characters": use["input_characters"],
        "input_text_messages": use["text_messages"],
    }
    with localcontext(Context(prec=60, rounding=ROUND_HALF_UP)):
        price = model.calc_price(
            Usage(**usage),
            provider,
            genai_request_timestamp=case.at.replace(tzinfo=UTC),
            price_context=dict(case.context) or None,
        )
        return to_12_digits(price.total_price)


def oracle_parts(case: Case, prices: dict[str, UnitPrice]) -> dict[str, Decimal] | None:
    """USD by the seeds, by class of tokens; None when a unit that was used has no price."""
    with localcontext(Context(prec=60, rounding=ROUND_HALF_UP)):
        parts = dict.fromkeys(PARTS, Decimal(0))
        if "requests" in prices:
            parts["other"] = prices["requests"].price
        for unit, quantity in case.usage.items():
            if not quantity:
                continue
            bucket = MEMOS.get(unit)
            if unit not in prices or (bucket and bucket not in prices):
                return None
            price = prices[unit].price - (prices[bucket].price if bucket else 0)
            cost = quantity * price / (3600 if unit == "audio_seconds" else 1)
            parts[CLASSES.get(bucket or unit, "other")] += cost
        return {part: to_12_digits(cost) for part, cost in parts.items()}


@dataclass(frozen=True)
class World:
    oracle: Oracle
    generator: Generator
    cases: list[Case]
    priced: dict[int, Priced]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    print(f"LLM_SPEND_RANDOM_SEED={RANDOM_SEED}")
    root = tmp_path_factory.mktemp("differential")
    oracle = Oracle(PROJECT / "seeds")
    generator = Generator(oracle, random.Random(RANDOM_SEED))
    cases = list(generator.cases())
    project = PriceProject(root, {("test", case.provider, case.model) for case in cases})
    # Allowances depend on the other requests of the day; they have tests of their own.
    project.write("free_allowances", (), keep=False)
    project.price(cases)
    project.build("--exclude-resource-type", "test")
    return World(oracle, generator, cases, project.priced())


def described(case: Case, *figures: object) -> str:
    usage = {unit: str(quantity) for unit, quantity in case.usage.items()}
    return f"{case.provider} {case.model} ({case.model_id}) {case.at} {case.tier} {case.region} {usage}: {figures}"


def meant_model(world: World, case: Case) -> str:
    return world.oracle.override_of(case.provider, case.model, case.at) or case.model_id


def prices_of(world: World, case: Case) -> dict[str, UnitPrice]:
    return world.oracle.unit_prices(
        case.provider, meant_model(world, case), case.at, case.tier, case.region, case.input_tokens
    )


def test_every_case_finds_its_model(world: World) -> None:
    assert len(world.cases) >= 20_000
    wrong = [
        described(case, world.priced[case.number])
        for case in world.cases
        if (world.priced[case.number].channel, world.priced[case.number].model_id)
        != (case.provider, meant_model(world, case))
    ]
    assert wrong == [], f"{len(wrong)} with LLM_SPEND_RANDOM_SEED={RANDOM_SEED}"


def test_costs_are_what_the_seeds_say(world: World) -> None:
    wrong = []
    for case in world.cases:
        priced, expected = world.priced[case.number], oracle_parts(case, prices_of(world, case))
        if expected is None or not any(case.usage.values()):
            agrees = priced.status in ("unpriced", "not_billed") and not any(priced.parts.values())
        else:
            agrees = (
                priced.status not in ("unpriced", "not_billed")
                and priced.cost == sum(expected.values())
                and priced.parts == expected
            )
        if not agrees:
            wrong.append(described(case, priced, expected))
    assert wrong == [], f"{len(wrong)} with LLM_SPEND_RANDOM_SEED={RANDOM_SEED}"


def test_costs_are_what_genai_prices_says(world: World) -> None:
    models = {(channel, model.id): model for channel, p in world.generator.providers.items() for model in p.models}
    wrong, compared, by_hand = [], 0, defaultdict(Counter)
    for case in world.cases:
        if not any(case.usage.values()):
            continue
        prices = prices_of(world, case)
        reasons = {
            "price_corrections": any(price.is_override for price in prices.values()),
            "price_multipliers": any(price.is_multiplied for price in prices.values()),
            "alias_overrides": meant_model(world, case) != case.model_id,
        }
        if any(reasons.values()):
            by_hand[case.provider, case.model_id].update(reason for reason, given in reasons.items() if given)
            continue
        provider = world.generator.providers[case.provider]
        model = models.get((case.provider, case.model_id)) or provider.find_model(
            case.model, all_providers=data.providers
        )
        compared += 1
        expected = upstream_cost(case, provider, model)
        if world.priced[case.number].cost != expected:
            wrong.append(described(case, world.priced[case.number], expected))
    for (channel, model_id), reasons in sorted(by_hand.items()):
        print(f"{channel} {model_id}: checked against the seeds only, {dict(reasons)}")
    assert compared > 10_000
    assert wrong == [], f"{len(wrong)} of {compared} with LLM_SPEND_RANDOM_SEED={RANDOM_SEED}"


def test_models_without_a_name_are_few(world: World) -> None:
    """Models that upstream finds by none of the texts of its own patterns: there is nothing to compare."""
    assert len(world.generator.without_name) < 10, world.generator.without_name
