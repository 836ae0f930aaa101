"""How quotas and budgets are called, for people: whose counter it is, and of what."""

from __future__ import annotations

from urllib.parse import unquote

_KINDS = {"virtualaccount": "virtual account"}


def subject_words(subject_type: str, subject: str) -> str:
    """`team search`; `user ann, project id 7` of a counter by two keys; `everyone`."""
    if subject_type == "rule":
        return "all that the rule names"
    kinds = subject_type.split("|")
    if len(kinds) == 1:
        return _named(subject_type, subject)
    # Of two values, each is written so that it has no `|`.
    return ", ".join(map(_named, kinds, map(unquote, subject.split("|"))))


def unit_words(unit: str | None) -> str:
    """`tokens per day` of `tokens_per_day`, `cost per month` of `cost_per_month`; nothing where there is no period."""
    return (unit or "").replace("_", " ")


def _named(kind: str, name: str) -> str:
    if "*" in (kind, name):
        return "everyone"
    return f"{_KINDS.get(kind) or kind.removeprefix('metadata.').replace('_', ' ')} {name}"
