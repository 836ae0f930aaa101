"""Our own rule files: all that a quota can be, in words; and what their dates do to the seed."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from llm_spend.rules import SeedError, import_
from llm_spend.rules.seed import COLUMNS, read_rows
from tests.unit.rule_files import problems, seed_rows

EVERYTHING = """\
type: llm-spend-quotas
name: company
time_zone: Europe/Berlin
rules:
  - {id: search-monthly, team: search, limit: 500 USD per month, per: user, warn_at: [100, 80], from: 2026-03-10}
  - id: chat
    any_of: [user:Ann@acme.com, team:ads]
    customer: acme
    model: [gpt-4o*, claude-opus-5]
    metadata: {app: chat, env: [prod, "a=b"]}
    not:
      user: "*-bot@acme.com"
      metadata: {tier: free}
    limit: 1_000_000 tokens per 30 days
    per: [user, metadata.project]
    overrides: {Ann@acme.com: 5000}
    enforcement: audit
    from: 2026-01-01
    until: 2027-01-01
  - {id: rate, api_key: [k1, k2], limit: 0 requests per minute, time_zone: UTC}
  - {id: free, environment: dev, limit: none, time_zone: UTC}
  - {id: ever, cost_center: cc-1, feature: search, provider: openai, limit: 0.5 USD in total, enforcement: soft}
  - {id: all, limit: 10 requests per day, time_zone: America/New_York}
