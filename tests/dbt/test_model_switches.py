"""llm_model_switch_savings: exact cases over made-up requests and prices, and a reference in Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

import pytest

from tests.conftest import Demo
from tests.dbt.request_groups import LARGEST, SEED_CHECK, SWITCH_SAVINGS, Groups, Source, at

pytestmark = pytest.mark.slow

DAY = "2026-03-10"
PICO = Decimal("1e-12")


@pytest.fixture(scope="module")
def source(demo: Demo) -> Source:
    return Source.of(demo.database)


def price(model: str, per_million: tuple[str, str, str], **fields: Any) -> dict[str, Any]:
    """Prices of a million tokens: input, cache read, output."""
    names = ("input_price", "cache_read_price", "output_price")
    return {
        "model_id": model,
        **{name: Decimal(usd) / 10**6 for name, usd in zip(names, per_million, strict=True)},
        **fields,
    }


BIG = price("big", ("10", "1", "40"))
SMALL = price("small", ("1", "0.1", "4"))
SWITCH = "big,,small,,,,\n"


def request(day: str = DAY, minutes: int = 600, **fields: Any) -> dict[str, Any]:
    tokens = {"uncached_input_tokens": 1_000, "cache_read_tokens": 200, "output_tokens": 100}
    return {"at": at(day, minutes), "usd": Decimal("0.0142"), **tokens, **fields}


def savings(
    source: Source, requests: Iterable[Mapping[str, Any]], prices: Iterable[Mapping[str, Any]], switches: str
) -> Groups:
    groups = Groups(source, SWITCH_SAVINGS, requests, prices, switches)
    assert groups.problems() == []
    return groups


AMOUNTS = "requests, list_cost_usd, switch_list_usd, saving_usd, saving_ratio, not_comparable_requests"


def test_the_same_tokens_at_the_other_prices(source: Source) -> None:
    groups = savings(source, [request(), request()], [BIG, SMALL], SWITCH)
    (row,) = groups.rows(f"select {AMOUNTS} from llm_model_switch_savings")
    # 2 × (1000 × 1 + 200 × 0.1 + 100 × 4) / 10^6
    assert row == (2, Decimal("0.0284"), Decimal("0.00284"), Decimal("0.02556"), Decimal("0.9"), 0)
    columns = "billing_period, feature_id, provider, model_id, to_channel, to_model_id, total_tokens"
    (row,) = groups.rows(f"select {columns} from llm_model_switch_savings")
    assert row == (date(2026, 3, 1), "chat", "openai", "big", "openai", "small", 2_600)


def test_a_factor_multiplies_tokens_and_not_requests(source: Source) -> None:
    dear = {**SMALL, "request_price": Decimal("0.001")}
    groups = savings(source, [request(), request()], [BIG, dear], "big,openai,small,1.35,,,\n")
    (row,) = groups.rows(
        "select token_factor, switch_list_usd, switch_contract_usd, caveat from llm_model_switch_savings"
    )
    assert row[:3] == (Decimal("1.35"), Decimal("0.00284") * Decimal("1.35") + Decimal("0.002"), row[1])
    assert row[3].startswith("Tokens are multiplied by the token_factor")


def test_a_price_band_is_that_of_each_request(source: Source) -> None:
    bands = [
        {**SMALL, "input_tokens_lte": 1_200},
        {**price("small", ("2", "0.2", "8")), "input_tokens_gt": 1_200},
    ]
    long = request(uncached_input_tokens=1_001)
    groups = savings(source, [request(), request(), long], [BIG, *bands], SWITCH)
    (row,) = groups.rows("select requests, switch_list_usd from llm_model_switch_savings")
    assert row == (3, 2 * Decimal("0.00142") + 2 * Decimal("0.001421"))


def test_a_price_is_that_of_the_moment(source: Source) -> None:
    change = datetime(2026, 3, 10, 16)
    week = datetime(2026, 3, 11)
    night, day = {"minute_from": 0, "minute_to": 480}, {"minute_from": 480, "minute_to": 1440}
    of_week = {"valid_from": week, "is_all_week": False}
    moments = [
        {**SMALL, "valid_to": change},
        {**price("small", ("2", "0.2", "8")), "valid_from": change, "valid_to": week},
        {**price("small", ("3", "0.3", "12")), **of_week, **night},
        {**price("small", ("4", "0.4", "16")), **of_week, **day, "weekdays": "12345"},
        {**price("small", ("5", "0.5", "20")), **of_week, **day, "weekdays": "67"},
    ]
    times = {(DAY, 959): 1, (DAY, 960): 2, ("2026-03-12", 479): 3, ("2026-03-12", 480): 4, ("2026-03-14", 1439): 5}
    requests = [request(day, minutes, feature_id=f"x{factor}") for (day, minutes), factor in times.items()]
    groups = savings(source, requests, [BIG, *moments], SWITCH)
    found = groups.rows("select feature_id, switch_list_usd / 0.00142::decimal(9, 5) from llm_model_switch_savings")
    assert sorted(found) == [(f"x{factor}", float(factor)) for factor in (1, 2, 3, 4, 5)]


def test_tiers_regions_and_contracts_are_those_of_the_other_model(source: Source) -> None:
    half = {**price("small", ("0.5", "0.05", "2")), "service_tier": "batch"}
    cut = {f"contract_{name}": SMALL[name] * 8 / 10 for name in ("input_price", "cache_read_price", "output_price")}
    prices = [BIG, {**SMALL, **cut, "has_contract_prices": True}, half]
    tiers = ("standard", "batch", "flex")
    requests = [request(feature_id=tier, service_tier=tier, region="eu") for tier in tiers]
    groups = savings(source, requests, prices, SWITCH)
    columns = "feature_id, switch_list_usd, switch_contract_usd, saving_usd, has_assumed_price"
    usd, contract = Decimal("0.00142"), Decimal("0.001136")
    assert groups.rows(f"select {columns} from llm_model_switch_savings order by 1") == [
        ("batch", usd / 2, usd / 2, Decimal("0.0142") - usd / 2, False),
        ("flex", usd, contract, Decimal("0.0142") - contract, True),
        ("standard", usd, contract, Decimal("0.0142") - contract, False),
    ]
    (flex,) = groups.rows("select caveat from llm_model_switch_savings where feature_id = 'flex'")
    assert flex[0].endswith("for want of one for its service tier or its cache.")


def test_what_can_not_be_compared_is_counted_and_not_guessed(source: Source) -> None:
    requests = [
        request(),
        request(usd=None, price_status="unpriced"),
        request(usd=None, price_status="no_usage", uncached_input_tokens=0, cache_read_tokens=0, output_tokens=0),
        request(input_audio_tokens=10),
        request(web_searches=1),
        request("2026-03-02"),
        # Neither was worked on by a provider, or counts here.
        request(is_gateway_cache_hit=True, price_status="cache_hit", usd=Decimal(0)),
        request(
            price_status="not_billed", usd=Decimal(0), uncached_input_tokens=0, cache_read_tokens=0, output_tokens=0
        ),
        request(is_of_record=False),
    ]
    small = {**SMALL, "valid_from": datetime(2026, 3, 5)}
    groups = savings(source, requests, [BIG, small], SWITCH)
    columns = (
        "requests, cost_usd, not_comparable_requests, not_comparable_tokens, unpriced_requests, unpriced_tokens,"
        " other_usage_requests, candidate_unpriced_requests, candidate_unpriced_tokens"
    )
    assert groups.rows(f"select {columns} from llm_model_switch_savings") == [
        (1, Decimal("0.0142"), 5, 5_200, 2, 1_300, 2, 1, 1_300)
    ]


def test_without_a_price_there_is_no_saving(source: Source) -> None:
    no_cache = {**SMALL, "cache_read_price": None}
    for prices in ([BIG], [BIG, no_cache]):
        groups = savings(source, [request()], prices, SWITCH)
        columns = "requests, cost_usd, switch_list_usd, saving_usd, saving_ratio, candidate_unpriced_requests"
        assert groups.rows(f"select {columns} from llm_model_switch_savings") == [(0, None, None, None, None, 1)]


def test_a_dearer_model_saves_less_than_nothing(source: Source) -> None:
    other = price("huge", ("15", "1.5", "60"), channel="azure")
    groups = savings(source, [request()], [BIG, SMALL, other], "big,Azure,huge,,,,\n" + SWITCH)
    columns = "to_channel, to_model_id, saving_usd, saving_ratio"
    assert groups.rows(f"select {columns} from llm_model_switch_savings order by 1") == [
        ("azure", "huge", Decimal("-0.0071"), Decimal("-0.5")),
        ("openai", "small", Decimal("0.01278"), Decimal("0.9")),
    ]


def test_a_pair_holds_in_its_days_with_its_factor(source: Source) -> None:
    switches = "big,,small,2,,2026-03-05,2026-03-11\nbig,,small,3,,2026-03-11,2026-03-12\n"
    requests = [request(f"2026-03-{day:02}") for day in (4, 5, 10, 11, 12)]
    groups = savings(source, requests, [BIG, SMALL], switches)
    (row,) = groups.rows("select requests, token_factor, switch_list_usd from llm_model_switch_savings")
    assert row == (3, Decimal(3), Decimal("0.00142") * 7)
    assert groups.rows(source.sql[SEED_CHECK]) == []


def test_a_month_is_whole_when_its_usage_is_known(source: Source) -> None:
    for known_to, is_whole in ((datetime(2026, 3, 31, 23), False), (datetime(2026, 4, 1, 5), True)):
        requests = [request(), request("2026-03-31", feature_id="late")]
        groups = Groups(source, SWITCH_SAVINGS, requests, [BIG, SMALL], SWITCH, known_to)
        assert groups.rows("select distinct is_whole_month from llm_model_switch_savings") == [(is_whole,)]


def test_seed_rows_that_make_no_sense_are_named(source: Source) -> None:
    cases = {
        ",,small,,,,": "from_model_id is empty",
        "a,,,,,,": "to_model_id is empty",
        "b,,b,,,,": "the model would replace itself",
        "c,,small,0,,,": "token_factor is not a number above 0",
        "d,,small,1;2,,,": "token_factor is not a number above 0",
        "e,,small,,,someday,": "valid_from is not a date, written as YYYY-MM-DD",
        "f,,small,,,,2026-02-30": "valid_to is not a date, written as YYYY-MM-DD",
        "g,,small,,,2026-02-01,2026-01-01": "valid_to is not after valid_from",
        "h,,smal,,,,": "the price book has no model to_model_id: see int_current_price_book",
        "i,azure,small,,,,": "the price book has no model to_model_id on to_channel: see int_current_price_book",
        "j,,small,,,,\nj,,small,2,,,": "two rows of the pair begin on the same day",
        "k,,small,,,,\nk,,small,2,,2026-01-01,": "it overlaps a later row of the pair: give it a valid_to",
        "l,,small,,,,\nl,openai,small,,,,": "another row of the pair names no channel, which means every one",
        "m,,small,1.1,fine,2026-01-01,2026-02-01\nm,,small,1.2,,2026-02-01,": None,
    }
    groups = Groups(source, SWITCH_SAVINGS, [], [BIG, SMALL], "".join(f"{rows}\n" for rows in cases))
    found = {row.split("|", 1)[0]: problem for row, problem in groups.rows(source.sql[SEED_CHECK])}
    assert found == {rows.split(",", 1)[0]: problem for rows, problem in cases.items() if problem}


# --- a reference ----------------------------------------------------------------------------------


def test_random_requests_cost_what_they_cost_one_by_one(source: Source) -> None:
    rng = Random(7)
    first = datetime(2026, 2, 20)
    prices: list[dict[str, Any]] = [BIG]
    for model in ("small", "other"):
        change = first + timedelta(days=rng.randrange(5, 20), minutes=rng.randrange(1440))
        for begin, end in ((datetime(2020, 1, 1), change), (change, datetime(9999, 12, 31))):
            limit = rng.choice((2_000, 5_000))
            for tier in ("standard", "batch"):
                for low, high in ((-1, limit), (limit, LARGEST)):
                    for start, stop in ((0, 510), (510, 1440)):
                        usd = tuple(f"{rng.randrange(1, 90_000)}e-4" for _ in range(3))
                        times = {"valid_from": begin, "valid_to": end, "minute_from": start, "minute_to": stop}
                        band = {"service_tier": tier, "input_tokens_gt": low, "input_tokens_lte": high}
                        prices.append(price(model, usd, is_all_week=False, **times, **band))
    factors = {"small": Decimal("1.07"), "other": Decimal("0.913")}
    requests = [
        request(
            feature_id=rng.choice("abc"),
            team_id=rng.choice("xy"),
            service_tier=rng.choice((None, "batch")),
            uncached_input_tokens=rng.randrange(8_000),
            cache_read_tokens=rng.randrange(1_000),
            output_tokens=rng.randrange(1, 3_000),
            at=first + timedelta(minutes=rng.randrange(30 * 1440), seconds=rng.randrange(60)),
        )
        for _ in range(250)
    ]
    expected: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for each in requests:
        for model in factors:
            expected[each["at"].strftime("%Y-%m"), each["feature_id"], model] += by_hand(each, model, prices)
    groups = savings(
        source, requests, prices, "".join(f"big,,{model},{factor},,,\n" for model, factor in factors.items())
    )
    columns = "strftime(billing_period, '%Y-%m'), feature_id, to_model_id, switch_list_usd"
    found = groups.rows(f"select {columns} from llm_model_switch_savings")
    assert {row[:3]: row[3] for row in found} == {
        key: (usd * factors[key[2]]).quantize(PICO, ROUND_HALF_UP) for key, usd in expected.items()
    }
    assert groups.rows("select count(*) < 250 from int_request_groups_daily") == [(True,)]


def by_hand(request: Mapping[str, Any], model: str, prices: Iterable[Mapping[str, Any]]) -> Decimal:
    """What one request costs on a model, by looking for its row."""
    moment: datetime = request["at"]
    size = request["uncached_input_tokens"] + request["cache_read_tokens"]
    (row,) = (
        each
        for each in prices
        if each["model_id"] == model
        and each["service_tier"] == (request["service_tier"] or "standard")
        and each["input_tokens_gt"] < size <= each["input_tokens_lte"]
        and each["valid_from"] <= moment < each["valid_to"]
        and each["minute_from"] <= moment.hour * 60 + moment.minute < each["minute_to"]
    )
    tokens = {"uncached_input": "input", "cache_read": "cache_read", "output": "output"}
    return sum((request[f"{bucket}_tokens"] * row[f"{name}_price"] for bucket, name in tokens.items()), Decimal(0))
