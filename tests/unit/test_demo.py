"""The demo writes what it says: deterministic files with every sort of dirt, and a truth that adds up."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_spend.demo import DemoReport, Truth, generate
from llm_spend.demo.bills import CAUSES
from llm_spend.demo.chargeback import UNITS_PER_CENT, rounded_cents, statement
from llm_spend.demo.generate import _Job, _run, _write_days
from llm_spend.demo.pricing import Tokens, cost_units, usd_text
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
        results[name] = (digest(tmp_path / name), csv_text, document(ledger, (), {}), ledger.meter)
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
