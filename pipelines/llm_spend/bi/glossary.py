"""A glossary for people: which tags mean what, who is who, and what every number is made of."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from io import StringIO
from pathlib import Path

from llm_spend.answers.formats import printable
from llm_spend.bi.semantics import Aggregate, Conditions, Format, Measure, Ratio, Semantics, Table
from llm_spend.build import project_dir
from llm_spend.errors import UserError
from llm_spend.seeds import read_seed, seed_place

Rows = Sequence[Mapping[str, str]]

_DIMENSIONS = {"user": "user_id", "team": "team_id", "feature": "feature_id", "customer": "customer_id"}
_DIMENSIONS |= {"environment": "environment"}
_UNITS: Mapping[Format | None, str] = {
    "count": "number",
    "number": "number",
    "usd": "USD",
    "usd_exact": "USD",
    "percent": "share",
    "ms": "milliseconds",
    None: "date or time",
}
_FUNCTIONS = {"sum": "sum of", "min": "least", "max": "greatest", "distinct": "distinct"}


@dataclass(frozen=True)
class Seeds:
    """Rows of the seeds that name things, as text."""

    attribution_rules: Rows
    org_teams: Rows
    tag_registry: Rows = ()
    features: Rows = ()
    kpis: Rows = ()


@dataclass(frozen=True)
class Feature:
    """A feature that requests were tagged with, and the dates (UTC) of the first and the last of them."""

    name: str
    first: date
    last: date


def read_seeds(folder: Path | None) -> Seeds:
    """The seeds of a folder, and those of the package where it has none of that name: what a build of it takes.

    Raises UserError for a folder that was given and is not there, and for a file that is wrong.
    """
    if folder and not folder.is_dir():
        raise UserError(f"The seeds folder {folder} does not exist.", "Give a folder with --seeds.")

    def rows(name: str) -> Rows:
        packaged = next((project_dir() / "seeds").rglob(f"{name}.csv"))
        own = seed_place(folder, packaged.parent.name, packaged.name) if folder else packaged
        content = read_seed(own if own.is_file() else packaged, packaged)
        return list(csv.DictReader(StringIO(content.decode())))

    return Seeds(**{field.name: rows(field.name) for field in fields(Seeds)})


def glossary(semantics: Semantics, seeds: Seeds, features: Iterable[Feature] = (), remark: str = "") -> str:
    """The page, as Markdown."""
    usage = next(iter(semantics.tables.values()))
    lines = ["# Glossary", "", *([remark, ""] if remark else []), *_tags(usage, seeds)]
    lines += _features(usage, seeds, tuple(features))
    lines += _teams(seeds)
    lines += _kpis(seeds)
    lines += _numbers(semantics)
    return "\n".join(lines).rstrip() + "\n"


def _tags(usage: Table, seeds: Seeds) -> Iterator[str]:
    yield from ("## Tags", "")
    yield from (
        "Which key in the metadata of a request says what, by the seed `attribution_rules`; of several the first.",
        "Any other key is in `llm_usage_by_tag_daily` without further ado.",
        "",
    )
    rows = []
    for meaning, column in _DIMENSIONS.items():
        description = usage.model.columns[column].description
        rows.append((meaning, f"`{column}`", _keys(seeds, meaning) or "none", description))
    yield from _table(("means", "column", "keys", "meaning"), rows)
    yield from _registry(seeds)


def _keys(seeds: Seeds, meaning: str) -> str:
    rules = [rule for rule in seeds.attribution_rules if rule["dimension"] == meaning]
    rules.sort(key=lambda rule: (int(rule["priority"]), rule["metadata_key"]))
    return ", ".join(
        f"`{rule['metadata_key']}`" + (f" ({rule['source_system']})" if rule["source_system"] != "*" else "")
        for rule in rules
    )


def _registry(seeds: Seeds) -> Iterator[str]:
    """What the registry says of each key; nothing when it is empty."""
    rows = [
        (
            f"`{printable(row['tag_key'])}`",
            printable(row["meaning"]),
            printable(row["owner"]),
            _allowed(row),
            ", ".join(f"`{scope}`" for scope in _split(row["required_in"])),
            _state(row),
        )
        for row in sorted(seeds.tag_registry, key=lambda row: row["tag_key"])
    ]
    if rows:
        yield from ("By the seed `tag_registry`:", "")
        yield from _table(("key", "meaning", "owner", "values", "required in", "state"), rows)


def _allowed(row: Mapping[str, str]) -> str:
    values = [f"`{printable(value)}`" for value in _split(row["allowed_values"])]
    return ", ".join(values) or (f"such as fit `{row['pattern']}`" if row["pattern"] else "any")


def _state(row: Mapping[str, str]) -> str:
    said = [f"since {row['since']}"] if row["since"] else []
    said += [f"retired {row['retired']}"] if row["retired"] else []
    said += [f"send `{row['replaced_by']}` instead"] if row["replaced_by"] else []
    return ", ".join(said)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def _features(usage: Table, seeds: Seeds, features: tuple[Feature, ...]) -> Iterator[str]:
    yield from ("## Features", "")
    keys = _keys(seeds, "feature") or "no key yet"
    yield f"A feature is what a request is tagged with under {keys}. The seed `features`"
    yield from ("says what each is. Usage without such a tag is `(unallocated)`.", "")
    known = {row["feature_id"]: row for row in seeds.features}
    used = {each.name: each for each in features}
    rows = []
    for name in sorted(known.keys() | used.keys()):
        row, seen = known.get(name, {}), used.get(name)
        dates = (seen.first.isoformat(), seen.last.isoformat()) if seen else ("", "")
        said = [printable(row.get(column, "")) for column in ("feature_name", "description", "owner")]
        rows.append((f"`{printable(name)}`", *said, *dates))
    yield from _table(("feature", "name", "what it is", "owner", "first used", "last used"), rows)


def _kpis(seeds: Seeds) -> Iterator[str]:
    """The KPIs of llm_unit_economics."""
    rows = [
        (
            printable(row["kpi_name"]),
            printable(row["unit"]),
            f"`{row['numerator']} / {row['denominator']}`"
            + (f" × {row['per']}" if row["per"] not in ("", "1") else ""),
            printable(row["meaning"]),
            printable(row["owner"]),
        )
        for row in seeds.kpis
    ]
    if rows:
        yield from ("## KPIs", "")
        yield from ("By the seed `kpis`, of a month, from `llm_unit_economics`.", "")
        yield from _table(("KPI", "unit", "made of", "meaning", "owner"), rows)


def _teams(seeds: Seeds) -> Iterator[str]:
    """The teams that the seed names, as they are now: the newest row of each."""
    columns = ("team_id", "team_name", "cost_center_id")
    newest = {row["team_id"]: row for row in sorted(seeds.org_teams, key=lambda row: row["valid_from"])}
    if newest:
        yield from ("## Teams", "")
        yield from _table(columns, [[newest[name][column] for column in columns] for name in sorted(newest)])


def _numbers(semantics: Semantics) -> Iterator[str]:
    yield from ("## Numbers", "")
    yield from (
        "What the measures of Looker, Tableau and Grafana are made of. Sums leave out what is not known: beside every",
        "cost stands how much has no price. A share divides sums; it is empty where it would divide by nothing.",
        "",
    )
    said: set[tuple[str, ...]] = set()
    for table in semantics.tables.values():
        yield from (f"### {table.label}", "", f"{table.question} From `{table.name}`.", "")
        rows = [
            (each.label, _UNITS[each.format], made_of(each), each.description)
            for each in table.measures.values()
            if not each.is_hidden
        ]
        again = [row[0] for row in rows if row in said]
        if again:
            yield from (f"As above: {', '.join(again)}.", "")
        yield from _table(("number", "unit", "made of", "meaning"), [row for row in rows if row not in said])
        said |= set(rows)


def made_of(measure: Measure) -> str:
    """How a measure is computed, in words."""
    match measure.definition:
        case Ratio(numerator, denominator):
            divisor = f"({denominator})" if " " in denominator else denominator
            return f"`{numerator} / {divisor}`"
        case Aggregate(function, column, percentile, where, unless, negative_as_zero):
            name = f"`{column.name}`" if column else "rows"
            if function == "count":
                text = "number of rows"
            elif function == "percentile":
                text = f"{percentile} % of {name} do not exceed it"
            else:
                text = f"{_FUNCTIONS[function]} {name}"
            text += ", below 0 as 0" if negative_as_zero else ""
            return text + _conditions(" where ", where) + _conditions(" unless ", unless)


def _conditions(word: str, conditions: Conditions) -> str:
    """` where `status` is `breached``; '' without any."""
    said = [f"`{name}` is {_value(value)}" for name, value in conditions.items()]
    return word + " and ".join(said) if said else ""


def _value(value: str | bool | None) -> str:
    match value:
        case None:
            return "not known"
        case bool():
            return "true" if value else "false"
        case str():
            return f"`{value}`"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Nothing when there are no rows."""
    if not rows:
        return
    yield f"| {' | '.join(heading)} |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""
