"""From the data set's match trees to rows that SQL can join: one row per pattern."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from llm_spend.prices.dataset import AllOf, AnyOf, Catalogue, Clause, Match
from llm_spend.prices.makers import maker

_NOT_CONTAINING = re.compile(r"\^\(\?!\.\*(?P<pattern>.*)\)")
# What DuckDB, Snowflake and BigQuery read alike, and no warehouse needs escaped in a string.
_PORTABLE = re.compile(r"[\w^$\[\]{}().,@/:|+*-]*")


@dataclass(frozen=True)
class Alias:
    """A name that matches `pattern`, and doesn't match `excluded_pattern`, means `model_id`. Lower case."""

    provider: str
    channel: str
    model_id: str
    match_type: str
    pattern: str
    excluded_pattern: str
    catalogue_order: int


class NotPortable(ValueError):
    """A match tree or a regular expression that the alias table can't hold."""


def catalogue_aliases(
    catalogue: Catalogue, withheld: Collection[tuple[str, str]] = ()
) -> tuple[list[Alias], list[str]]:
    """The aliases of a catalogue, and a line for each clause that had to be left out.

    `withheld` holds (channel, pattern) pairs that are not to be emitted. A pattern that two models share
    belongs to the first of them, as upstream resolves it.
    """
    aliases: dict[tuple[str, str], Alias] = {}
    skipped: list[str] = []
    for order, model in enumerate(catalogue.models, start=1):
        for clause in _alternatives(model.match):
            try:
                match_type, pattern, excluded = _test(clause)
            except NotPortable as error:
                skipped.append(f"{catalogue.channel} {model.model_id}: {error}")
                continue
            if (catalogue.channel, pattern) in withheld:
                continue
            alias = Alias(
                provider=maker(catalogue.channel, model.model_id),
                channel=catalogue.channel,
                model_id=model.model_id,
                match_type=match_type,
                pattern=pattern,
                excluded_pattern=excluded,
                catalogue_order=order,
            )
            aliases.setdefault((match_type, pattern), alias)
    return list(aliases.values()), skipped


def _alternatives(clause: Clause) -> Iterator[Match | AllOf]:
    if isinstance(clause, AnyOf):
        for part in clause.clauses:
            yield from _alternatives(part)
    else:
        yield clause


def _test(clause: Match | AllOf) -> tuple[str, str, str]:
    """(match type, pattern, excluded pattern). "This, but not containing that" is the only AND known."""
    if isinstance(clause, Match):
        pattern = portable_regex(clause.pattern) if clause.kind == "regex" else clause.pattern.lower()
        return clause.kind, pattern, ""
    wanted = [part for part in clause.clauses if _exclusion(part) is None]
    exclusions = [found for part in clause.clauses if (found := _exclusion(part)) is not None]
    if len(wanted) != 1 or len(exclusions) != 1 or not isinstance(wanted[0], Match):
        raise NotPortable(f"unknown AND: {clause}")
    match_type, pattern, _ = _test(wanted[0])
    return match_type, pattern, portable_regex(exclusions[0])


def _exclusion(clause: Clause) -> str | None:
    """What must not occur, when the clause is a regular expression of the form ^(?!.*PATTERN)."""
    if not isinstance(clause, Match) or clause.kind != "regex":
        return None
    found = _NOT_CONTAINING.fullmatch(clause.pattern)
    return found["pattern"] if found else None


def portable_regex(pattern: str) -> str:
    r"""The same expression in lower case without backslashes and non-capturing groups.

    `^gpt-5\.6-\d{4}$` becomes `^gpt-5[.]6-[0-9]{4}$`. Raises NotPortable when that
    leaves something that the warehouses read differently.
    """
    portable = re.sub(r"\\([.\-/])", r"[\1]", pattern.replace(r"\d", "[0-9]")).replace("(?:", "(").lower()
    if not _PORTABLE.fullmatch(portable):
        raise NotPortable(f"regular expression {pattern!r}")
    return portable
