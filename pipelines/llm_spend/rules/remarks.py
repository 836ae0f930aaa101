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

_DIGITS, _SCALE = 26, 12


class Unkept(NamedTuple):
    """A part of a file that a quota can't keep: without it the limit would be another one, so nothing is imported."""

    path: YamlPath
    message: str


class Note(NamedTuple):
    """A part of a file that is left out, or means something here that is worth a word: no obstacle."""

    path: YamlPath
    message: str


Remark = Unkept | Note


def of_amount(path: YamlPath, unit: str, amount: Decimal | None) -> Iterator[Remark]:
    """Of a limit that is no amount of its unit."""
    if amount is None:
        return
    _, digits, exponent = amount.normalize().as_tuple()
    scale = -exponent if isinstance(exponent, int) else 0
    if scale > 0 and not unit.startswith("cost"):
        yield Unkept(path, f"is {amount}; {unit.partition('_')[0]} are counted in whole numbers")
    elif scale > _SCALE or len(digits) - scale > _DIGITS:
        yield Unkept(path, f"is {amount}; {_DIGITS} digits are kept, and {_SCALE} digits of a dollar after the point")


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
