"""Every API of a gateway through the same: killed and gone on, restated, with a new field, refused.

Portkey and LiteLLM's database have tests like these of their own, with what is special about them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from importlib import import_module
from types import MappingProxyType
from typing import Any

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource
from llm_spend.readers.api.spool import Spool
from llm_spend.sources.litellm_api import PROXY, LiteLLMProxy
from llm_spend.windows import Window

from . import (
    fake_helicone,
    fake_langfuse,
    fake_litellm,
    fake_openrouter,
    fake_server,
    fake_truefoundry,
    test_cloudflare,
    test_helicone,
    test_langfuse,
    test_openrouter,
)
from .conftest import Warehouse
from .fake_cloudflare import FakeCloudflare
from .fake_server import Fault, Scene, client_of, opening

DAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 4, 0, 5)
NEW = MappingProxyType({"new_tokens": 3, "new_text": "SECRET WORDS"})

Call = tuple[str, str, int]
"""Id, time and input tokens of a call; its id is the model where an API lists none."""


@dataclass
class Case:
    """A source and what its server holds: `put` some calls, perhaps with fields that are new, or `refuse` the key."""

    source: ApiSource
    put: Callable[[list[Call], Any], None]
    refuse: Callable[[], None]
    rows: str
    new: str = "new_tokens"


def _refusing(fake: Any) -> Callable[[], None]:
    return lambda: fake.faults.extend([Fault(401, {"message": "who are you?", "error": "who are you?"})] * 3)


@contextmanager
def truefoundry() -> Iterator[Case]:
    def put(calls: list[Call], new: Any) -> None:
        metric = "tfy.model.metric"
        foundry.spans = [
            fake_truefoundry.span(
                name,
                f"{at}Z",
                **{f"{metric}.input_tokens": tokens},
                **{f"{metric}.{key}": each for key, each in new.items()},
            )
            for name, at, tokens in calls
        ]

    def refuse() -> None:
        foundry.faults = {"spans": [Fault(401, {"message": "who are you?"})] * 3}

    with fake_truefoundry.serving(fake_truefoundry.FakeTrueFoundry()) as foundry:
        source = fake_truefoundry.source_of(foundry)
        yield Case(
            source, put, refuse, "span_id, input_tokens from raw.truefoundry__spans", "tfy.model.metric.new_tokens"
        )
        assert foundry.problems == []


@contextmanager
def litellm() -> Iterator[Case]:
    def put(calls: list[Call], new: Any) -> None:
        proxy.logs = [fake_litellm.log(name, at, prompt_tokens=tokens) for name, at, tokens in calls]
        proxy.extra = dict(new)

    proxy = fake_litellm.Proxy()
    with fake_server.serving(proxy):
        headers = {"Authorization": f"Bearer {fake_litellm.KEY}"}
        opened = opening(
            lambda client: LiteLLMProxy(client, clock=lambda: NOW), lambda: client_of(proxy, "LiteLLM", headers, [])
        )
        rows = "id, prompt_tokens from raw.litellm__payloads"
        yield Case(replace(PROXY, open=opened), put, _refusing(proxy), rows)


@contextmanager
def langfuse() -> Iterator[Case]:
    def put(calls: list[Call], new: Any) -> None:
        fake.observations = [
            test_langfuse.observation(name, f"{at}.000Z", usageDetails={"input": tokens, "total": tokens})
            for name, at, tokens in calls
        ]
        fake.extra = dict(new)

    fake = fake_langfuse.FakeLangfuse()
    with fake_server.serving(fake):
        yield Case(test_langfuse.source_of(fake, []), put, _refusing(fake), GENERIC)


@contextmanager
def helicone() -> Iterator[Case]:
    def put(calls: list[Call], new: Any) -> None:
        fake.requests = [
            test_helicone.request(name, f"{at}.000", prompt_tokens=tokens, **new) for name, at, tokens in calls
        ]

    fake = fake_helicone.FakeHelicone()
    with fake_server.serving(fake):
        yield Case(test_helicone.source_of(fake, []), put, _refusing(fake), GENERIC)


@contextmanager
def cloudflare() -> Iterator[Case]:
    def put(calls: list[Call], new: Any) -> None:
        fake.logs["shop"] = [
            test_cloudflare.log(name, f"{at}.000Z", tokens_in=tokens, **new) for name, at, tokens in calls
        ]

    fake = FakeCloudflare(logs={"shop": []})
    with fake_server.serving(fake):
        yield Case(test_cloudflare.source_of(fake, [], "shop"), put, _refusing(fake), GENERIC)


@contextmanager
def openrouter() -> Iterator[Case]:
    def put(calls: list[Call], new: Any) -> None:
        fake.activity = [
            fake_openrouter.activity(name, day=at[:10], model_permaslug=name, prompt_tokens=tokens, **new)
            for name, at, tokens in calls
        ]

    fake = fake_openrouter.FakeOpenRouter()
    with fake_server.serving(fake):
        rows = "member, input_tokens from raw.gateway__totals where dimension = 'model'"
        yield Case(test_openrouter.source_of(fake, []), put, _refusing(fake), rows)


GENERIC = "source_record_id, input_tokens from raw.generic__requests"
CASES = (truefoundry, litellm, langfuse, helicone, cloudflare, openrouter)
RESTATED = (litellm, openrouter)
"""Tests of the others tell what becomes of windows that are restated."""


@pytest.mark.parametrize("made", CASES, ids=lambda made: made.__name__)
def test_a_load_that_is_killed_goes_on_and_what_is_restated_is_replaced(
    made: Any, make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    with made() as case:
        stream = replace(case.source.streams[0], settle=timedelta(minutes=5))
        asked: list[Window] = []

        def fetched(api: Any, window: Window, spool: Spool) -> None:
            stream.fetch(api, window, spool)
            asked.append(window)
            if len(asked) == 2:
                raise KeyboardInterrupt

        source = replace(case.source, streams=(replace(stream, fetch=fetched),), listings=())
        monkeypatch.setattr(import_module(f"llm_spend.sources.{source.name}_api"), "api_source", lambda _: source)
        scene = Scene(source, make_warehouse(source.name), [])
        table = case.rows.partition(" from ")[2].partition(" where ")[0]
        last = "_dlt_load_id = (select max(_dlt_load_id) from raw.llm_spend__files)"

        def loaded(condition: str = "true") -> list[tuple[str, int]]:
            joined = " and " if " where " in case.rows else " where "
            return sorted(scene.warehouse.rows(f"select {case.rows}{joined}{condition}"))

        calls = [("kept", "2026-11-02T10:00:00", 10), ("vanishes", "2026-11-02T11:00:00", 20)]
        calls += [("next", "2026-11-03T10:00:00", 30)]
        case.put(calls, {})
        with pytest.raises(KeyboardInterrupt):
            scene.load(NOW)
        assert loaded() == [("kept", 10), ("vanishes", 20)]
        case.put(calls, NEW)
        report = scene.load(NOW)
        assert (report.windows, report.quarantined) == (1, 0)
        assert loaded() == [("kept", 10), ("next", 30), ("vanishes", 20)]

        if made is openrouter:  # what it tells is kept as it came
            query = "select raw -> 'activity' -> 0 ->> 'new_tokens' from raw.gateway__totals where dimension = 'model'"
            assert scene.warehouse.rows(f"{query} and {last}") == [("3",)]
        else:
            ((kept,),) = scene.warehouse.rows(f"select distinct _extra from {table} where {last}")
            assert json.loads(kept) == {case.new: 3}
            assert "new_tokens" in report.warnings[0]
            scene.warehouse.assert_nowhere("SECRET WORDS")

        if made in RESTATED:
            case.put([("kept", "2026-11-02T10:00:00", 11), ("late", "2026-11-02T12:00:00", 40)], {})
            assert scene.load(NOW, again=True, until=DAY).windows == 1
            assert loaded(last) == [("kept", 11), ("late", 40)]

        case.refuse()
        before = loaded()
        with pytest.raises(UserError, match="401"):
            scene.load(NOW, again=True)
        assert loaded() == before
