"""Budgets and rate limits of LiteLLM: the proxy's config, and rows of its API by kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_spend.rules import import_
from tests.unit.rule_files import notes, problems, seed_rows

CONFIG = """\
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o}}
litellm_settings:
  max_budget: 1000
  budget_duration: 30d
  timezone: Europe/Berlin
  drop_params: true
general_settings: {master_key: os.environ/KEY}
"""

ROWS = """\
litellm_settings: {timezone: US/Eastern}
budgets:
  - {budget_id: gold, max_budget: 50, soft_budget: 40, budget_duration: 1mo, tpm_limit: 1000}
  - {budget_id: unused, max_budget: 1}
keys:
  - token: 88dc28d0
    key_alias: ci
    key_name: sk-...3e6b
    max_budget: 10
    budget_duration: 1d
    rpm_limit: 100
    tpd_limit: 5
    max_parallel_requests: 3
    model_max_budget: {gpt-4o: {budget_limit: "0.5", time_period: 1h, tpm_limit: 9}, claude-*: 7}
    budget_limits: [{budget_duration: 7d, max_budget: 20}, {budget_duration: 10d, max_budget: 30}]
    spend: 1.5
    metadata: {budget_owner: finance}
teams:
  - {team_id: 13e83b19, team_alias: Search, budget_id: gold, rpm_limit: null, team_member_budget: 5,
     team_member_budget_duration: 1w, team_member_rpm_limit: 3}
  - {team_id: ads, soft_budget: 12}
users:
  - {user_id: Ann@x.io, max_budget: 100, soft_budget: 120, budget_duration: 7d, user_role: internal_user}
customers:
  - {user_id: acme-7, litellm_budget_table: {budget_id: q, max_budget: 0, budget_duration: daily}}
team_memberships:
  - {user_id: Bob, team_id: 13e83b19, litellm_budget_table: {max_budget: 2}}
organizations:
  - {organization_id: o, max_budget: null}
