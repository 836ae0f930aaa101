"""How Northwind uses models, well and badly: prompt templates, caches, limits, repeats, tags, and what goes wrong.

Each day draws from a random stream of its own, so that the traffic below it stays what it is.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from hashlib import sha256
from random import Random

from llm_spend.demo.calls import Attempt, Call, Model
from llm_spend.demo.gateways import LITELLM, PORTKEY, SELF_HOSTED
from llm_spend.demo.incidents import (
    COLD_MODEL,
    DEAR_FEATURE,
    FAILING_MODEL,
    NEW_KEY,
    NEW_MODEL_FEATURE,
    UNTAGGED_FEATURE,
    Incident,
    new_key_hash,
)
from llm_spend.demo.models import GEMINI_3_5_FLASH, GPT_4_1, GPT_4O_MINI, GPT_5_6_SOL
from llm_spend.demo.organisation import ApiKey
from llm_spend.demo.pricing import PRICES, Tokens

TEMPLATES = ("main", "short", "guided")
HEAVY_PROMPT, HEAVY_FACTOR = "reply-draft-guided", 5
"""A template that carries the whole history of a customer, whatever is asked."""

CACHED_PROMPTS, COLD_PROMPT = frozenset({"code-review", "incident-notes"}), "code-review-guided"
"""Features whose templates are read from the provider's cache, and the one template that begins with the time."""

CLASSIFIER, CLASSIFIER_LIMIT = "doc-classifier", 16_384
"""It answers with a label and reserves room for a book."""

REPEATING_FEATURE, REPEATED_PROMPTS = "setup-guide", 2
"""Its pages ask the same questions over and over."""

DISLIKED_FEATURE = "ticket-triage"
LIMITS = (1_024, 4_096, 16_384)
FEATURE_TAGS = ("feature", "feature_name", "feature_id")
MISSPELT_TAG, UNIQUE_TAG = "relase", "trace_ref"

_MAX_INPUT = 150_000
_CACHING_MODELS = frozenset(model for model, history in PRICES.items() if history[-1].rate.cache_read is not None)


