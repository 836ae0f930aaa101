"""The demo writes what it says: deterministic files with every sort of dirt, and a truth that adds up."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_spend.demo import DemoReport, Truth, generate
from llm_spend.demo.bills import CAUSES
from llm_spend.demo.chargeback import UNITS_PER_CENT, rounded_cents, statement
from llm_spend.demo.generate import _Job, _run, _write_days
from llm_spend.demo.habits import CLASSIFIER, COLD_PROMPT, DISLIKED_FEATURE, HEAVY_PROMPT, REPEATED_PROMPTS
from llm_spend.demo.pricing import Tokens, cost_units, usd_text
from llm_spend.demo.switches import SWITCHES, Switch, switched_units
from llm_spend.demo.truth import Measures, document

DIMENSIONS = ("user", "team", "feature", "customer", "model", "environment", "cost_center")
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DemoReport:
    return generate(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def truth(report: DemoReport) -> Truth:
    return Truth.load(report.truth_path)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def records(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    """Every line that is JSON, as Decimal where it has a fraction."""
    for path in sorted(folder.glob(pattern)):
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        for line in text.splitlines():
            try:
                yield json.loads(line, parse_float=Decimal)
            except json.JSONDecodeError:
                continue


def added(parts: list[Measures]) -> Measures:
    values: dict[str, Any] = {}
    for field in fields(Measures):
        known = [getattr(part, field.name) for part in parts if getattr(part, field.name) is not None]
        values[field.name] = sum(known)
    return Measures(**values)


def test_equal_arguments_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate(tmp_path / name, requests=1_000)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_another_seed_writes_other_traffic(tmp_path: Path) -> None:
    generate(tmp_path / "one", requests=1_000)
    generate(tmp_path / "two", requests=1_000, seed=8)
    assert digest(tmp_path / "one") != digest(tmp_path / "two")


def test_a_rerun_replaces_the_earlier_demo(tmp_path: Path) -> None:
    generate(tmp_path / "demo", requests=2_000, days=30)
    generate(tmp_path / "demo", requests=1_000, days=20)
    generate(tmp_path / "fresh", requests=1_000, days=20)
    assert digest(tmp_path / "demo") == digest(tmp_path / "fresh")


@pytest.mark.parametrize("requests", [999, 10_000_001])
def test_a_size_out_of_range_is_refused(tmp_path: Path, requests: int) -> None:
    with pytest.raises(ValueError, match="requests must be"):
        generate(tmp_path, requests=requests)


def test_exactly_the_requests_asked_for(report: DemoReport, truth: Truth) -> None:
    assert truth.total.requests == report.requests == 20_000
    assert truth.total.attempts == report.attempts > report.requests
    assert len(truth.by_date()) == 75


def test_splitting_the_days_changes_no_byte(tmp_path: Path) -> None:
    results = {}
    for name, halves in {"whole": [(0, 30)], "split": [(0, 15), (15, 30)]}.items():
        jobs = []
        for first, end in halves:
            part = tmp_path / name / f".part-{first}"
            part.parent.mkdir(exist_ok=True)
            jobs.append(_Job(tmp_path / name, 7, 2_000, date(2026, 10, 31), 30, first, end, part))
        ledger = None
        for job in jobs:
            result = _write_days(job)
            if ledger is None:
                ledger = result.ledger
            else:
                ledger.merge(result.ledger)
        assert ledger is not None
        csv_text = "".join(job.part.read_text() for job in jobs)
        for job in jobs:
            job.part.unlink()
        sums = document(ledger, (), {}), ledger.meter, ledger.findings.to_truth()
        results[name] = (digest(tmp_path / name), csv_text, *sums)
    assert results["whole"] == results["split"]


def test_progress_ends_with_all_requests(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(tmp_path, requests=1_000, days=20, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (1_000, 1_000)
    assert seen == sorted(seen)


# --- the truth adds up ----------------------------------------------------------------------------


def test_days_and_sources_sum_to_the_total(truth: Truth) -> None:
    assert added(list(truth.by_date().values())) == truth.total
    assert added(list(truth.by_source().values())) == truth.total


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_members_of_a_day_sum_to_the_day(truth: Truth, dimension: str) -> None:
    members = truth.by_member(dimension)
    for day, expected in truth.by_date().items():
        assert added([cell for (of_day, _), cell in members.items() if of_day == day]) == expected


def test_cost_center_months_sum_to_the_total(truth: Truth) -> None:
    assert added(list(truth.cost_center_months().values())) == truth.total


def test_row_counts_agree(truth: Truth) -> None:
    for name in ("price_status", "status"):
        counted = sum(sum(values.values()) for values in truth.counts(name).values())
        assert counted == truth.total.attempts
    for steps in truth.counts("attribution").values():
        assert sum(steps.values()) == truth.total.attempts


def test_unpriced_rows_are_those_without_cost(truth: Truth) -> None:
    without_cost = {"unpriced", "no_usage", "unmeasured", "usage_conflict"}
    counted = sum(
        count
        for values in truth.counts("price_status").values()
        for status, count in values.items()
        if status in without_cost
    )
    assert counted == truth.total.unpriced_requests


def test_chargeback_is_the_cost_to_the_cent(truth: Truth) -> None:
    lines = truth.chargeback()
    assert sum(line.exact_usd for line in lines) == truth.total.cost_usd
    for month, provider in {(line.billing_period, line.provider) for line in lines}:
        own = [line for line in lines if (line.billing_period, line.provider) == (month, provider)]
        total = sum((line.exact_usd for line in own), Decimal(0))
        assert sum(line.amount_usd for line in own) == total.quantize(CENT, ROUND_HALF_UP)
        assert all(abs(line.amount_usd - line.exact_usd) < CENT for line in own)


def test_statement_gives_missing_cents_to_the_largest_fractions_then_by_key() -> None:
    third = 100 * UNITS_PER_CENT // 3
    lines = statement(
        {("cc", "b", "m"): third, ("cc", "a", "m"): third, ("cc", "c", "m"): 100 * UNITS_PER_CENT - 2 * third}
    )
    assert [(line.key[1], line.cents) for line in lines] == [("a", 33), ("b", 33), ("c", 34)]
    even = statement({("cc", team, "m"): UNITS_PER_CENT // 2 for team in "cab"})
    assert [(line.key[1], line.cents) for line in even] == [("a", 1), ("b", 1), ("c", 0)]
    assert rounded_cents(UNITS_PER_CENT // 2) == 1


@pytest.mark.parametrize(
    ("model", "on", "tokens", "usd"),
    [
        ("gpt-4o", date(2026, 10, 1), Tokens(2006, 300, 1920), "0.005615"),
        ("claude-sonnet-4-5", date(2026, 10, 1), Tokens(100_000, 0, 0, 30_000, 60_000), "0.5025"),
        ("gemini-2.5-pro", date(2026, 10, 1), Tokens(200_000, 1_000), "0.26"),
        ("gemini-2.5-pro", date(2026, 10, 1), Tokens(200_001, 1_000), "0.5150025"),
        ("gpt-5.6-sol", date(2026, 8, 20), Tokens(10_000, 1_000), "0.08"),
        ("gpt-5.6-sol", date(2026, 8, 21), Tokens(10_000, 1_000), "0.06"),
    ],
)
def test_known_costs(model: str, on: date, tokens: Tokens, usd: str) -> None:
    assert usd_text(cost_units(model, on, tokens)) == usd


# --- the files say the same -----------------------------------------------------------------------


def test_portkey_files_hold_the_true_rows(report: DemoReport, truth: Truth) -> None:
    for workspace in ("ws-product", "ws-internal"):
        rows: dict[str, dict[str, Any]] = {}
        for row in records(report.out_dir, f"portkey/{workspace}/*.gz"):
            if isinstance(row["req_units"], str):
                continue
            known = rows.get(row["id"])
            if known is None or row["total_units"] > known["total_units"]:
                rows[row["id"]] = row
        expected = truth.by_source()["portkey", workspace]
        assert len(rows) == expected.attempts
        assert sum(row["total_units"] for row in rows.values()) == expected.total_tokens
        cents = sum((Decimal(row["cost"]) for row in rows.values()), Decimal(0))
        assert cents / 100 == expected.gateway_reported_usd


def test_truefoundry_model_spans_hold_the_true_rows(report: DemoReport, truth: Truth) -> None:
    expected = truth.by_source()["truefoundry", "northwind"]
    spans = {(row["traceId"], row["spanId"]): row for row in records(report.out_dir, "truefoundry/*.gz")}
    models = [span["spanAttributes"] for span in spans.values() if span["spanAttributes"]["tfy.span_type"] == "Model"]
    assert len(models) == expected.attempts
    assert sum(model.get("tfy.model.metric.input_tokens", 0) for model in models) == expected.input_tokens
    reported = sum((Decimal(model.get("tfy.model.metric.cost_in_usd", 0)) for model in models), Decimal(0))
    assert reported == expected.gateway_reported_usd


def test_litellm_files_hold_the_true_rows(report: DemoReport, truth: Truth) -> None:
    expected = truth.by_source()["litellm", "proxy"]
    rows = {row["id"]: row for row in records(report.out_dir, "litellm/**/*.*")}
    assert len(rows) == expected.attempts
    assert sum(row["cache_hit"] is True for row in rows.values()) == expected.cache_hits > 0
    consumed = [row for row in rows.values() if row["cache_hit"] is not True]
    assert sum(row["total_tokens"] for row in consumed) == expected.total_tokens
    assert sum((Decimal(row["response_cost"]) for row in consumed), Decimal(0)) == expected.gateway_reported_usd
    objects = list(report.out_dir.glob("litellm/*/*.json"))
    assert 100 < len(objects) < 1_000


def test_self_hosted_file_holds_the_true_rows(report: DemoReport, truth: Truth) -> None:
    expected = truth.by_source()["self_hosted", "batch-cluster"]
    with gzip.open(report.out_dir / "other" / "self_hosted.csv.gz", "rt", newline="") as file:
        rows = {row["request_id"]: row for row in csv.DictReader(file) if row["ctx"] != "abc"}
    assert len(rows) == expected.attempts
    assert sum(int(row["ctx"] or 0) for row in rows.values()) == expected.input_tokens


def bill_rows(report: DemoReport, provider: str, name: str) -> list[dict[str, Any]]:
    return list(records(report.out_dir, f"bills/{provider}/{name}.jsonl.gz"))


def usd_by_month(rows: list[dict[str, Any]], profile: str) -> dict[str, Decimal]:
    months: dict[str, Decimal] = {}
    for row in rows:
        if row["profile"] == profile:
            amount = Decimal(row["amount"]) / {"unit": 1, "cent": 100}[row["cost_unit"]]
            months[row["bucket_start"][:7]] = months.get(row["bucket_start"][:7], Decimal(0)) + amount
    return months


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_bills_add_up_to_the_truth(report: DemoReport, truth: Truth, provider: str) -> None:
    costs = bill_rows(report, provider, "costs")
    months = usd_by_month(costs, "primary")
    assert usd_by_month(costs, "control") == months
    with (report.out_dir / "seeds" / "provider_invoices.csv").open() as file:
        for row in csv.DictReader(file):
            if row["provider"] == provider:
                months[row["billing_period"][:7]] += Decimal(row["amount"])
    with (report.out_dir / "seeds" / "seats.csv").open() as file:
        for row in csv.DictReader(file):
            for month in months:
                if row["provider"] == provider and row["valid_from"] <= f"{month}-01" < row["valid_to"]:
                    months[month] += int(row["seats"]) * Decimal(row["price_per_seat"])
    bills = {month: bill for (month, of), bill in truth.bills().items() if of == provider}
    assert {month: bill.provider_usd for month, bill in bills.items()} == months
    for bill in bills.values():
        assert bill.gateway_usd + sum(bill.causes.values()) == bill.provider_usd


def test_usage_is_counted_by_the_provider(report: DemoReport) -> None:
    for provider in ("openai", "anthropic"):
        rows = bill_rows(report, provider, "usage")
        for name in ("requests", "input_tokens", "output_tokens"):
            by_profile = {
                profile: sum(row[name] for row in rows if row["profile"] == profile)
                for profile in ("primary", "control")
            }
            assert by_profile["primary"] == by_profile["control"] > 0
        assert all(row["total_tokens"] == row["input_tokens"] + row["output_tokens"] for row in rows)
        days = {row["bucket_start"][:10] for row in rows}
        assert (min(days), max(days)) == ("2026-08-18", "2026-10-30")


def test_every_cause_is_planted_once_and_in_one_direction(truth: Truth) -> None:
    found = {cause for bill in truth.bills().values() for cause in bill.causes}
    assert found == set(CAUSES)
    signs = {(cause, amount > 0) for bill in truth.bills().values() for cause, amount in bill.causes.items()}
    assert len([cause for cause, _ in signs if cause != "gateway_prices"]) == len(CAUSES) - 1


# --- what is planted for insights ------------------------------------------------------------------


def test_incidents_are_in_the_files(report: DemoReport, truth: Truth) -> None:
    """Each on its days and on no others before, as the logs have it."""
    incidents = {each.kind: each for each in truth.incidents() if each.member_type not in ("user", "team")}
    assert set(incidents) >= {
        "new_api_key", "error_rate", "cost_drop", "blended_price", "new_model", "cache_miss_rate", "cost_spike"
    }  # fmt: skip
    rows = {row["id"]: row for row in records(report.out_dir, "litellm/**/*.*")}
    day_of = {key: f"{datetime.fromtimestamp(int(row['startTime']), UTC):%Y-%m-%d}" for key, row in rows.items()}

    key, model = incidents["new_api_key"], incidents["new_model"]
    hashes = [day_of[id_] for id_, row in rows.items() if row["metadata"]["user_api_key_hash"] == key.member_id]
    assert min(hashes) >= key.days[0]
    first_calls = [day for (day, member) in truth.by_member("model") if member == model.member_id]
    assert min(first_calls) == model.days[0]

    cold = incidents["cache_miss_rate"]
    cached = {
        day_of[id_]
        for id_, row in rows.items()
        if row["model"].startswith(cold.member_id)
        and "mini" not in row["model"]
        and ((row["metadata"]["usage_object"] or {}).get("prompt_tokens_details") or {}).get("cached_tokens")
    }
    workdays = {day for day in truth.by_date() if date.fromisoformat(day).weekday() < 5}
    assert not cached & set(cold.days)
    assert len(workdays - cached - set(cold.days)) <= 5

    failing = incidents["error_rate"]
    for day, cell in truth.by_date().items():
        model_of_day = truth.by_member("model")[day, failing.member_id]
        if day in failing.days:
            assert model_of_day.errors * 3 > model_of_day.requests
        elif cell.requests > 200:
            assert model_of_day.errors * 3 < model_of_day.requests

    dear = incidents["blended_price"]
    prices = {
        day: cell.cost_usd / cell.total_tokens
        for (day, member), cell in truth.by_member("feature").items()
        if member == dear.member_id and cell.cost_usd is not None and day in workdays
    }
    assert min(prices[day] for day in dear.days) > 3 * max(
        price for day, price in prices.items() if day not in dear.days
    )
    untagged = incidents["cost_drop"]
    assert not [
        day for day, member in truth.by_member("feature") if member == untagged.member_id and day in untagged.days
    ]


def test_prompts_and_caches_are_in_the_files(report: DemoReport, truth: Truth) -> None:
    rows = {
        row["id"]: row for row in records(report.out_dir, "portkey/*/*.gz") if not isinstance(row["req_units"], str)
    }
    used: dict[str, list[int]] = {}
    for row in rows.values():
        if row["prompt_slug"] is not None:
            cell = used.setdefault(row["prompt_slug"], [0, 0])
            cell[0] += row["total_units"] - row["res_units"]
            cell[1] += row["total_units"] - row["res_units"] - row["req_units"]
    said: dict[str, list[int]] = {}
    for (_, prompt), use in truth.prompts().items():
        cell = said.setdefault(prompt, [0, 0])
        cell[0] += use.input_tokens
        cell[1] += use.cache_read_tokens
    # A placeholder may have been replaced by a row with usage.
    assert {prompt: said[prompt] for prompt in said} == {prompt: used[prompt] for prompt in said}
    assert said[COLD_PROMPT][1] == 0 < said["code-review-main"][1]
    attempts = {
        prompt: sum(use.attempts for (_, of), use in truth.prompts().items() if of == prompt)
        for prompt in (HEAVY_PROMPT, "reply-draft-main", "reply-draft-short")
    }
    heavy, *others = (said[prompt][0] / attempts[prompt] for prompt in attempts)
    assert all(heavy > 3 * other for other in others)


def test_duplicates_limits_and_ratings_are_in_the_files(report: DemoReport, truth: Truth) -> None:
    rows = {row["id"]: row for row in records(report.out_dir, "litellm/**/*.*")}
    hashes = Counter(row["cache_key"] for row in rows.values())
    assert all(len(key) == 64 and int(key, 16) for key in hashes)
    # Attempts of one call share a hash as well; those of the planted pages do so by the dozen.
    assert len([key for key, count in hashes.items() if count > 5]) == REPEATED_PROMPTS
    repeated = [use for (_, kind), use in truth.paid().items() if kind == "duplicate_prompts"]
    assert 0 < sum(use.attempts for use in repeated) < sum(count for count in hashes.values() if count > 5)
    limits = truth.limits()
    assert limits["2026-10", CLASSIFIER].output_tokens * 100 < limits["2026-10", CLASSIFIER].max_tokens
    assert all(use.output_tokens * 10 > use.max_tokens for (_, of), use in limits.items() if of != CLASSIFIER)
    with gzip.open(report.out_dir / "other" / "self_hosted.csv.gz", "rt", newline="") as file:
        ratings = {row["request_id"]: int(row["rating"]) for row in csv.DictReader(file) if row["rating"]}
    assert sum(count for count, _ in truth.ratings().values()) <= len(ratings)
    low = {month: total / count for (month, of), (count, total) in truth.ratings().items() if of == DISLIKED_FEATURE}
    assert low and all(average < 2 for average in low.values())


def test_what_is_paid_in_vain_is_part_of_the_cost(truth: Truth) -> None:
    kinds = {kind for _, kind in truth.paid()}
    assert kinds == {"paid_failures", "paid_retries", "paid_fallbacks", "duplicate_prompts"}
    for (month, kind), use in truth.paid().items():
        whole = sum(cell.cost_usd or 0 for day, cell in truth.by_date().items() if day.startswith(month))
        assert use.cost_usd is not None and 0 < use.cost_usd < whole / 10, (month, kind)


def test_switches_compare_all_that_a_model_cost(truth: Truth) -> None:
    """What could be compared is the whole cost of the model, in months in which the pair holds throughout."""
    switches = truth.switches()
    for switch in SWITCHES:
        for month in ("2026-08", "2026-09", "2026-10"):
            own = [
                each
                for (of, _, *pair), each in switches.items()
                if of == month and pair == [switch.model, switch.to_channel, switch.to_model]
            ]
            cost = sum(
                cell.cost_usd or 0
                for (day, model), cell in truth.by_member("model").items()
                if model == switch.model and day.startswith(month) and switch.holds(date.fromisoformat(day))
            )
            assert sum(each.cost_usd for each in own) == cost
    # Ten tokens more of everything: what a hand finds.
    mini = Switch("gpt-4o", "openai", "gpt-4o-mini", Decimal("1.1"))
    assert usd_text(switched_units(mini, date(2026, 10, 1), Tokens(1_000, 100, 500))) == "0.00018975"
    long = Switch("gemini-2.5-pro", "google", "gemini-3.1-pro-preview", Decimal("1.02"))
    assert usd_text(switched_units(long, date(2026, 10, 1), Tokens(200_000, 0))) == "0.408"
    assert usd_text(switched_units(long, date(2026, 10, 1), Tokens(200_001, 0))) == "0.81600408"
    no_write_price = Switch("claude-sonnet-4-5", "openai", "gpt-4.1")
    assert usd_text(switched_units(no_write_price, date(2026, 10, 1), Tokens(100, 0, 0, 40, 10))) == "0.0002"


def test_kpis_are_those_of_the_seed(report: DemoReport, truth: Truth) -> None:
    with (report.out_dir / "seeds" / "business_events.csv").open(encoding="utf-8") as file:
        events = [row for row in csv.DictReader(file) if row["event_date"].startswith("2026-10")]
    october = added([cell for day, cell in truth.by_date().items() if day.startswith("2026-10")])
    sessions = sum(int(row["quantity"]) for row in events if row["event_type"] == "sessions")
    assert {row["covers"] for row in events if row["event_type"] == "sessions"} == {"day", "month"}
    assert october.cost_usd is not None
    kpis = truth.kpis()
    assert kpis["2026-10", "total", "(all)", "cost_per_engagement"] == (october.cost_usd / sessions).quantize(
        Decimal("1e-12"), ROUND_HALF_UP
    )
    revenue = sum(
        Decimal(row["quantity"]) * Decimal(row["usd_per_unit"] or 1) for row in events if row["event_type"] == "revenue"
    )
    margin = (revenue - october.cost_usd) / revenue
    assert kpis["2026-10", "total", "(all)", "gross_margin_ratio"] == margin.quantize(Decimal("1e-12"), ROUND_HALF_UP)
    people = [int(row["quantity"]) for row in events if row["event_type"] == "active_users" and not row["feature_id"]]
    assert len(people) == 30
    mean = (Decimal(sum(people)) / 30).quantize(Decimal("1e-12"), ROUND_HALF_UP)
    each = (october.cost_usd / mean).quantize(Decimal("1e-12"), ROUND_HALF_UP)
    assert kpis["2026-10", "total", "(all)", "cost_per_active_user"] == each
    assert not [key for key in kpis if key[1] == "customer" and key[3] == "cost_per_engagement"]


def test_two_tiers_are_those_of_the_article(truth: Truth) -> None:
    """Standard holds 200,000 tokens a month, Professional a million; who needs more pays for it."""
    used = {key: month.used_tokens for key, month in truth.customer_months().items()}
    designed = {
        (month, who): each for (month, design, who), each in truth.plan_designs().items() if design == "two-tiers"
    }
    assert {each.plan_id for each in designed.values()} == {"standard", "professional"}
    for key, each in designed.items():
        assert each.plan_id == ("standard" if used[key] <= 200_000 else "professional")
        assert each.overage_tokens == max(0, used[key] - 1_000_000)
        overage = Decimal(min(used[key], 1_500_000) - 1_000_000) * 15 + Decimal(max(used[key] - 1_500_000, 0)) * 12
        if each.overage_tokens:
            assert each.revenue_usd == (99 + overage / 1_000_000).quantize(CENT, ROUND_HALF_UP)
    assert [key for key in designed if used[key] > 1_000_000]


# --- dirt -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("requests", [1_500, 20_000])
def test_every_sort_of_outcome_is_there(tmp_path: Path, requests: int) -> None:
    truth = Truth.load(generate(tmp_path, requests=requests).truth_path)
    outcomes = truth.counts("outcomes")
    assert {"fallback", "fallback_exhausted", "stream_without_usage", "error_with_usage", "timeout",
            "blocked_other", "blocked_guardrail", "rate_limited", "gateway_zero", "unknown_model",
            "check_failed", "embedding"} <= set(outcomes["portkey"])  # fmt: skip
    assert {"retry", "fallback", "guardrail", "timeout", "unknown_model"} <= set(outcomes["truefoundry"])
    assert {"retry", "fallback", "cache_hit", "blocked_budget", "usage_conflict"} <= set(outcomes["litellm"])
    assert "missing_usage" in outcomes["self_hosted"]


def test_lines_arrive_twice_late_and_grown(truth: Truth) -> None:
    assert {"duplicate", "overlap", "grown", "late"} <= set(truth.counts("deliveries")["portkey"])
    assert {"duplicate", "overlap", "late"} <= set(truth.counts("deliveries")["truefoundry"])
    assert {"duplicate", "overlap", "late"} <= set(truth.counts("deliveries")["litellm"])


def test_broken_lines_are_as_many_as_the_truth_says(report: DemoReport, truth: Truth) -> None:
    expected = truth.quarantined()
    assert sum(expected.values()) == report.quarantined
    assert {reason for _, _, reason in expected} == {"malformed", "truncated", "wrong_type"}
    unreadable = 0
    for path in [*report.out_dir.glob("portkey/*/*.gz"), *report.out_dir.glob("*/*.jsonl.gz")]:
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            try:
                unreadable += bool(line) and isinstance(json.loads(line).get("req_units"), str)
            except json.JSONDecodeError:
                unreadable += 1
    in_lines = [
        count
        for (source, _, reason), count in expected.items()
        if source != "self_hosted" and (source, reason) != ("litellm", "truncated")
    ]
    assert unreadable == sum(in_lines)


def test_metadata_comes_in_four_shapes_with_quotes_escaped(report: DemoReport) -> None:
    shapes: set[str] = set()
    text = ""
    for row in records(report.out_dir, "portkey/*/*.gz"):
        text += json.dumps(row.get("metadata"), default=str) if "neill" in str(row.get("metadata")) else ""
        if "metadataKey" in row:
            shapes.add("arrays")
        elif isinstance(row["metadata"], str):
            shapes.add("text")
        elif set(row["metadata"]) == {"key", "value"}:
            shapes.add("key and value")
        else:
            shapes.add("object")
    assert shapes == {"arrays", "text", "key and value", "object"}
    assert "o\\\\'neill-legal" in text


def test_special_values_reach_the_truth_clean(truth: Truth) -> None:
    customers = {member for _, member in truth.by_member("customer")}
    assert {"o'neill-legal", "MÜLLER-AG", "(unallocated)"} <= customers
    assert all(user == user.strip().lower() for _, user in truth.by_member("user"))
    assert any(len(value) == 128 for _, value in truth.by_tag("session_note"))
    assert {"unknown", "member", "api_key", "gateway", "metadata", "missing"} <= set(
        truth.counts("attribution")["team"]
    )


def test_a_few_quotas_break_and_every_rule_can(truth: Truth) -> None:
    breaches = truth.breaches()
    assert {breach["rule_id"] for breach in breaches} == {rule["id"] for rule in truth.document["quotas"]["rules"]}
    assert 5 <= len(breaches) <= 40
    for breach in breaches:
        assert breach["used"] > breach["limit_to"]
        assert breach["window_start"] <= breach["breached_at"] < breach["window_end"]


def test_a_team_and_people_change_place_inside_the_period(report: DemoReport, truth: Truth) -> None:
    moved = truth.parameters["reorganised_on"]
    assert truth.parameters["first_date"] < moved < truth.parameters["last_date"]
    with (report.out_dir / "seeds" / "org_teams.csv").open() as file:
        growth = [row for row in csv.DictReader(file) if row["team_id"] == "growth"]
    assert [row["cost_center_id"] for row in growth] == ["cc-product", "cc-sales"]
    assert growth[0]["valid_to"] == growth[1]["valid_from"] == moved
    with (report.out_dir / "seeds" / "org_members.csv").open() as file:
        assert sum(row["valid_from"] == moved for row in csv.DictReader(file)) > 10


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    def job(name: str, first: int, end: int) -> _Job:
        (tmp_path / name).mkdir(exist_ok=True)
        return _Job(tmp_path / name, 7, 3_000, date(2026, 10, 31), 30, first, end, tmp_path / name / f"part-{first}")

    one = _run([job("one", 0, 30)], None)
    two = _run([job("two", 0, 15), job("two", 15, 30)], None)
    assert document(one.ledger, (), {}) == document(two.ledger, (), {})
    assert one.ledger.meter == two.ledger.meter
    assert one.ledger.findings.to_truth() == two.ledger.findings.to_truth()
