"""A quota rule, as the warehouse keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from llm_spend.zones import zone_names

Evaluation = Literal["first_match", "all_match"]
Enforcement = Literal["", "soft", "audit"]

SUBJECT_KINDS = ("user", "team", "virtualaccount", "api_key", "customer", "feature", "cost_center", "environment")
DIMENSIONS = (*SUBJECT_KINDS, "model", "provider")
METADATA = "metadata."
EVERYONE = (("*", "*"),)
# What the models ask of a request, each a part of one statement.
MOST_CONDITIONS = 6
MOST_METADATA_CONDITIONS = 3
MOST_THRESHOLDS = 6
HIGHEST_THRESHOLD = 99999
_RESERVED = re.compile(r"[%;|=]")
# Names that every warehouse knows: of places, and not `localtime`.
_ZONE = re.compile(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)+")


class Condition(NamedTuple):
    """What a request must be: its `key` one of the values, or none of them. `*` in a value stands for anything.

    `key`: one of DIMENSIONS, or `metadata.<key>`.
    """

    key: str
    values: tuple[str, ...]
    excludes: bool = False


@dataclass(frozen=True)
class QuotaRule:
    """One rule of a rule set. `order` starts at 1.

    `limit_to` is in requests, tokens or US dollars; None: the rule matches and limits nothing. `overrides`: other
    limits, by member of the first counter of `applies_per`. `valid_from` and `valid_to` (exclusive) are dates in the
    rule's zone, None where the file doesn't say.
    """

    rule_set: str
    rule_id: str
    order: int
    evaluation: Evaluation
    unit: str
    limit_to: Decimal | None
    subjects: tuple[tuple[str, str], ...] = EVERYONE
    models: tuple[str, ...] = ()
    metadata: tuple[str, str] | None = None
    conditions: tuple[Condition, ...] = ()
    applies_per: tuple[str, ...] = ()
    overrides: Mapping[str, Decimal] | None = None
    time_zone: str = ""
    enforcement: Enforcement = ""
    alert_thresholds: tuple[int, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None


def is_key(text: str) -> bool:
    """Whether requests can be told apart by `text`: a dimension, or a metadata key that fits into a seed cell."""
    name = text.removeprefix(METADATA)
    return text in DIMENSIONS or (name != text and bool(name) and not re.search(r"[%;|=!]", name))


def not_secret(value: str) -> str:
    """The id or hash of a key. Raises ValueError when it is the key itself."""
    if value.strip().startswith("sk-"):
        raise ValueError(
            "is a key; write its hash or id, which is what logs have (of LiteLLM `token` in the answer of /key/list)"
        )
    return value


def plain(key: str, value: str) -> str:
    """A value as the warehouse has it: users are in lower case."""
    if key.startswith(METADATA):
        return value
    return value.strip().lower() if key == "user" else value.strip()


def narrowed(rule: QuotaRule, conditions: Iterable[Condition]) -> QuotaRule:
    """A rule for everyone, with conditions of which all must hold.

    What has columns of its own goes there (subjects, models, one pair of metadata), so that a rule without further
    conditions is joined by equality.
    """
    subjects: tuple[tuple[str, str], ...] = EVERYONE
    models: tuple[str, ...] = ()
    metadata: tuple[str, str] | None = None
    others: list[Condition] = []
    for condition in conditions:
        key, excludes = condition.key, condition.excludes
        values = tuple(dict.fromkeys(plain(key, value) for value in condition.values))
        is_exact = not excludes and not any("*" in value for value in values)
        if key in SUBJECT_KINDS and is_exact and subjects == EVERYONE:
            subjects = tuple((key, value) for value in values)
        elif key == "model" and not excludes and not models and not any("|" in value for value in values):
            models = values
        elif key.startswith(METADATA) and is_exact and len(values) == 1 and metadata is None:
            metadata = (key.removeprefix(METADATA), values[0])
        else:
            others.append(Condition(key, values, excludes))
    return replace(rule, subjects=subjects, models=models, metadata=metadata, conditions=tuple(others))


def time_zone(value: str) -> str:
    """An IANA time zone as a rule has it: UTC is the empty one. Raises ValueError."""
    if value.upper() in ("UTC", "ETC/UTC", ""):
        return ""
    if not _ZONE.fullmatch(value) or value not in zone_names():
        raise ValueError(f"{value!r} is no time zone; write an IANA name, such as Europe/Berlin")
    return value


def zone_of_windows(unit: str, zone: str) -> str:
    """The zone that the windows of a unit have: minutes and hours are UTC, days and longer the rule's."""
    return "" if unit.endswith(("_minute", "_hour")) else zone


def encoded(value: str) -> str:
    """A value as it stands in a cell of conditions or overrides: what separates values there is percent-encoded."""
    return _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", value)


def conditions_text(conditions: Iterable[Condition]) -> str:
    """`team=ads|search;user!=*@partner.com`, in an order of its own: that of a file means nothing."""
    return ";".join(
        sorted(
            f"{key}{'!=' if excludes else '='}{'|'.join(sorted(encoded(value) for value in values))}"
            for key, values, excludes in conditions
        )
    )


def overrides_text(overrides: Mapping[str, Decimal] | None) -> str:
    """`ann@acme.com=900|bob@acme.com=50.5`, sorted too."""
    return "|".join(sorted(f"{encoded(member)}={decimal_text(limit)}" for member, limit in (overrides or {}).items()))


def decimal_text(amount: Decimal) -> str:
    """A number in full, without an exponent and without zeros that say nothing."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