"""


def test_everything_that_a_quota_can_be_can_be_said(tmp_path: Path) -> None:
    rows = seed_rows(tmp_path, EVERYTHING)
    assert {row.pop("rule_set") for row in rows} == {"company"}
    chat = {
        "rule_id": "chat",
        "rule_order": "2",
        "models": "gpt-4o*|claude-opus-5",
        "metadata_key": "app",
        "metadata_value": "chat",
        "conditions": "customer=acme;metadata.env=a%3Db|prod;metadata.tier!=free;user!=*-bot@acme.com",
        "applies_per": "user|metadata.project",
        "unit": "tokens_per_30d",
        "limit_to": "1000000",
        "overrides": "ann@acme.com=5000",
        "time_zone": "Europe/Berlin",
        "enforcement": "audit",
        "valid_from": "2026-01-01",
        "valid_to": "2027-01-01",
    }
    assert {row["rule_id"]: row for row in rows if row["rule_id"] not in ("chat", "rate")} == {
        "search-monthly": {
            "rule_id": "search-monthly",
            "rule_order": "1",
            "subject_type": "team",
            "subject": "search",
            "applies_per": "user",
            "unit": "cost_per_month",
            "limit_to": "500",
            "time_zone": "Europe/Berlin",
            "alert_thresholds": "80|100",
            "valid_from": "2026-03-10",
        },
        "free": {
            "rule_id": "free",
            "rule_order": "4",
            "subject_type": "environment",
            "subject": "dev",
            "unit": "requests_per_day",
        },
        "ever": {
            "rule_id": "ever",
            "rule_order": "5",
            "subject_type": "feature",
            "subject": "search",
            "conditions": "cost_center=cc-1;provider=openai",
            "unit": "cost_per_lifetime",
            "limit_to": "0.5",
            "time_zone": "Europe/Berlin",
            "enforcement": "soft",
        },
        "all": {
            "rule_id": "all",
            "rule_order": "6",
            "unit": "requests_per_day",
            "limit_to": "10",
            "time_zone": "America/New_York",
        },
    }
    assert [row for row in rows if row["rule_id"] == "chat"] == [
        {**chat, "subject_type": "user", "subject": "ann@acme.com"},
        {**chat, "subject_type": "team", "subject": "ads"},
    ]
    assert [
        (row["subject_type"], row["subject"], row["unit"], row["limit_to"]) for row in rows if row["rule_id"] == "rate"
    ] == [
        ("api_key", "k1", "requests_per_minute", "0"),
        ("api_key", "k2", "requests_per_minute", "0"),
    ]


def test_no_column_of_the_seed_is_left_unsaid(tmp_path: Path) -> None:
    said = {name for row in seed_rows(tmp_path, EVERYTHING) for name in row}
    # What is usual is left out by the helper: all rules of a file count, unless it says otherwise.
    assert set(COLUMNS) - said == {"evaluation"}
    rows = seed_rows(tmp_path / "first", "evaluation: first_match\n" + EVERYTHING)
    assert {row["evaluation"] for row in rows} == {"first_match"}


@pytest.mark.parametrize(
    ("limit", "unit", "amount"),
    [
        ("5 USD per minute", "cost_per_minute", "5"),
        ("5.50 USD per hour", "cost_per_hour", "5.5"),
        ("1 request per day", "requests_per_day", "1"),
        ("1 token per week", "tokens_per_week", "1"),
        ("7 tokens per quarter", "tokens_per_quarter", "7"),
        ("7 requests in total", "requests_per_lifetime", "7"),
        ("7 requests per 1 days", "requests_per_day", "7"),
        ("0 USD per 9999 days", "cost_per_9999d", "0"),
    ],
)
def test_limits_in_words(tmp_path: Path, limit: str, unit: str, amount: str) -> None:
    [row] = seed_rows(tmp_path, f"type: llm-spend-quotas\nrules: [{{id: a, limit: {limit}}}]\n")
    assert (row["rule_set"], row["unit"], row["limit_to"]) == ("quotas", unit, amount)


@pytest.mark.parametrize(
    ("rule", "field", "words"),
    [
        ("limit: 500", ".limit", "such as 500 USD per month"),
        ("limit: 500 EUR per month", ".limit", "write an amount, USD"),
        ('limit: "1,000 USD per month"', ".limit", "write an amount"),
        ("limit: -5 USD per month", ".limit", "write an amount"),
        ("limit: 5 USD per year", ".limit", "month, quarter"),
        ("limit: 5 USD per 0 days", ".limit", "write an amount"),
        ("limit: 0.5 requests per day", ".limit", "whole numbers"),
        ("limit: 0.0000000000001 USD per day", ".limit", "12 digits"),
        ("limit: 9_000_000_000 USD in total", ".limit", "write `none`"),
        ("limit: 9_000_000_000_000_000_000 tokens in total", ".limit", "below 9,000,000,000,000,000,000 tokens"),
        ("limit: 0.00000099 USD per day", ".limit", "write 0"),
        ("limit: 1 USD per day, per: user, overrides: {a: 9000000000}", ".overrides.a", "leave it out"),
        ("limit: 1 USD per day, per: user, overrides: {'*@x.io': 5}", ".overrides", "'*@x.io' would stand for itself"),
        ("limit: none, api_key: sk-1234567890", ".api_key[0]", "write its hash"),
        ("limit: none, not: {api_key: [a, sk-1234567890]}", ".not.api_key[1]", "write its hash"),
        ("limit: none, any_of: ['user:a', 'api_key: sk-1234567890']", ".any_of[1]", "write its hash"),
        ("limit: 1 USD per day, per: api_key, overrides: {sk-1234567890: 5}", "", "write its hash"),
        ("team: a", ".limit", "is missing"),
        ("limit: none, teams: a", ".teams", "user, team, virtualaccount"),
        ("limit: none, team: []", ".team", "fill it"),
        ("limit: none, team: 5", ".team", "write a list"),
        ("limit: none, any_of: [a]", ".any_of[0]", "names no subject"),
        ("limit: none, any_of: ['user:*']", ".any_of[0]", "names no subject"),
        ("limit: none, not: {app: a}", ".not.app", "the fields are user"),
        ("limit: none, per: app", ".per[0]", "or metadata.<key>"),
        ("limit: none, per: [user, team, model]", ".per", "at most 2"),
        ("limit: 1 USD per day, overrides: {a: 5}", "", "write per:"),
        ("limit: _ USD per day", ".limit", "write an amount"),
        ("limit: 1 USD per day, per: user, overrides: {a: 5, A: 6}", "", "two overrides of one member"),
        ("limit: none, per: user, overrides: {a: 5}", "", "no limit that they would be instead of"),
        ("limit: 1 USD per day, per: user, overrides: {a: 5 USD}", ".overrides.a", "write a number"),
        ("limit: 1 request per day, per: user, overrides: {a: 1.5}", ".overrides.a", "whole numbers"),
        ("limit: none, warn_at: [0]", ".warn_at", "write 1 to"),
        ("limit: none, warn_at: [1, 2, 3, 4, 5, 6, 7]", ".warn_at", "6 can be kept"),
        ("limit: none, time_zone: localtime", ".time_zone", "Europe/Berlin"),
        ("limit: none, warn_at: [80.5]", ".warn_at[0]", "whole number"),
        ("limit: none, enforcement: block", ".enforcement", "write 'enforce'"),
        ("limit: none, time_zone: CEST", ".time_zone", "Europe/Berlin"),
        ("limit: none, from: 20260310", ".from", "2026-03-10"),
        ("limit: none, from: 2026-03-10 12:00:00", ".from", "2026-03-10"),
        ("limit: none, until: 2026-03-10", "", "write from: as well"),
        ("limit: none, from: 2026-03-10, until: 2026-03-10", "", "the first day without it"),
        ("limit: none, metadata: {'a|b': c}", ".metadata.a|b", "none of %"),
        ("limit: none, not: {metadata: {'a;b': c}}", ".not.metadata.a;b", "none of %"),
        ("limit: none, metadata: {a: [b, c], b: '*', c: d*}, not: {metadata: {d: e}}", "", "4 conditions on metadata"),
        ("limit: none, any_of: ['user:a'], user: a, team: b, customer: c, feature: d, cost_center: e, environment: f,"
         " provider: g", "", "7 conditions beside"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_stands(tmp_path: Path, rule: str, field: str, words: str) -> None:
    text = f"type: llm-spend-quotas\nrules:\n  - {{id: fine, limit: none}}\n  - {{id: wrong, {rule}}}\n"
    found = problems(tmp_path, text)
    assert [(line, path) for line, path, _ in found] == [(4, f"rules[1]{field}")]
    assert words in found[0][2]
    assert "1234567890" not in found[0][2]


@pytest.mark.parametrize(
    "limit",
    [
        "8_999_999_999.99 USD in total",
        "8_999_999_999_999_999_999 tokens in total",
        "0.000001 USD per day",
        "0 USD per day",
    ],
)
def test_the_most_and_the_least_that_can_be_computed(tmp_path: Path, limit: str) -> None:
    assert problems(tmp_path, f"type: llm-spend-quotas\nrules: [{{id: a, limit: {limit}}}]") == []


def test_a_key_is_not_told_where_its_limit_is_wrong(tmp_path: Path) -> None:
    key = "sk-" + "a1B2" * 8
    rule = f"{{id: a, limit: 1 USD per day, per: api_key, overrides: {{{key}: many}}}}"
    [(_, field, message)] = problems(tmp_path, f"type: llm-spend-quotas\nrules: [{rule}]")
    assert "write a number" in message and key not in field


def test_what_is_wrong_at_the_top(tmp_path: Path) -> None:
    text = "type: llm-spend-quotas\ntime-zone: UTC\nevaluation: some\nrules: []\n"
    assert [(line, path) for line, path, _ in problems(tmp_path, text)] == [
        (3, "evaluation"),
        (4, "rules"),
        (2, "time-zone"),
    ]


Imported = Callable[..., list[tuple[str, ...]]]


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    """Imports rules into one seed; the versions of it as id, order, limit and dates."""

    def imports(*rules: str, top: str = "", **options: object) -> list[tuple[str, ...]]:
        file = tmp_path / "rules.yaml"
        file.write_text(f"type: llm-spend-quotas\n{top}rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules))
        import_(file, tmp_path, **options)  # type: ignore[arg-type]
        with (tmp_path / "rules/quota_rules.csv").open(newline="") as stream:
            names = ("rule_id", "rule_order", "limit_to", "valid_from", "valid_to")
            return sorted(tuple(row[name] for name in names) for row in csv.DictReader(stream))

    return imports


def test_a_change_that_says_when_it_begins_ends_what_was_before(imported: Imported) -> None:
    before = imported("id: a, limit: 5 USD per month, from: 2026-01-01", "id: b, limit: 1 USD per day")
    assert before == [("a", "1", "5", "2026-01-01", ""), ("b", "2", "1", "2020-01-01", "")]
    changed = ["id: a, limit: 6 USD per month, from: 2026-03-15", "id: b, limit: 1 USD per day"]
    after = [
        ("a", "1", "5", "2026-01-01", "2026-03-15"),
        ("a", "1", "6", "2026-03-15", ""),
        ("b", "2", "1", "2020-01-01", ""),
    ]
    assert imported(*changed) == after
    assert imported(*changed) == after
    # A correction of the version that began that day.
    assert imported("id: a, limit: 7 USD per month, from: 2026-03-15", changed[1])[1] == (
        "a", "1", "7", "2026-03-15", "",
    )  # fmt: skip
    with pytest.raises(SeedError, match="until 2026-03-15; import with a date on or after it"):
        imported("id: a, limit: 7 USD per month, from: 2026-02-01", changed[1])


def test_warnings_and_enforcement_change_in_place_so_that_the_count_goes_on(imported: Imported, tmp_path: Path) -> None:
    rule = "id: a, limit: 5 USD in total, any_of: [user:a, team:b]"
    first = imported(f"{rule}, warn_at: [80]", valid_from=date(2026, 1, 1))
    file = tmp_path / "rules.yaml"
    file.write_text(f"type: llm-spend-quotas\nrules:\n  - {{{rule}, warn_at: [50, 90], enforcement: audit}}\n")
    result = import_(file, tmp_path, valid_from=date(2026, 3, 15))
    assert (result.changed, result.unchanged) == (("a",), ())
    rows = read_rows(tmp_path / "rules/quota_rules.csv")
    names = ("alert_thresholds", "enforcement", "valid_from", "valid_to")
    assert [tuple(row[name] for name in names) for row in rows] == [("50|90", "audit", "2026-01-01", "")] * 2
    assert import_(file, tmp_path).unchanged == ("a",)
    # A date that is said is that of another version.
    assert imported(f"{rule}, warn_at: [60], from: 2026-04-01") == [
        *[(*version[:-1], "2026-04-01") for version in first],
        *[(*version[:-2], "2026-04-01", "") for version in first],
    ]


def test_a_rule_that_ends_can_be_imported_again_and_can_come_back(imported: Imported) -> None:
    ends = "id: a, limit: 5 USD per month, from: 2026-01-01, until: 2026-02-01"
    for _ in range(2):
        assert imported(ends) == [("a", "1", "5", "2026-01-01", "2026-02-01")]
    assert imported(ends.replace("02-01", "04-01")) == [("a", "1", "5", "2026-01-01", "2026-04-01")]
    assert imported("id: a, limit: 5 USD per month, from: 2026-06-01") == [
        ("a", "1", "5", "2026-01-01", "2026-04-01"),
        ("a", "1", "5", "2026-06-01", ""),
    ]


def test_a_new_rule_on_top_begins_no_other_one_anew_where_all_count(imported: Imported) -> None:
    imported("id: a, limit: 5 USD in total", "id: b, limit: 6 USD in total")
    rules = [
        "id: new, limit: 1 USD per day, from: 2026-05-01",
        "id: a, limit: 5 USD in total",
        "id: b, limit: 6 USD in total",
    ]
    assert imported(*rules) == [
        ("a", "1", "5", "2020-01-01", ""),
        ("b", "2", "6", "2020-01-01", ""),
        ("new", "3", "1", "2026-05-01", ""),
    ]


def test_where_the_first_counts_two_rules_never_have_one_place(imported: Imported) -> None:
    top = "evaluation: first_match\n"
    imported("id: a, limit: 5 USD per day", "id: b, limit: 6 USD per day", top=top)
    swapped = ["id: b, limit: 6 USD per day, from: 2026-05-01", "id: a, limit: 5 USD per day"]
    with pytest.raises(SeedError, match="place 1 on 2026-05-01"):
        imported(swapped[0], top=top)
    assert len(imported(swapped[0], swapped[1] + ", from: 2026-05-01", top=top)) == 4


def test_an_older_seed_is_read_and_gets_its_columns_when_something_changes(tmp_path: Path) -> None:
    seed = tmp_path / "rules/quota_rules.csv"
    seed.parent.mkdir()
    older = [
        name
        for name in COLUMNS
        if name not in ("conditions", "overrides", "time_zone", "enforcement", "alert_thresholds")
    ]
    values = "limits,a,1,first_match,team,ml,,,,user,requests_per_day,5,2026-01-01,"
    seed.write_text(f"{','.join(older)}\n{values}\n")
    before = seed.read_bytes()
    file = tmp_path / "rules.yaml"
    rules = (
        "name: limits\ntype: gateway-rate-limiting-config\nrules:\n- {id: a, when: {subjects: [team:ml]}, limit_to: 5, "
    )
    rules += "unit: requests_per_day, rate_limit_applies_per: [user]}\n"
    file.write_text(rules)
    assert import_(file, tmp_path).unchanged == ("a",)
    assert seed.read_bytes() == before
    file.write_text(rules.replace("limit_to: 5", "limit_to: 6"))
    assert import_(file, tmp_path).changed == ("a",)
    header, first, second = seed.read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert first.startswith("limits,a,1,first_match,team,ml,,,,,user,requests_per_day,5,,,,,2026-01-01,20")
    assert re.fullmatch(r"limits,a,1,first_match,team,ml,,,,,user,requests_per_day,6,,,,,20\d\d-\d\d-\d\d,", second)
