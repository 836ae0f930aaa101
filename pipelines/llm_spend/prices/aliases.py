"""From the data set's match trees to rows that SQL can join: one row per pattern and what it meant when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

from llm_spend.errors import UserError
from llm_spend.prices.dataset import AllOf, AnyOf, Catalogue, Clause, Match
from llm_spend.prices.makers import maker

_NOT_CONTAINING = re.compile(r"\^\(\?!\.\*(?P<pattern>.*)\)")
# What DuckDB, Snowflake and BigQuery read alike, and no warehouse needs escaped in a string.
_PORTABLE = re.compile(r"[\w^$\[\]{}().,@/:|+*?-]*")
_NOT_PORTABLE = re.compile(r"\(\?|[*+?}]\?")  # groups with a meaning, quantifiers that take as little as they can


@dataclass(frozen=True)
class Alias:
    """A name that matches `pattern`, and doesn't match `excluded_pattern`, means `model_id`. Patterns in lower case.

    It does so in [valid_from, valid_to); None is always, and still.
    """

    provider: str
    channel: str
    model_id: str
    match_type: str
    pattern: str
    excluded_pattern: str
    catalogue_order: int
    valid_from: date | None = None
    valid_to: date | None = None

    @property
    def key(self) -> AliasKey:
        return self.channel, self.match_type, self.pattern

    @property
    def model(self) -> tuple[str, str]:
        return self.channel, self.model_id

    @property
    def meaning(self) -> tuple[str, str]:
        return self.model_id, self.excluded_pattern


AliasKey = tuple[str, str, str]


class NotPortable(ValueError):
    """A match tree or a regular expression that the alias table can't hold."""


def catalogue_aliases(catalogue: Catalogue) -> tuple[list[Alias], list[str]]:
    """The aliases of a catalogue, and a line for each clause that had to be left out.

    A pattern that two models share belongs to the first of them, as upstream resolves it.
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


def reconcile_aliases(
    rows: Sequence[Alias], offered: Iterable[Alias], orders: Mapping[tuple[str, str], int], as_of: date
) -> list[Alias]:
    """The alias table after `as_of`, in the order of the file.

    `orders` has the place in its catalogue of every (channel, model) of the data set. A pattern that moved to another
    model, or was taken from one that is still there, ends at `as_of`; patterns of models that are gone stay, tried
    after all others. Raises UserError when rows of one pattern overlap.
    """
    check_aliases(rows)
    wanted = {alias.key: alias for alias in offered}
    known: dict[AliasKey, list[Alias]] = {key: [] for key in wanted}
    for row in sorted(rows, key=lambda row: row.valid_from or date.min):
        known.setdefault(row.key, []).append(row)
    kept = [row for key, uses in known.items() for row in _continued(uses, wanted.get(key), orders, as_of)]
    after = in_order(_ordered_by_catalogue(kept, orders))
    check_aliases(after)
    return after


def _continued(
    uses: Sequence[Alias], alias: Alias | None, orders: Mapping[tuple[str, str], int], as_of: date
) -> Sequence[Alias]:
    """What one pattern meant in the course of time, and what it means to the data set now."""
    current = next((use for use in uses if use.valid_to is None), None)
    if current is None and alias is None:
        return uses
    if current is not None:
        is_gone = alias is None and current.model not in orders
        if is_gone or (alias is not None and alias.meaning == current.meaning):
            return uses
    past = [use for use in uses if use.valid_to is not None]
    if current is not None and current.valid_from != as_of:
        past.append(replace(current, valid_to=as_of))
    if alias is None:
        return past
    if past and past[-1].valid_to == as_of and past[-1].meaning == alias.meaning:
        return [*past[:-1], replace(past[-1], valid_to=None)]
    return [*past, replace(alias, valid_from=as_of) if past else alias]


def in_order(rows: Iterable[Alias]) -> list[Alias]:
    """Rows as the file has them."""
    return sorted(rows, key=lambda a: (a.channel, a.catalogue_order, a.match_type, a.pattern, a.valid_from or date.min))


def check_aliases(rows: Iterable[Alias]) -> None:
    """Raises UserError when one pattern means two models at a time."""
    ordered = sorted(rows, key=lambda a: (a.key, a.valid_from or date.min))
    for row, following in pairwise(ordered):
        if row.key == following.key and (following.valid_from or date.min) < (row.valid_to or date.max):
            raise UserError(
                f"The alias table has {row.match_type} {row.pattern!r} of {row.channel} twice at a time.",
                "Restore the file; names of your own belong in alias_overrides.csv.",
            )


def _ordered_by_catalogue(rows: Sequence[Alias], orders: Mapping[tuple[str, str], int]) -> list[Alias]:
    """Rows with their model's place in the catalogue; models that are gone come after it, in the order they had."""
    channels = {channel for channel, _ in orders}
    gone = sorted({(r.channel, r.catalogue_order, r.model_id) for r in rows if r.model not in orders})
    places = dict(orders)
    last = {channel: max(place for (other, _), place in orders.items() if other == channel) for channel in channels}
    for channel, _, model_id in gone:
        if channel in channels and (channel, model_id) not in places:
            last[channel] += 1
            places[channel, model_id] = last[channel]
    return [replace(row, catalogue_order=places.get(row.model, row.catalogue_order)) for row in rows]


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
    if not _PORTABLE.fullmatch(portable) or _NOT_PORTABLE.search(portable):
        raise NotPortable(f"regular expression {pattern!r}")
    return portable
