"""Rows for the tag registry and the attribution rules, proposed from what callers send."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path

from llm_spend.answers.formats import printable
from llm_spend.answers.marts import MARTS, open_marts
from llm_spend.destinations import Destination
from llm_spend.errors import UserError
from llm_spend.tags.check import GATEWAY_KEYS, LONGEST, is_secret
from llm_spend.tags.registry import COLUMNS, Registry

RULE_COLUMNS = ("dimension", "source_system", "metadata_key", "priority")

_TABLES = frozenset({"llm_usage_by_tag_daily", "llm_tag_audit"})
_MOST_VALUES = 20
_LOOKED_AT = 200
_FEWEST_OF_A_SHAPE = 3
_TOO_MANY = "(too many values)"

# Words by which a key tells whom it names, without `_`: those of other gateways, and of people who never read our page.
_OWNER_WORDS = {
    "user": ("user", "userid", "username", "useremail", "enduser", "enduserid", "email", "employee", "requester"),
    "team": ("team", "teamid", "teamname", "squad", "group", "department", "dept", "businessunit", "division", "tribe"),
    "feature": (
        "feature",
        "featureid",
        "featurename",
        "usecase",
        "app",
        "appname",
        "application",
        "product",
        "workflow",
    ),
    "customer": (
        "customer",
        "customerid",
        "customername",
        "tenant",
        "tenantid",
        "client",
        "clientid",
        "account",
        "org",
    ),
    "environment": ("environment", "env", "stage", "deploymentenvironment"),
}


@dataclass(frozen=True)
class Used:
    """A value that callers sent under a key."""

    key: str
    value: str
    requests: int
    first: date


@dataclass(frozen=True)
class Suggestion:
    """What to paste into the two seeds, and what to know about it."""

    registry: tuple[dict[str, str], ...]
    rules: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


def suggest(destination: Destination, registry: Registry, rules: Sequence[Mapping[str, str]]) -> Suggestion:
    """Propose a row for each key that the registry lacks. `rules`: the attribution rules that are there.

    Raises UserError when the tables can't be read.
    """
    with open_marts(destination, _TABLES) as marts:
        used = [
            Used(*row)
            for row in marts.rows(
                f"""
                select tag_key, tag_value, requests, first_date
                from (
                    select
                        tag_key, tag_value, sum(requests) as requests, min(usage_date) as first_date,
                        row_number() over (partition by tag_key order by sum(requests) desc, tag_value) as place
                    from {MARTS}.llm_usage_by_tag_daily
                    group by tag_key, tag_value
                ) as used_values
                where place <= {_LOOKED_AT}
                order by tag_key, place
                """
            )
        ]
        likenesses = marts.rows(
            f"""
            select distinct finding, tag_key, tag_value, similar_to
            from {MARTS}.llm_tag_audit
            where finding in ('misspelt', 'near_duplicate_value', 'bad_value') and similar_to is not null
            order by finding, tag_key, tag_value
            """
        )
    misspelt = {key: similar for finding, key, _, similar in likenesses if finding == "misspelt"}
    slips = {(key, value): similar for finding, key, value, similar in likenesses if finding != "misspelt"}
    return propose(used, misspelt, slips, registry, rules)


def propose(
    used: Iterable[Used],
    misspelt: Mapping[str, str],
    slips: Mapping[tuple[str, str], str],
    registry: Registry,
    rules: Sequence[Mapping[str, str]],
) -> Suggestion:
    """The proposal, without anything that looks like a secret.

    misspelt: keys and what they nearly are; slips: the same of values.
    """
    keys: dict[str, list[Used]] = defaultdict(list)
    for each in used:
        if not each.key.startswith((*GATEWAY_KEYS, "(")) and not is_secret(each.key):
            keys[each.key].append(each)
    known = {rule["metadata_key"].strip(): rule["dimension"].strip() for rule in rules}
    owners = {key: known.get(key) or _owner_of(key) for key in keys}
    secret = [key for key, values in keys.items() if any(is_secret(each.value) for each in values)]
    notes = [f"Values of `{key}` look like secrets: they should not be sent, and none is proposed." for key in secret]
    notes += [f"`{key}` is nearly `{similar}`: not proposed." for key, similar in misspelt.items() if key in keys]
    notes += [
        f"`{key}`: `{value}` is nearly `{similar}`: not among the values."
        for (key, value), similar in slips.items()
        if key in keys and key not in registry.keys and key not in secret
    ]
    proposed = [key for key in keys if key not in registry.keys and key not in misspelt]
    main = _main_keys(keys, owners, registry, proposed)
    rows = []
    for key in sorted(proposed):
        values = [each for each in keys[key] if (key, each.value) not in slips]
        allowed, pattern = ("", "") if key in secret else _values(values, owners[key])
        replaced_by = main.get(owners[key] or "", key)
        row = dict.fromkeys(COLUMNS, "") | {
            "tag_key": key,
            "allowed_values": allowed,
            "pattern": pattern,
            "since": min(each.first for each in keys[key]).isoformat(),
            "replaced_by": replaced_by if replaced_by != key else "",
        }
        rows.append(row)
    return Suggestion(tuple(rows), tuple(_rules(proposed, owners, known, rules)), tuple(map(printable, notes)))


def registry_rows(suggestion: Suggestion) -> str:
    """The rows for the registry as a seed file."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(suggestion.registry)
    return text.getvalue()