"""


def test_the_budget_of_the_proxy_is_a_rule_for_everyone(tmp_path: Path) -> None:
    assert seed_rows(tmp_path, CONFIG) == [
        {
            "rule_set": "litellm/proxy",
            "rule_id": "proxy max_budget",
            "rule_order": "1",
            "unit": "cost_per_month",
            "limit_to": "1000",
            "time_zone": "Europe/Berlin",
        }
    ]


def test_every_limit_of_every_row_is_a_rule(tmp_path: Path) -> None:
    rows = seed_rows(tmp_path, ROWS)
    names = ("rule_set", "rule_id", "subject", "models", "conditions", "applies_per", "unit", "limit_to", "time_zone")
    assert [tuple(row.get(name, "") for name in names) for row in rows] == [
        ("litellm/customers", "acme-7 max_budget", "acme-7", "", "", "", "cost_per_day", "0", "US/Eastern"),
        ("litellm/keys", "ci max_budget", "88dc28d0", "", "", "", "cost_per_day", "10", "US/Eastern"),
        ("litellm/keys", "ci rpm_limit", "88dc28d0", "", "", "", "requests_per_minute", "100", ""),
        ("litellm/keys", "ci tpd_limit", "88dc28d0", "", "", "", "tokens_per_day", "5", "US/Eastern"),
        ("litellm/keys", "ci max_budget gpt-4o", "88dc28d0", "gpt-4o", "", "", "cost_per_hour", "0.5", ""),
        ("litellm/keys", "ci tpm_limit gpt-4o", "88dc28d0", "gpt-4o", "", "", "tokens_per_minute", "9", ""),
        ("litellm/keys", "ci max_budget claude-*", "88dc28d0", "claude-*", "", "", "cost_per_lifetime", "7",
         "US/Eastern"),
        ("litellm/keys", "ci max_budget 7d", "88dc28d0", "", "", "", "cost_per_week", "20", "US/Eastern"),
        ("litellm/keys", "ci max_budget 10d", "88dc28d0", "", "", "", "cost_per_10d", "30", "US/Eastern"),
        ("litellm/team_memberships", "Bob in Search max_budget", "bob", "", "team=Search", "", "cost_per_lifetime", "2",
         "US/Eastern"),
        ("litellm/teams", "Search max_budget", "Search", "", "", "", "cost_per_month", "50", "US/Eastern"),
        ("litellm/teams", "Search tpm_limit", "Search", "", "", "", "tokens_per_minute", "1000", ""),
        ("litellm/teams", "Search team_member_budget", "Search", "", "user!=bob", "user", "cost_per_week", "5",
         "US/Eastern"),
        ("litellm/teams", "Search team_member_rpm_limit", "Search", "", "user!=bob", "user", "requests_per_minute", "3",
         ""),
        ("litellm/teams", "ads soft_budget", "ads", "", "", "", "cost_per_lifetime", "12", "US/Eastern"),
        ("litellm/users", "Ann@x.io max_budget", "ann@x.io", "", "", "", "cost_per_week", "100", "US/Eastern"),
    ]  # fmt: skip
    kinds = {row["rule_set"]: row["subject_type"] for row in rows}
    assert kinds == {
        "litellm/customers": "user",
        "litellm/keys": "api_key",
        "litellm/team_memberships": "user",
        "litellm/teams": "team",
        "litellm/users": "user",
    }
    said = {row["rule_id"]: (row.get("enforcement"), row.get("alert_thresholds")) for row in rows}
    assert {rule: values for rule, values in said.items() if values != (None, None)} == {
        "Search max_budget": (None, "80"),
        "ads soft_budget": ("audit", None),
        "Ann@x.io max_budget": (None, "120"),
    }


def test_what_is_left_out_of_rows_is_told(tmp_path: Path) -> None:
    assert notes(tmp_path, ROWS) == [
        (4, "budgets[1]"),
        (13, "keys[0].max_parallel_requests"),
        (22, "users"),
        (12, "keys[0].tpd_limit"),
        (15, "keys[0].budget_limits[1]"),
    ]
    assert notes(tmp_path, CONFIG.replace("1000", "0") + ROWS[ROWS.index("budgets") :])[0] == (
        4,
        "litellm_settings.max_budget",
    )


def test_members_of_a_team_that_is_not_listed_are_told(tmp_path: Path) -> None:
    member = "team_memberships: [{user_id: a, team_id: t, max_budget: 1}, {user_id: b, team_id: t}]\n"
    assert notes(tmp_path, member) == [(1, "team_memberships[0]")]
    assert notes(tmp_path, f"{member}teams: [{{team_id: t}}]\n") == []


def test_what_members_have_of_their_own_is_not_that_of_every_member(tmp_path: Path) -> None:
    rows = seed_rows(
        tmp_path,
        "budgets: [{budget_id: gold, rpm_limit: 9}]\n"
        "teams:\n"
        "- {team_id: t, team_member_budget: 5, team_member_rpm_limit: 3, team_member_tpm_limit: 7}\n"
        "- {team_id: other, team_member_budget: 6}\n"
        "team_memberships:\n"
        "- {user_id: Ann, team_id: t, max_budget: 1}\n"
        "- {user_id: bob, team_id: t, litellm_budget_table: {max_budget: 0}}\n"
        "- {user_id: cy, team_id: t, budget_id: gold}\n",
    )
    assert {row["rule_id"]: row.get("conditions") for row in rows if row["rule_set"] == "litellm/teams"} == {
        "t team_member_budget": "user!=ann|bob",
        "t team_member_rpm_limit": "user!=ann|bob|cy",
        "t team_member_tpm_limit": "user!=ann|bob|cy",
        "other team_member_budget": None,
    }


@pytest.mark.parametrize(
    ("answer", "field", "words"),
    [
        ("total_count: 2, current_page: 1, total_pages: 1", "", "(1 rows of 2)"),
        ("total: 2", "", "get all pages first"),
        ("total_pages: 2", "", "get all pages first"),
        ("user_id: a, user_info: {max_budget: 5}", "user_info", "one user's answer"),
        ("team_id: a", "team_id", "/team/list"),
    ],
)
def test_a_part_of_a_list_is_not_taken_for_all(tmp_path: Path, answer: str, field: str, words: str) -> None:
    [(_, path, message)] = problems(tmp_path, f"{{keys: [{{token: a, max_budget: 1}}], {answer}}}")
    assert path == field and words in message


def test_the_only_page_of_a_list_is_all_of_it(tmp_path: Path) -> None:
    text = "{keys: [{token: a, max_budget: 1}], total_count: 1, current_page: 1, total_pages: 1, user_id: null}"
    assert problems(tmp_path, text) == []


def test_a_list_closes_what_it_lacks_of_its_kind_only(tmp_path: Path) -> None:
    file, seeds = tmp_path / "budgets.yaml", tmp_path / "seeds"
    for text in (CONFIG, ROWS):
        file.write_text(text)
        assert import_(file, seeds).closed == ()
    file.write_text("litellm_settings: {timezone: US/Eastern}\nteams:\n- {team_id: ads, soft_budget: 12}\n")
    result = import_(file, seeds)
    assert (result.unchanged, len(result.closed)) == (("ads soft_budget",), 4)
    file.write_text(CONFIG.replace("max_budget: 1000", "max_budget: 0"))
    assert import_(file, seeds).closed == ("proxy max_budget",)


@pytest.mark.parametrize(
    ("duration", "window"),
    [
        ("1m", "minute"), ("60s", "minute"), ("1h", "hour"), ("24h", "day"), ("daily", "day"), ("7d", "week"),
        ("1w", "week"), ("30d", "month"), ("1mo", "month"), ("monthly", "month"), ("2d", "2d"), ("2w", "14d"),
        ("28d", "28d"), ("null", "lifetime"),
    ],
)  # fmt: skip
def test_durations(tmp_path: Path, duration: str, window: str) -> None:
    [row] = seed_rows(tmp_path, f"users: [{{user_id: a, max_budget: 1, budget_duration: {duration}}}]")
    assert row["unit"] == f"cost_per_{window}"


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        ("{token: a, max_budget: 1, budget_duration: 30s}", "[1].max_budget", "leave it out"),
        ("{token: a, max_budget: 1, budget_duration: 2h}", "[1].max_budget", "leave it out"),
        ("{token: a, max_budget: 1, budget_duration: 2mo}", "[1].max_budget", "every 2mo"),
        ("{token: a, max_budget: 1, budget_duration: 99999d}", "[1].max_budget", "leave it out"),
        ("{token: a, max_budget: 1, temp_budget_increase: 5}", "[1].temp_budget_increase", "a rise that ends"),
        ("{token: a, max_budget: 1, max_budget_a_session: 5}", "[1].max_budget_a_session", "can't be kept"),
        (
            "{token: a, litellm_budget_table: {max_budget: 1, temp_budget_increase: 2}}",
            "[1].litellm_budget_table.temp_budget_increase",
            "a rise that ends",
        ),
        ("{token: a, metadata: {model_rpm_limit: {m: 1}}}", "[1].metadata.model_rpm_limit", "can't be kept"),
        ("{token: a, max_budget: 0.0000000000001}", "[1].max_budget", "12 digits"),
        ("{token: a, max_budget: 1000, soft_budget: 1}", "[1].max_budget", "write 1 to"),
        ("{token: a, max_budget: x}", "[1].max_budget", "write a number"),
        ("{token: a, rpm_limit: 1.5}", "[1].rpm_limit", "whole number"),
        ("{token: a, model_max_budget: {m: {limit: 1}}}", "[1].model_max_budget.m.limit", "the fields are max_budget"),
        ("{token: first, max_budget: 1}", "[1].max_budget", "is there twice"),
        ("{key_alias: a, max_budget: 1}", "[1].token", "is missing"),
        ("{token: sk-1234567890, max_budget: 1}", "[1].token", "write its hash"),
        ("sk-1234567890", "[1]", "write keys and values"),
    ],
)
def test_what_is_wrong_in_a_row_is_told_where_it_stands(tmp_path: Path, row: str, field: str, words: str) -> None:
    found = problems(tmp_path, f"keys:\n- {{token: first, max_budget: 1}}\n- {row}\n")
    assert [(line, path) for line, path, _ in found] == [(3, f"keys{field}")]
    assert words in found[0][2]
    assert "1234567890" not in found[0][2]


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("litellm_settings: {max_budget: 1, timezone: Mars}", "litellm_settings.timezone", "Europe/Berlin"),
        (
            "litellm_settings: {max_budget: 1, budget_reset_time: '9:00'}",
            "litellm_settings.budget_reset_time",
            "midnight",
        ),
        (
            "litellm_settings: {max_budget: 1, tag_budget_config: {a: {}}}",
            "litellm_settings.tag_budget_config",
            "leave it",
        ),
        (
            "litellm_settings: {max_budget: 1}\nrouter_settings: {provider_budget_config: {openai: {budget_limit: 1}}}",
            "router_settings.provider_budget_config",
            "leave it",
        ),
        ("users: [{user_id: a, rpm_limit: 1}]\ntags: [{tag_name: a, max_budget: 1}]", "tags[0]", "their tag"),
        ("budgets: [{budget_id: a, max_budget: 1}]", "", "limits nothing"),
        ("keys: 5", "keys", "write a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file(tmp_path: Path, text: str, field: str, words: str) -> None:
    [(_, path, message)] = problems(tmp_path, text)
    assert path == field and words in message
