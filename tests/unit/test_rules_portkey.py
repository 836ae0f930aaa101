"""Policies of Portkey: as its API takes and gives them, what of them becomes a quota, and what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_spend.rules import import_
from tests.unit.rule_files import notes, problems, seed_rows

ANSWER = """\
{
  "object": "list",
  "data": [
    {
      "id": "p-1",
      "name": "Cost per API key",
      "conditions": [{"key": "workspace_id", "value": "ws-1"}],
      "group_by": [{"key": "api_key"}],
      "type": "cost",
      "credit_limit": 1000.5,
      "alert_threshold": 800.4,
      "periodic_reset": "monthly",
      "next_usage_reset_at": null,
      "status": "active",
      "workspace_id": "66dc015d",
      "organisation_id": "org-1",
      "created_at": "2026-01-01T00:00:00Z",
      "value_key_usage_map": {"api_key:k1": {"current_usage": 12, "status": "active"}}
    },
    {
      "id": "p-2",
      "name": "Tokens per user",
      "conditions": [
        {"key": "api_key", "value": "*"},
        {"key": "metadata._user", "value": "*", "excludes": ["bob", "x|y"]},
        {"key": "model", "value": ["@openai/gpt-4o", "@anthropic/*"], "excludes": "@openai/gpt-4o-mini"},
        {"key": "provider", "value": "openai"},
        {"key": "metadata.team", "value": "ml"}
      ],
      "group_by": [{"key": "metadata._user"}, {"key": "workspace_id"}],
      "type": "tokens",
      "credit_limit": 1000000,
      "periodic_reset": "weekly"
    },
    {"id": "p-3", "name": "Requests", "conditions": [{"key": "api_key", "value": ["k1", "k2"]}],
     "group_by": [{"key": "model"}, {"key": "api_key"}], "type": "requests", "credit_limit": 0,
     "periodic_reset": "daily"},
    {"id": "p-4", "name": "Ever", "type": "cost", "credit_limit": 5, "alert_threshold": null, "periodic_reset": null},
    {"id": "p-5", "name": "Ever", "type": "cost", "credit_limit": 6, "periodic_reset_days": 10},
    {"id": "p-6", "name": "Gone", "type": "cost", "credit_limit": 7, "status": "archived"}
  ]
}
"""


def test_a_list_of_usage_policies_is_the_rows_of_one_rule_set(tmp_path: Path) -> None:
    rows = seed_rows(tmp_path, ANSWER)
    assert {row.pop("rule_set") for row in rows} == {"portkey/usage-limits"}
    assert rows == [
        {
            "rule_id": "Cost per API key",
            "rule_order": "1",
            "applies_per": "api_key",
            "unit": "cost_per_month",
            "limit_to": "1000.5",
            "alert_thresholds": "80",
        },
        {
            "rule_id": "Tokens per user",
            "rule_order": "2",
            "models": "@openai/gpt-4o|@anthropic/*",
            "metadata_key": "team",
            "metadata_value": "ml",
            "conditions": "metadata._user!=bob|x%7Cy;metadata._user=*;model!=@openai/gpt-4o-mini;provider=openai",
            "applies_per": "metadata._user",
            "unit": "tokens_per_week",
            "limit_to": "1000000",
        },
        *(
            {
                "rule_id": "Requests",
                "rule_order": "3",
                "subject_type": "api_key",
                "subject": key,
                "applies_per": "model|api_key",
                "unit": "requests_per_day",
                "limit_to": "0",
            }
            for key in ("k1", "k2")
        ),
        {"rule_id": "p-4", "rule_order": "4", "unit": "cost_per_lifetime", "limit_to": "5"},
        {"rule_id": "p-5", "rule_order": "5", "unit": "cost_per_10d", "limit_to": "6"},
    ]


def test_what_is_left_out_of_policies_or_means_something_else_is_told(tmp_path: Path) -> None:
    assert notes(tmp_path, ANSWER) == [
        (39, "data[4].periodic_reset_days"),
        (40, "data[5].status"),
        (7, "data[0].conditions[0]"),
    ]


RATE = {
    "name": "per team",
    "conditions": [{"key": "metadata.team", "value": ["ml", "ads"]}],
    "group_by": [{"key": "metadata.user_id"}],
    "type": "tokens",
    "unit": "rpm",
    "value": 100,
}


@pytest.mark.parametrize(("unit", "window"), [("rpm", "minute"), ("rph", "hour"), ("rpd", "day"), ("rpw", "week")])
def test_one_rate_limit_is_a_rule_set_of_its_own(tmp_path: Path, unit: str, window: str) -> None:
    [row] = seed_rows(tmp_path, json.dumps({**RATE, "unit": unit, "target": "llm"}))
    assert row == {
        "rule_set": "portkey/rate-limits/per team",
        "rule_id": "per team",
        "rule_order": "1",
        "conditions": "metadata.team=ads|ml",
        "applies_per": "metadata.user_id",
        "unit": f"tokens_per_{window}",
        "limit_to": "100",
    }


def test_a_list_closes_the_policies_of_its_kind_that_it_lacks(tmp_path: Path) -> None:
    file, seeds = tmp_path / "policies.json", tmp_path / "seeds"
    usage = {"name": "u", "type": "cost", "credit_limit": 5}
    file.write_text(json.dumps([RATE, {**RATE, "name": "b"}, usage]))
    assert import_(file, seeds).added == ("per team", "b", "u")
    file.write_text(json.dumps([RATE]))
    assert import_(file, seeds).closed == ("b",)
    file.write_text(json.dumps([{**RATE, "status": "archived"}]))
    assert import_(file, seeds).closed == ("per team",)
    assert "portkey/usage-limits,u,1" in (seeds / "rules/quota_rules.csv").read_text()


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"type": "cost"}, "", "write type: requests or tokens"),
        ({"unit": None}, "", "has a value but no unit"),
        ({"unit": "rps"}, ".unit", "write 'rpm'"),
        ({"value": 1.5}, ".value", "whole numbers"),
        ({"value": "many"}, ".value", "write a number"),
        ({"name": None}, "", "has no name"),
        ({"credit_limit": 5}, "", "is no policy"),
        ({"target": "mcp_tools"}, ".target", "only limits on models"),
        ({"conditions": [{"key": "prompt", "value": "p"}]}, ".conditions[0].key", "can't be told from a request"),
        ({"conditions": [{"key": "team", "value": "p"}]}, ".conditions[0].key", "or metadata.<key>"),
        ({"conditions": [{"key": "api_key"}]}, ".conditions[0].value", "is missing"),
        ({"conditions": [{"key": "api_key", "value": ["a", "sk-1234567890"]}]}, ".conditions[0].value",
         "write its hash"),
        ({"conditions": [{"key": "api_key", "value": "*", "excludes": "sk-1234567890"}]}, ".conditions[0].excludes",
         "write its hash"),
        ({"value": 9_000_000_000_000_000_000}, ".value", "leave it out"),
        ({"conditions": [{"key": "api_key", "value": []}]}, ".conditions[0].value", "fill it"),
        ({"conditions": [{"key": "api_key", "val": "a", "value": "b"}]}, ".conditions[0].val", "key, value, excludes"),
        ({"conditions": [{"key": "metadata.a;b", "value": "p"}]}, ".conditions[0].key", "none of %"),
        ({"conditions": [{"key": "provider", "value": "azure-openai"}]}, ".conditions[0].value", "list the models"),
        ({"conditions": [{"key": "workspace_id", "value": ["a", "b"]}]}, ".conditions[0]", "of one workspace"),
        ({"conditions": [{"key": f"metadata.{key}", "value": "*"} for key in "abcd"]}, ".conditions", "4 conditions"),
        ({"group_by": [{"key": "virtual_key"}]}, ".group_by[0].key", "can't be told from a request"),
        ({"group_by": [{"key": f"metadata.{key}"} for key in "abc"]}, ".group_by", "a counter of 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_policy_is_told_where_it_stands(
    tmp_path: Path, changed: dict[str, Any], field: str, words: str
) -> None:
    # JSON is a rule file too, and what is wrong is on the line of its second policy.
    text = f"[{json.dumps(RATE)},\n{json.dumps({**RATE, 'name': 'second', **changed})}]"
    found = problems(tmp_path, text)
    assert [(line, path) for line, path, _ in found] == [(2, f"[1]{field}")]
    assert words in found[0][2]
    assert "1234567890" not in found[0][2]


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"alert_threshold": 0.01}, ".alert_threshold", "write 1 to"),
        ({"periodic_reset": "yearly"}, ".periodic_reset", "write 'daily'"),
        ({"periodic_reset": "weekly", "periodic_reset_days": 5}, "", "leave one of them out"),
        ({"periodic_reset_days": 400}, ".periodic_reset_days", "365"),
        ({"credit_limit": -1}, ".credit_limit", "0 or more"),
        ({"credit_limit": 9_000_000_000}, ".credit_limit", "below 9,000,000,000 USD"),
        ({"credit_limit": 0.0000000000001}, ".credit_limit", "12 digits"),
    ],
)
def test_what_is_wrong_in_a_usage_policy(tmp_path: Path, changed: dict[str, Any], field: str, words: str) -> None:
    found = problems(tmp_path, json.dumps([{"name": "u", "type": "cost", "credit_limit": 5, **changed}]))
    assert [path for _, path, _ in found] == [f"[0]{field}"]
    assert words in found[0][2]


def test_policies_of_two_workspaces_or_of_one_name_are_not_one_rule_set(tmp_path: Path) -> None:
    policies = [{**RATE, "name": name, "workspace_id": name} for name in "ab"]
    [(_, field, message)] = problems(tmp_path, json.dumps(policies))
    assert field == "[1].workspace_id" and "a and b" in message
    found = problems(tmp_path, json.dumps([RATE, RATE]))
    assert [message for *_, message in found] == ["'per team' is there twice; give each policy its own name"] * 2


@pytest.mark.parametrize("answer", [{"total": 2}, {"has_more": True}, {"total": 1, "has_more": True}])
def test_a_page_is_not_taken_for_all(tmp_path: Path, answer: dict[str, object]) -> None:
    [(_, _, message)] = problems(tmp_path, json.dumps({"data": [RATE], **answer}))
    assert "get all pages first" in message
    assert problems(tmp_path, json.dumps({"data": [RATE], "total": 1, "has_more": False})) == []


def test_a_list_of_something_else_is_not_taken_for_policies(tmp_path: Path) -> None:
    [(line, _, message)] = problems(tmp_path, json.dumps([{"team_id": "a"}]))
    assert line == 1 and "keys:, teams:" in message
    assert problems(tmp_path, '{"object": "list", "data": []}') == [(1, "data", "is an empty list; fill it")]
