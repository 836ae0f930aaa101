"""llm_optimization_candidates: each kind of finding over made-up requests, and what is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Demo
from tests.dbt.request_groups import CANDIDATES, Groups, Source, at

pytestmark = pytest.mark.slow

DAY = "2026-03-10"
HASH, OTHER_HASH = "ab" * 32, "cd" * 32
PRICE = {
    "model_id": "big",
    "input_price": Decimal("0.00001"),
    "cache_read_price": Decimal("0.000001"),
    "output_price": Decimal("0.00004"),
}
BATCH = {**{name: usd / 2 if name != "model_id" else usd for name, usd in PRICE.items()}, "service_tier": "batch"}
WHO = "team_id, feature_id, model_id, prompt_id"
SAVING = "saving_low_usd, saving_usd, saving_high_usd, confidence"


@pytest.fixture(scope="module")
def source(demo: Demo) -> Source:
    return Source.of(demo.database)


def request(day: str = DAY, minutes: int = 600, **fields: Any) -> dict[str, Any]:
    """1,000 input tokens and 100 of output."""
    given = {"uncached_input_tokens": 1_000, "output_tokens": 100, **fields}
    tokens = {"uncached_input_tokens": 10, "cache_read_tokens": 1, "output_tokens": 40}
    usd = Decimal(sum(given.get(name, 0) * millionths for name, millionths in tokens.items())) / 10**6
    return {"at": at(day, minutes), "usd": usd, **given}


def candidates(
    source: Source,
    requests: Iterable[Mapping[str, Any]],
    prices: Iterable[Mapping[str, Any]] = (PRICE, BATCH),
    events: str = "",
) -> Groups:
    groups = Groups(source, CANDIDATES, requests, prices, events=events)
    assert groups.problems() == []
    return groups


def found(groups: Groups, kind: str, columns: str) -> list[tuple[Any, ...]]:
    return groups.rows(f"select {columns} from {CANDIDATES} where kind = '{kind}' order by all")


def usd(text: str) -> Decimal:
    return Decimal(text)


def test_calls_that_were_paid_for_nothing(source: Source) -> None:
    call = {"logical_request_id": "a"}
    chain = {"logical_request_id": "b"}
    requests = [
        request(),
        # Failed, and asked again, twice of the same model.
        request(status="error", is_final_attempt=False, **call),
        request(minutes=601, status="error", is_final_attempt=False, usd=Decimal(0), price_status="not_billed", **call),
        request(minutes=602, **call),
        # Cut off, and another model took over.
        request(status="cancelled", is_final_attempt=False, usd=None, price_status="unmeasured", **chain),
        request(minutes=601, is_final_attempt=False, **chain),
        request(minutes=602, model_id="other", price_status="unpriced", usd=None, **chain),
        # To ask after a batch is no attempt of anything.
        request(operation="poll", is_final_attempt=False, logical_request_id="c", price_status="not_billed", usd=0),
        # The same id in another gateway is another request.
        request(source_instance="elsewhere", **call),
        request(status="error", is_of_record=False),
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, unpriced_requests, unpriced_tokens, spend_usd, metric_value, {SAVING}"
    who, paid = ("search", "chat", "big", "(all)"), usd("0.014")
    eighth = usd("0.125")
    assert found(groups, "paid_failures", columns) == [
        (*who, 2, 1, 1_100, paid, 2 * eighth, paid, paid, paid, "exact"),
    ]
    assert found(groups, "paid_retries", columns) == [(*who, 1, 0, 0, paid, eighth, paid, paid, paid, "exact")]
    assert found(groups, "paid_fallbacks", columns) == [
        (*who, 2, 1, 1_100, paid, 2 * eighth, paid, paid, paid, "exact"),
    ]
    (words,) = found(groups, "paid_fallbacks", "explanation")
    assert words[0] == (
        "Requests of chat to big that were paid, or may have been, before another model was asked: 2, for 0.01 USD."
        " They are 25 % of its requests there; of all requests to the model 25 % are like that. The cost of 1 of these"
        " requests is not known."
    )


def test_shares_are_compared_with_all_requests_to_the_model(source: Source) -> None:
    requests = [request(status="error"), *[request(feature_id="good") for _ in range(3)]]
    groups = candidates(source, requests)
    columns = "feature_id, metric_name, metric_value, benchmark_value"
    assert found(groups, "paid_failures", columns) == [("chat", "share_of_requests", Decimal(1), usd("0.25"))]


def test_a_prompt_is_a_duplicate_only_where_nothing_else_is_known_of_it(source: Source) -> None:
    same = {"prompt_hash": HASH}
    requests = [
        request(**same, request_key="first"),
        request(minutes=601, **same),
        request(minutes=1439, **same),
        # The day after, another team, feature, model or prompt, other tokens, a failure, the gateway's own cache.
        request("2026-03-11", **same),
        request(team_id="other", **same),
        request(feature_id="other", **same),
        request(model_id="other", **same),
        request(prompt_hash=OTHER_HASH),
        request(uncached_input_tokens=1_001, **same),
        request(minutes=602, status="error", **same),
        request(minutes=603, is_gateway_cache_hit=True, price_status="cache_hit", usd=Decimal(0), **same),
        request(),
        request(),
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, spend_usd, {SAVING}"
    paid = usd("0.028")
    assert found(groups, "duplicate_prompts", columns) == [
        ("search", "chat", "big", "(all)", 2, paid, paid, paid, paid, "likely")
    ]


def test_dear_features_that_people_do_not_like(source: Source) -> None:
    def rated(feature: str, scores: Iterable[str], others: int, **fields: Any) -> list[dict[str, Any]]:
        rows = [request(feature_id=feature, feedback_score=Decimal(score), **fields) for score in scores]
        return rows + [request(feature_id=feature, **fields) for _ in range(others)]

    requests = [
        *rated("good", ["5"] * 20, 60),
        *rated("bad", ["1", "2"] * 5, 20),
        *rated("few ratings", ["1"] * 9, 20),
        *rated("few requests", ["1"] * 10, 9),
        *rated("cheap", ["1"] * 10, 20, uncached_input_tokens=1, output_tokens=1),
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, spend_usd, metric_value, benchmark_value, {SAVING}"
    average = (Decimal(100 + 15 + 9 + 10 + 10) / 59).quantize(Decimal("1e-6"))
    assert found(groups, "low_feedback_spend", columns) == [
        ("(all)", "bad", "(all)", "(all)", 30, usd("0.42"), usd("1.5"), average, None, None, usd("0.42"), "rough")
    ]
    assert found(groups, "low_feedback_spend", "explanation") == [
        ("bad cost 0.42 USD, and 10 ratings of its answers were 1.50 on average; those of all features 2.44.",)
    ]


def test_what_is_not_known_is_not_nothing(source: Source) -> None:
    unknown = {"status": "error", "usd": None, "price_status": "unmeasured"}
    requests = [request(**unknown), request(status="error", usd=Decimal(0), price_status="not_billed"), request()]
    columns = "requests, unpriced_requests, spend_usd, saving_usd, confidence, confidence_reason, explanation"
    words = (
        "Requests of chat to big that failed, and were paid or may have been: 1. They are 33 % of its requests there;"
        " of all requests to the model 33 % are like that. The cost of 1 of these requests is not known."
    )
    assert found(candidates(source, requests), "paid_failures", columns) == [
        (1, 1, None, None, "rough", "What these calls cost, if anything, is not known.", words)
    ]


def test_one_score_for_everything_says_nothing(source: Source) -> None:
    requests = [request(feature_id=name, feedback_score=Decimal(0)) for name in "ab" for _ in range(25)]
    assert found(candidates(source, requests), "low_feedback_spend", "1") == []


def used(features: Iterable[str], day: str = DAY, **fields: Any) -> list[dict[str, Any]]:
    """Requests for 0.28 USD of each feature."""
    return [request(day, feature_id=feature, **fields) for feature in features for _ in range(20)]


def sessions(of_features: Mapping[str, int], day: str = DAY, covers: str = "day") -> str:
    return "".join(f"{day},sessions,{feature},,{number},,,{covers}\n" for feature, number in of_features.items())


def test_dear_features_that_are_hardly_used(source: Source) -> None:
    recorded = {"much": 56, "usual": 28, "as usual": 28, "less": 15, "hardly": 14, "never": 0}
    requests = [
        *used([*recorded, "nobody knows"]),
        *used(["cheap"], uncached_input_tokens=1, output_tokens=1),
        *used(["(unallocated)", "rare"])[:39],
    ]
    groups = candidates(source, requests, events=sessions({**recorded, "cheap": 0, "rare": 0, "": 1}))
    columns = f"{WHO}, requests, spend_usd, metric_value, benchmark_value, {SAVING}"
    who, spend = ("(all)", "(all)"), usd("0.28")
    # The median of those with sessions: 28 for 0.28 USD.
    assert found(groups, "low_engagement_spend", columns) == [
        ("(all)", "hardly", *who, 20, spend, 50, 100, None, None, spend / 2, "rough"),
        ("(all)", "never", *who, 20, spend, 0, 100, None, None, spend, "rough"),
    ]
    assert found(groups, "low_engagement_spend", "feature_id, explanation") == [
        ("hardly", "hardly cost 0.28 USD and had 14 sessions; the median of the features has 28 for as much."),
        ("never", "never cost 0.28 USD and had 0 sessions; the median of the features has 28 for as much."),
    ]


@pytest.mark.parametrize(
    ("recorded", "found_features"),
    [({"a": 280, "b": 1}, []), ({"a": 280, "b": 1, "c": 0}, ["c"]), ({"a": 0, "b": 0, "c": 0}, [])],
    ids=["two can not be compared", "no use at all needs no comparison", "nothing is used"],
)
def test_use_is_compared_with_that_of_others(
    source: Source, recorded: dict[str, int], found_features: list[str]
) -> None:
    groups = candidates(source, used("abc"), events=sessions(recorded))
    assert [row[0] for row in found(groups, "low_engagement_spend", "feature_id")] == found_features


def test_a_gap_in_the_record_is_not_little_use(source: Source) -> None:
    days = "2026-03-10", "2026-03-11"
    requests = [row for day in days for row in used(["a", "b", "c", "gap", "month"], day)]
    of_day = {"a": 28, "b": 28, "c": 28}
    events = sessions({**of_day, "gap": 1}, days[0]) + sessions(of_day, days[1])
    groups = candidates(source, requests, events=events + sessions({"month": 1}, "2026-03-01", "month"))
    assert found(groups, "low_engagement_spend", "feature_id") == [("month",)]


def test_limits_that_answers_stay_far_below(source: Source) -> None:
    requests = [
        *[request(max_tokens=16_000) for _ in range(20)],
        *[request(feature_id="fits", max_tokens=1_000) for _ in range(20)],
        # One answer needs its room.
        *[request(feature_id="long tail", max_tokens=16_000) for _ in range(19)],
        request(feature_id="long tail", max_tokens=16_000, output_tokens=8_001),
        *[request(feature_id="rare", max_tokens=16_000) for _ in range(19)],
        *[request(feature_id="rare", max_tokens=16_000, status="error") for _ in range(9)],
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, spend_usd, metric_value, benchmark_value, {SAVING}"
    assert found(groups, "oversized_max_tokens", columns) == [
        ("(all)", "chat", "(all)", "(all)", 20, usd("0.28"), usd("0.00625"), usd("0.1"), None, None, None, "rough")
    ]
    assert found(groups, "oversized_max_tokens", "explanation") == [
        ("20 requests of chat reserved 16000 tokens of output each; the longest answer had 100, the mean 100.",)
    ]


def prompts(feature: str, sizes: Mapping[str, int], **fields: Any) -> list[dict[str, Any]]:
    return [
        request(feature_id=feature, prompt_id=prompt, uncached_input_tokens=size - 100, **fields)
        for prompt, size in sizes.items()
        for _ in range(20)
    ]


def test_templates_that_are_heavier_than_their_like(source: Source) -> None:
    requests = [
        *prompts("chat", {"a": 1_000, "b": 1_000, "c": 5_000}),
        # A feature that is heavy altogether, and one whose template can only be compared with all others.
        *prompts("documents", {"d": 3_000, "e": 3_000, "f": 3_500}),
        *prompts("alone", {"g": 10_000}),
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, metric_value, benchmark_value, {SAVING}"
    # 20 × (4,900 × 10 + 100 × 40) / 10^6, of which three and four fifths go.
    heavy, alone = usd("1.06"), usd("2.06")
    assert found(groups, "heavy_prompt", columns) == [
        ("(all)", "alone", "(all)", "g", 20, 10_000, 3_000, alone * 4 / 10, alone * 55 / 100, alone * 7 / 10, "rough"),
        ("(all)", "chat", "(all)", "c", 20, 5_000, 1_000, heavy * 3 / 5, heavy * 7 / 10, heavy * 4 / 5, "rough"),
    ]
    (_, words) = found(groups, "heavy_prompt", "feature_id, explanation")
    assert (
        words[1]
        == "Template c of chat takes 5000 tokens a request; the median of the templates of the feature is 1000."
    )


def test_templates_that_lack_the_cache_of_their_like(source: Source) -> None:
    def asked(prompt: str, cached: int, size: int = 2_000, **fields: Any) -> list[dict[str, Any]]:
        tokens = {"uncached_input_tokens": size - cached, "cache_read_tokens": cached}
        return [request(prompt_id=prompt, **tokens, **fields) for _ in range(20)]

    requests = [
        *asked("a", 1_600),
        *asked("cold", 0),
        *asked("short", 0, 1_000, feature_id="short"),
        *asked("long", 800, 1_000, feature_id="short"),
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, metric_value, benchmark_value, {SAVING}"
    # Of 40,000 tokens, two fifths would be read for a tenth of the price.
    high = usd("0.144")
    assert found(groups, "low_cache_share", columns) == [
        ("(all)", "chat", "(all)", "cold", 20, 0, usd("0.4"), high / 2, high * 3 / 4, high, "rough")
    ]
    (words,) = found(groups, "low_cache_share", "explanation")
    assert words[0] == (
        "Template cold of chat read 0 % of its input from the cache of the provider; all templates of the feature 40 %."
    )


def test_features_that_lack_the_cache_of_others_on_the_model(source: Source) -> None:
    warm = {"uncached_input_tokens": 400, "cache_read_tokens": 1_600}
    requests = [
        *[request(feature_id="warm", **warm) for _ in range(60)],
        *[request(feature_id="cold", uncached_input_tokens=2_000) for _ in range(20)],
    ]
    groups = candidates(source, requests)
    columns = "feature_id, model_id, prompt_id, metric_value, benchmark_value, saving_high_usd"
    # 40,000 tokens, of which three fifths would be read for a tenth of the price.
    assert found(groups, "low_cache_share", columns) == [("cold", "big", "(all)", 0, usd("0.6"), usd("0.216"))]
    no_cache = {**PRICE, "cache_read_price": PRICE["input_price"]}
    assert found(candidates(source, requests, [no_cache]), "low_cache_share", "1") == []
    # Requests of another tier that have no input have nothing to keep in a cache.
    answers = request(feature_id="cold", service_tier="default", uncached_input_tokens=0, output_tokens=2_000)
    groups = candidates(source, [*requests, answers])
    assert found(groups, "low_cache_share", columns) == [("cold", "big", "(all)", 0, usd("0.6"), usd("0.216"))]


def test_night_traffic_that_could_be_a_batch(source: Source) -> None:
    night = {"minutes": 359, "is_stream": False}
    requests = [
        *[request(feature_id="nightly", **night) for _ in range(20)],
        *[request(feature_id="mixed", **night) for _ in range(20)],
        *[request(feature_id="mixed") for _ in range(30)],
        *[request(feature_id="rare", **night) for _ in range(19)],
        *[request(feature_id="by day", minutes=360, is_stream=False) for _ in range(20)],
        *[request(feature_id="streamed", minutes=10) for _ in range(20)],
        *[request(feature_id="unknown", minutes=10, is_stream=None) for _ in range(20)],
        *[request(feature_id="already", **night, service_tier="batch") for _ in range(20)],
        *[request(feature_id="failed", **night, status="error") for _ in range(20)],
    ]
    groups = candidates(source, requests)
    columns = f"{WHO}, requests, spend_usd, metric_value, {SAVING}"
    spend = usd("0.28")
    assert found(groups, "batchable_night_traffic", columns) == [
        ("search", "mixed", "(all)", "(all)", 20, spend, usd("0.4"), 0, spend / 4, spend / 2, "rough"),
        ("search", "nightly", "(all)", "(all)", 20, spend, 1, spend / 4, spend * 3 / 8, spend / 2, "likely"),
    ]
    assert found(candidates(source, requests, [PRICE]), "batchable_night_traffic", "1") == []


def test_what_was_asked_before_there_was_a_batch_has_no_offer(source: Source) -> None:
    night = {"minutes": 359, "is_stream": False}
    requests = [
        *[request("2026-03-09", service_tier="default", **night) for _ in range(20)],
        *[request(**night) for _ in range(20)],
    ]
    groups = candidates(source, requests, [PRICE, {**BATCH, "valid_from": at(DAY, 0)}])
    assert found(groups, "batchable_night_traffic", "requests, spend_usd, saving_high_usd") == [
        (40, usd("0.56"), usd("0.14"))
    ]


def test_what_was_paid_in_vain_is_compared_with_the_fact(source: Source) -> None:
    call = {"logical_request_id": "a"}
    requests = [
        request(status="error", is_final_attempt=False, **call),
        request(model_id="other", is_final_attempt=False, **call),
        request(minutes=601, prompt_hash=HASH, **call),
        request(minutes=602, prompt_hash=HASH),
    ]
    groups = candidates(source, requests)
    for finding in ("failed", "retried", "replaced", "repeated"):
        cost = f"{finding}_cost_usd"
        groups.connection.execute(f"update int_request_groups_daily set {cost} = {cost} * 2")
        (problem,) = groups.rows(source.sql["assert_request_groups_sum_to_fact"])
        assert problem[0].isoformat() == DAY
        groups.connection.execute(f"update int_request_groups_daily set {cost} = {cost} / 2")
        assert groups.problems() == []
