"""What Northwind has written down: the tags that it agreed on, and its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from llm_spend.demo.habits import MISSPELT_TAG
from llm_spend.demo.organisation import CUSTOMER_FACING, FEATURES, FOUNDED, TEAMS, write_csv
from llm_spend.demo.pricing import usd_text

UNREGISTERED_FEATURE = "invoice-reader"
"""Nobody wrote down what it is."""

RETIRED_TAG = "business_unit"
UNUSED_TAG = "project"
MAX_LENGTH = 128
"""Gateways cut values there."""


_HEADER = "tag_key,meaning,owner,allowed_values,pattern,required_in,since,retired,replaced_by"
_EMAIL = "^ *[A-Za-z0-9._-]+@[A-Za-z0-9.-]+ *$"
_CUSTOMER = "^(cust-[0-9]{4}|[^ ]*[a-zA-Z][^ ]*)$"
_MEANINGS = {
    "chat-assistant": "Answers questions inside the product",
    "code-review": "Comments on merge requests before a person does",
    "incident-notes": "Sums up what happened during an incident",
    "ticket-triage": "Sorts tickets by subject and urgency",
    "reply-draft": "Writes the first draft of an answer to a ticket",
    "setup-guide": "Leads new customers through their first hour",
}


def retired_on(days: Sequence[date]) -> date:
    """The first day on which nobody should send the retired tag any more."""
    return days[len(days) // 2]


def write_seeds(days: Sequence[date], folder: Path) -> None:
    """`tag_registry.csv` and `features.csv`."""
    write_csv(folder / "tag_registry.csv", _HEADER.split(","), _tags(days))
    write_csv(folder / "features.csv", ("feature_id", "feature_name", "description", "owner"), _features())


def truth(tags: Mapping[tuple[str, str, str], list[int]], days: Sequence[date]) -> dict[str, Any]:
    """finding -> key -> value ('' where all values are meant) -> attempts and their cost, from the ledger's tags."""
    registered = {row[0]: row[3].split("|") if row[3] else [] for row in _tags(days)}
    retired = retired_on(days).isoformat()
    found: dict[tuple[str, str, str], list[int]] = {}
    for (key, day, value), (attempts, units, _) in tags.items():
        findings = []
        if key not in registered:
            findings.append(("misspelt" if key == MISSPELT_TAG else "unregistered", ""))
        elif registered[key] and value not in registered[key]:
            findings.append(("bad_value", value))
        if key == RETIRED_TAG and day >= retired:
            findings.append(("retired", ""))
        if len(value) >= MAX_LENGTH:
            findings.append(("truncated", ""))
        for finding, of_value in findings:
            sums = found.setdefault((finding, key, of_value), [0, 0])
            sums[0] += attempts
            sums[1] += units
    nested: dict[str, Any] = {}
    for (finding, key, value), (attempts, units) in sorted(found.items()):
        nested.setdefault(finding, {}).setdefault(key, {})[value] = [attempts, usd_text(units)]
    return nested


def _tags(days: Sequence[date]) -> list[list[str]]:
    teams = "|".join(TEAMS)
    features = "|".join(sorted({feature for team in FEATURES.values() for feature in team}))
    first, retired = FOUNDED.isoformat(), retired_on(days).isoformat()
    team, feature, customer = "The team that pays", "The feature that calls", "The customer it is done for"
    environment = "Where the code runs"
    return [
        ["team", team, "finops", teams, "", "portkey|self_hosted", first, "", ""],
        ["team_id", team, "finops", teams, "", "", first, "", "team"],
        [RETIRED_TAG, team, "finops", teams, "", "", first, retired, "team"],
        ["feature", feature, "platform", features, "", "*", first, "", ""],
        ["feature_name", feature, "platform", features, "", "", first, "", "feature"],
        ["feature_id", feature, "platform", features, "", "", first, "", "feature"],
        ["customer_id", customer, "sales-ops", "", _CUSTOMER, "", first, "", ""],
        ["customer", customer, "sales-ops", "", _CUSTOMER, "", first, "", "customer_id"],
        ["environment", environment, "platform", "prod|staging|dev", "", "*", first, "", ""],
        ["env", environment, "platform", "prod|staging|dev", "", "", first, "", "environment"],
        ["_environment", environment, "platform", "prod|staging|dev", "", "", first, "", "environment"],
        ["release", "Year and week of the release", "platform", "", "^[0-9]{4}[.][0-9]{2}$", "", first, "", ""],
        ["plan", "The customer's plan", "sales-ops", "free|pro|enterprise", "", "", first, "", ""],
        ["_user", "Who calls, by e-mail address", "platform", "", _EMAIL, "", first, "", ""],
        ["user", "Who calls, by e-mail address", "platform", "", _EMAIL, "", first, "", ""],
        ["user_id", "Who calls, by e-mail address", "platform", "", _EMAIL, "", first, "", ""],
        [UNUSED_TAG, "Number of the project in the plan of the year", "finops", "", "^P-[0-9]+$", "",
         days[0].isoformat(), "", ""],
    ]  # fmt: skip


def _features() -> list[list[str]]:
    owners: dict[str, str] = {}
    for team, features in FEATURES.items():
        for feature in features:
            owners.setdefault(feature, team)
    return [
        [feature, feature.replace("-", " ").capitalize(),
         _MEANINGS.get(feature, "Part of the product" if owner in CUSTOMER_FACING else "For our own people"), owner]
        for feature, owner in sorted(owners.items())
        if feature != UNREGISTERED_FEATURE
    ]  # fmt: skip
