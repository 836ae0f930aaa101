"""What a file says of which a quota keeps nothing, or something else: found by every form alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from llm_spend.rules.quota import (
    HIGHEST_THRESHOLD,
    METADATA,
    MOST_CONDITIONS,
    MOST_METADATA_CONDITIONS,
    MOST_THRESHOLDS,
    Condition,
    is_key,
)
from llm_spend.rules.yaml_lines import YamlPath

_SCALE = 12
# What the models can compute with: nanodollars, or requests and tokens, in whole numbers of 64 bits, and what is used
# as a share of the limit.
_MOST_COST, _MOST_COUNT = Decimal(9_000_000_000), Decimal(9_000_000_000_000_000_000)
_LEAST_COST = Decimal("0.000001")


class Unkept(NamedTuple):
    """A part of a file that a quota can't keep: without it the limit would be another one, so nothing is imported."""

    path: YamlPath
    message: str


class Note(NamedTuple):
    """A part of a file that is left out, or means something here that is worth a word: no obstacle."""

    path: YamlPath
    message: str


Remark = Unkept | Note


def of_pages(rows: int, total: object = None, pages: object = None, *, has_more: object = False) -> Iterator[Remark]:
    """Of an answer that is only a part of a list: what it lacks would end."""
    if (isinstance(total, int) and total > rows) or (isinstance(pages, int) and pages > 1) or (has_more is True):
        of_all = f" of {total}" if isinstance(total, int) else ""
        message = f"is one page of several ({rows} rows{of_all}), and rules that a list lacks end: get all pages first"
        yield Unkept((), f"{message}, and import one list of all their rows")


def of_overridden(path: YamlPath, members: Iterable[str]) -> Iterator[Remark]:
    """Of members with limits of their own: they are names, and no patterns."""
    for member in members:
        if "*" in member:
            yield Unkept(path, f"{member!r} would stand for itself: name each member, or write a rule of its own")


def of_amount(path: YamlPath, unit: str, amount: Decimal | None) -> Iterator[Remark]:
    """Of a limit that is no amount of its unit, or with which nothing can be computed."""
    if amount is None:
        return
    _, _, exponent = amount.normalize().as_tuple()
    scale = -exponent if isinstance(exponent, int) else 0
    measure = unit.partition("_")[0]
    most = _MOST_COST if measure == "cost" else _MOST_COUNT
    if scale > 0 and measure != "cost":
        yield Unkept(path, f"is {amount}; {measure} are counted in whole numbers")
    elif amount >= most:
        named = f"{most:,} {'USD' if measure == 'cost' else measure}"
        yield Unkept(path, f"is {amount}; limits are below {named}: leave it out, or write `none` in our own form")
    elif scale > _SCALE:
        yield Unkept(path, f"is {amount}; {_SCALE} digits of a dollar are kept after the point")
    elif 0 < amount < _LEAST_COST:
        message = f"is {amount:f}; the least is {_LEAST_COST} USD: write 0, if nothing may be used, or leave it out"
        yield Unkept(path, message)


def of_thresholds(path: YamlPath, thresholds: Iterable[Decimal]) -> Iterator[Remark]:
    """Of warnings below 1 %, between whole percents, or too many."""
    given = list(thresholds)
    if len(whole_percents(given)) > MOST_THRESHOLDS:
        yield Unkept(path, f"has {len(given)} thresholds; {MOST_THRESHOLDS} can be kept")
    for threshold in given:
        if not 1 <= threshold <= HIGHEST_THRESHOLD:
            yield Unkept(path, f"has {threshold:.2f} %; write 1 to {HIGHEST_THRESHOLD} %")
        elif threshold != threshold.to_integral_value():
            [whole] = whole_percents([threshold])
            yield Note(path, f"{threshold:.2f} % is kept as {whole} %: thresholds are whole percents here")


def whole_percents(thresholds: Iterable[Decimal]) -> tuple[int, ...]:
    """Thresholds in percent, rounded down: rather a warning too early."""
    return tuple(sorted({int(each.to_integral_value(ROUND_FLOOR)) for each in thresholds}))


def of_metadata_keys(path: YamlPath, keys: Iterable[str]) -> Iterator[Remark]:
    """Of the keys of a mapping at `path`."""
    yield from of_keys(((*path, key), METADATA + key) for key in keys)


def of_keys(paths: Iterable[tuple[YamlPath, str]]) -> Iterator[Remark]:
    """Of metadata keys that do not fit into a cell of the seed."""
    for path, key in paths:
        if not is_key(key):
            yield Unkept(path, f"{key!r} can't be kept: a metadata key has none of % ; | = !")


def of_conditions(path: YamlPath, kept: Sequence[Condition]) -> Iterator[Remark]:
    """Of more conditions than are asked for, beside those that have columns of their own."""
    asked = [condition.key for condition in kept if condition.key.startswith(METADATA)]
    if len(asked) > MOST_METADATA_CONDITIONS:
        beside = "beside one of one plain value"
        yield Unkept(path, f"has {len(asked)} conditions on metadata {beside}; {MOST_METADATA_CONDITIONS} can be kept")
    elif len(kept) > MOST_CONDITIONS:
        beside = "beside a subject, models and one plain value of metadata"
        yield Unkept(path, f"has {len(kept)} conditions {beside}; {MOST_CONDITIONS} can be kept")


def of_targets(path: YamlPath, targets: object) -> Iterator[Remark]:
    """Of who is told when a threshold is reached."""
    if targets:
        yield Note(path, "who is told is left out: `llm-spend alerts` has its own targets")