class Habits:
    """The habits of one day, and its incidents."""

    def __init__(self, seed: int, day: date, incidents: tuple[Incident, ...], old_key: ApiKey) -> None:
        self._rng = Random(f"{seed}:{day.isoformat()}:habits")
        today = {incident.kind for incident in incidents if day in incident.days}
        begun = {incident.kind for incident in incidents if incident.days[0] <= day}
        self._is_untagged = "cost_drop" in today
        self._is_failing = "error_rate" in today
        self._is_dear = "blended_price" in today
        self._is_cold = "cache_miss_rate" in today
        self._has_new_model = "new_model" in begun
        self._old_key = old_key if "new_api_key" in begun else None
        self._new_key = replace(old_key, key_hash=new_key_hash(seed), alias=NEW_KEY)

    def describe(self, call: Call) -> None:
        """What a call says of itself, beside who makes it."""
        rng = self._rng
        if self._is_untagged and call.feature == UNTAGGED_FEATURE:
            call.feature = None
            for name in FEATURE_TAGS:
                call.tags.pop(name, None)
        if call.key is not None and call.key is self._old_key:
            call.key = self._new_key
        if call.source == SELF_HOSTED:
            return
        if call.source == PORTKEY:
            if call.feature is not None and call.outcome != "embedding" and rng.random() < 0.8:
                call.prompt = f"{call.feature}-{rng.choice(TEMPLATES)}"
        elif call.feature == CLASSIFIER:
            call.max_tokens = CLASSIFIER_LIMIT
        if "release" in call.tags and rng.random() < 0.03:
            call.tags[MISSPELT_TAG] = call.tags.pop("release")
        if rng.random() < 0.004:
            call.tags[UNIQUE_TAG] = f"{rng.getrandbits(48):012x}"

    def shape(self, call: Call, attempt: Attempt) -> None:
        """What an answered attempt used: another model, other tokens."""
        if call.outcome == "ok" and call.source != SELF_HOSTED:
            self._choose(call, attempt)
        tokens = attempt.tokens
        if tokens is None or attempt.model.kind == "embedding" or attempt.prompt_hash is not None:
            return
        if call.prompt == HEAVY_PROMPT:
            tokens = tokens._replace(input=max(tokens.input, min(tokens.input * HEAVY_FACTOR, _MAX_INPUT)))
        if call.feature == CLASSIFIER:
            tokens = tokens._replace(output=4 + tokens.output % 30, reasoning=0)
        attempt.tokens = self._cached(call, attempt.model, tokens)

    def _choose(self, call: Call, attempt: Attempt) -> None:
        rng = self._rng
        if call.feature == DEAR_FEATURE:
            attempt.model = GPT_5_6_SOL if self._is_dear else GPT_4O_MINI
            attempt.tokens = _plain(attempt.tokens, attempt.model)
        elif call.feature == NEW_MODEL_FEATURE and self._has_new_model and rng.random() < 0.6:
            attempt.model = GEMINI_3_5_FLASH
            attempt.tokens = _plain(attempt.tokens, attempt.model)
        elif call.source == LITELLM and call.feature == REPEATING_FEATURE and rng.random() < 0.5:
            number = rng.randrange(REPEATED_PROMPTS)
            attempt.model, attempt.prompt_hash = GPT_4_1, sha256(f"repeated:{number}".encode()).hexdigest()
            attempt.tokens = Tokens(3_200 + 900 * number, attempt.tokens.output if attempt.tokens is not None else 1)

    def _cached(self, call: Call, model: Model, tokens: Tokens) -> Tokens:
        """Long prompts begin alike, so that most of them is read from the cache, where anybody took care of it."""
        if model.model_id not in _CACHING_MODELS:
            return tokens
        if call.source == PORTKEY:
            if call.prompt is None or call.feature not in CACHED_PROMPTS or call.prompt == COLD_PROMPT:
                return tokens
        elif call.source == SELF_HOSTED or model.model_id != COLD_MODEL:
            return tokens
        elif self._is_cold:
            return tokens._replace(cache_read=0)
        return tokens._replace(cache_read=tokens.input * self._rng.randrange(60, 86) // 100)

    def is_paid_in_vain(self, call: Call) -> bool:
        """Whether the first attempt of a retry or a fallback answered before it failed."""
        return call.source != SELF_HOSTED and self._rng.random() < 0.3

    def is_failing(self, call: Call, attempt: Attempt) -> bool:
        return (
            self._is_failing
            and call.outcome == "ok"
            and attempt.model.model_id == FAILING_MODEL
            and self._rng.random() < 0.6
        )

    def finish(self, call: Call) -> None:
        """What logs say of a call beside its usage: hashes of prompts, limits, what people thought of the answer."""
        rng = self._rng
        last = call.attempts[-1]
        if call.source == LITELLM:
            # The key of the gateway's cache: the prompt and the model.
            hashes: dict[str, str] = {}
            for attempt in call.attempts:
                if attempt.prompt_hash is None:
                    attempt.prompt_hash = hashes.setdefault(attempt.model.raw, f"{rng.getrandbits(256):064x}")
            if call.max_tokens is None and call.style < 0.3:
                output = 0 if last.tokens is None else last.tokens.output
                call.max_tokens = next(limit for limit in LIMITS if output <= limit)
        elif call.source == SELF_HOSTED and last.status == "success" and rng.random() < 0.4:
            call.rating = rng.choice((1, 1, 2) if call.feature == DISLIKED_FEATURE else (3, 4, 4, 5, 5))


def _plain(tokens: Tokens | None, model: Model) -> Tokens | None:
    """Tokens as a model counts them that writes to no cache, and reads from one where it has a price for that."""
    if tokens is None:
        return None
    size = min(tokens.input, _MAX_INPUT)
    return Tokens(size, tokens.output, min(tokens.cache_read, size) if model.model_id in _CACHING_MODELS else 0)