def write(suggestion: Suggestion, file: Path) -> None:
    """Write the rows of the registry into a new file.

    Raises UserError when it is there, since these are only the rows that the registry lacks, or can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as written:
            written.write(registry_rows(suggestion))
    except FileExistsError as error:
        raise UserError(
            f"{error.filename} is there already; it stays as it is.",
            "Give another name, and add the rows to the registry yourself.",
        ) from error
    except OSError as error:
        raise UserError(f"{file} can't be written: {error.strerror}.", "Give another file with --output.") from error


def _owner_of(key: str) -> str | None:
    """The owner that a key seems to name."""
    word = re.sub(r"[^a-z]", "", key.lower())
    return next((dimension for dimension, words in _OWNER_WORDS.items() if word in words), None)


def _main_keys(
    keys: Mapping[str, Sequence[Used]], owners: Mapping[str, str | None], registry: Registry, proposed: Sequence[str]
) -> dict[str, str]:
    """Of each owner the key that others are to be replaced by: a registered one, else that with the most requests."""
    main: dict[str, str] = {}
    requests = {key: sum(each.requests for each in values) for key, values in keys.items()}
    for key in sorted(keys, key=lambda key: (-requests[key], key)):
        owner, row = owners[key], registry.keys.get(key)
        if owner and row and not row.replaced_by and not row.retired:
            main.setdefault(owner, key)
    for key in sorted(proposed, key=lambda key: (-requests[key], key)):
        if owner := owners[key]:
            main.setdefault(owner, key)
    return main


def _values(values: Sequence[Used], owner: str | None) -> tuple[str, str]:
    """Allowed values, or the pattern that all of them fit; neither for people and for free text."""
    texts = [each.value for each in values]
    if owner == "user" or any(
        text == _TOO_MANY or "|" in text or "@" in text or len(text) >= LONGEST for text in texts
    ):
        return "", ""
    shapes = {re.sub(r"[0-9]", "0", text) for text in texts}
    if len(shapes) == 1 and len(texts) >= _FEWEST_OF_A_SHAPE and "0" in (shape := shapes.pop()):
        return "", _pattern(shape)
    if len(texts) > _MOST_VALUES:
        return "", ""
    return "|".join(sorted(text.strip() for text in texts)), ""


def _pattern(shape: str) -> str:
    """`cust-0000` as a pattern that every warehouse reads: a set where others would escape."""
    parts = re.findall(r"0+|[^0]", shape)
    return "^" + "".join(_part(part) for part in parts) + "$"


def _part(part: str) -> str:
    if part[0] == "0":
        return "[0-9]" + (f"{{{len(part)}}}" if len(part) > 1 else "")
    return part if part.isalnum() or part in "-_/: " else "[" + part + "]" if part not in "^\\[]" else "."


def _rules(
    proposed: Sequence[str],
    owners: Mapping[str, str | None],
    known: Mapping[str, str],
    rules: Sequence[Mapping[str, str]],
) -> Iterable[dict[str, str]]:
    """Rules for keys that seem to name an owner and count for nobody yet, behind those that are there."""
    last: dict[str, int] = defaultdict(int)
    for rule in rules:
        last[rule["dimension"].strip()] = max(last[rule["dimension"].strip()], int(rule["priority"]))
    for key in sorted(proposed):
        if (owner := owners[key]) and key not in known:
            last[owner] += 1
            yield dict(zip(RULE_COLUMNS, (owner, "*", key, str(last[owner])), strict=True))
