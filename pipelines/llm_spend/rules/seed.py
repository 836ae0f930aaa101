"""The seed `rules/quota_rules.csv`: dated versions of quota rules, one row per rule version and subject."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from llm_spend.errors import UserError
from llm_spend.rules.problems import Problem
from llm_spend.rules.quota import Evaluation, QuotaRule, conditions_text, decimal_text, overrides_text
from llm_spend.rules.quotas import RuleFile, read_rules
from llm_spend.seeds import LATER_COLUMNS

SEED = Path("rules/quota_rules.csv")
COLUMNS = (
    "rule_set",
    "rule_id",
    "rule_order",
    "evaluation",
    "subject_type",
    "subject",
    "models",
    "metadata_key",
    "metadata_value",
    "conditions",
    "applies_per",
    "unit",
    "limit_to",
    "overrides",
    "time_zone",
    "enforcement",
    "alert_thresholds",
    "valid_from",
    "valid_to",
)
_LATER = LATER_COLUMNS[SEED.name]
# What is done about a limit, and not what is counted.
_UNCOUNTED = ("enforcement", "alert_thresholds")
# A rule set that is imported for the first time is taken to have held for all usage that can be loaded.
FIRST_VALID_FROM = date(2020, 1, 1)

Row = dict[str, str]


class SeedError(UserError):
    """The seed can't be read, or the new version would begin before the current one."""


@dataclass(frozen=True)
class ImportResult:
    """Rule ids by what an import did to them, the seed it wrote, and what of the file is not kept.

    `valid_from`: the latest date from which something new holds that does not say it itself.
    """

    file: Path
    valid_from: date
    added: tuple[str, ...]
    changed: tuple[str, ...]
    closed: tuple[str, ...]
    unchanged: tuple[str, ...]
    notes: tuple[Problem, ...] = ()


def import_(
    file: Path,
    seeds_dir: Path,
    valid_from: date | None = None,
    evaluation: Evaluation | None = None,
) -> ImportResult:
    """Merge a rule file into the seed. Raises RuleFileError or SeedError; then nothing is written."""
    return write_seed(read_rules(file, evaluation), seeds_dir, valid_from)


def write_seed(rules: RuleFile, seeds_dir: Path, valid_from: date | None = None) -> ImportResult:
    """Merge what a file says into `seeds_dir/rules/quota_rules.csv`.

    `valid_from` is the first date of what is new where the file gives none; the default is 2020-01-01 for a rule
    set that the seed lacks, and today for one that it has. Raises SeedError.
    """
    file = seeds_dir / SEED
    rows = read_rows(file)
    known = {row["rule_set"] for row in rows}
    today = datetime.now(UTC).date()
    result = ImportResult(file, valid_from or FIRST_VALID_FROM, (), (), (), (), rules.notes)
    for rule_set in rules.rule_sets:
        begins = valid_from or (today if rule_set in known else FIRST_VALID_FROM)
        of_set = [rule for rule in rules.rules if rule.rule_set == rule_set]
        rows, merged = merge(rows, rule_set, of_set, begins)
        result = _with(result, merged, begins)
    if result.added or result.changed or result.closed or not file.exists():
        _write_rows(file, rows)
    return result


@dataclass(frozen=True)
class Merge:
    """Rule ids of one rule set, by what a merge does to them."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    closed: tuple[str, ...]
    unchanged: tuple[str, ...]


def _with(result: ImportResult, one: Merge, begins: date) -> ImportResult:
    return replace(
        result,
        valid_from=max(result.valid_from, begins),
        added=result.added + one.added,
        changed=result.changed + one.changed,
        closed=result.closed + one.closed,
        unchanged=result.unchanged + one.unchanged,
    )


def merge(current: list[Row], rule_set: str, rules: Sequence[QuotaRule], begins: date) -> tuple[list[Row], Merge]:
    """The seed after an import of a rule set, and what changed. Other rule sets, and what ended, stay as they are.

    A rule that says when it begins begins then, every other one on `begins`. One that counts as it did is changed in
    place: its count must not begin anew.
    """
    starts = {rule.rule_id: (rule.valid_from or begins).isoformat() for rule in rules}
    running: dict[str, list[Row]] = {}
    kept: list[Row] = []
    for row in current:
        ends_later = not row["valid_to"] or row["valid_to"] > starts.get(row["rule_id"], begins.isoformat())
        if row["rule_set"] == rule_set and ends_later:
            running.setdefault(row["rule_id"], []).append(row)
        else:
            kept.append(row)

    wanted = {rule.rule_id: to_rows(rule) for rule in rules}
    unchanged = [rule for rule, rows in wanted.items() if rule in running and _same(rows, _last(running[rule]))]
    added = [rule for rule in wanted if rule not in running]
    changed = [rule for rule in wanted if rule in running and rule not in unchanged]
    recounted = [rule for rule in changed if not _same(wanted[rule], _last(running[rule]), beside=_UNCOUNTED)]
    closed = [rule for rule in running if rule not in wanted]

    for rule in unchanged:
        kept += running[rule]
    for rule in changed:
        if rule not in recounted:
            said = {column: wanted[rule][0][column] for column in _UNCOUNTED}
            latest = _last(running[rule])
            kept += [{**row, **said} if row in latest else row for row in running[rule]]
    for rule in recounted + closed:
        _refuse_several(running[rule])
        kept += _close(running[rule], starts.get(rule, begins.isoformat()))
    for rule in added + recounted:
        order = _free_order(kept, wanted[rule][0], starts[rule])
        kept += [{**row, "rule_order": order, "valid_from": starts[rule]} for row in wanted[rule]]

    # Stable, so that rows of one version keep the order of their subjects.
    ordered = sorted(kept, key=lambda row: (row["rule_set"], row["valid_from"], int(row["rule_order"] or 0)))
    return ordered, Merge(tuple(added), tuple(changed), tuple(closed), tuple(unchanged))


def to_rows(rule: QuotaRule) -> list[Row]:
    """The seed rows of one rule, one per subject, with those dates that the rule gives."""
    metadata_key, metadata_value = rule.metadata or ("", "")
    return [
        {
            "rule_set": rule.rule_set,
            "rule_id": rule.rule_id,
            "rule_order": str(rule.order),
            "evaluation": rule.evaluation,
            "subject_type": subject_type,
            "subject": subject,
            "models": "|".join(rule.models),
            "metadata_key": metadata_key,
            "metadata_value": metadata_value,
            "conditions": conditions_text(rule.conditions),
            "applies_per": "|".join(rule.applies_per),
            "unit": rule.unit,
            "limit_to": "" if rule.limit_to is None else decimal_text(rule.limit_to),
            "overrides": overrides_text(rule.overrides),
            "time_zone": rule.time_zone,
            "enforcement": rule.enforcement,
            "alert_thresholds": "|".join(map(str, rule.alert_thresholds)),
            "valid_from": rule.valid_from.isoformat() if rule.valid_from else "",
            "valid_to": rule.valid_to.isoformat() if rule.valid_to else "",
        }
        for subject_type, subject in rule.subjects
    ]


def read_rows(file: Path) -> list[Row]:
    """Rows of the seed, with '' for columns that it is too old to have; none when there is no file.

    Raises SeedError when it isn't a quota seed.
    """
    if not file.exists():
        return []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        found = tuple(reader.fieldnames or ())
        if found != tuple(name for name in COLUMNS if name in found or name not in _LATER):
            raise SeedError(f"{file}:1: the header is not the one expected; write {','.join(COLUMNS)}")
        rows: list[Row] = []
        for row in reader:
            place = f"{file}:{reader.line_num}"
            if None in row or None in row.values():
                raise SeedError(f"{place}: the row has not {len(found)} cells; add or remove commas")
            if row["rule_order"] and not row["rule_order"].isdecimal():
                raise SeedError(f"{place}: rule_order is {row['rule_order']!r}; write a whole number")
            rows.append({name: row.get(name, "") for name in COLUMNS})
        return rows


def _same(wanted: Sequence[Row], running: Sequence[Row], beside: Iterable[str] = ()) -> bool:
    """Whether the version that runs says what is wanted, `beside` some columns.

    A rule that does not say when it begins began whenever it did. Where every rule that matches counts its place among
    them means nothing.
    """
    unsaid = set(beside)
    if not wanted[0]["valid_from"]:
        unsaid.add("valid_from")
    if wanted[0]["evaluation"] == "all_match":
        unsaid.add("rule_order")

    def content(row: Row) -> tuple[str, ...]:
        return tuple(row[column] for column in COLUMNS if column not in unsaid)

    return sorted(map(content, wanted)) == sorted(map(content, running))


def _close(rows: Sequence[Row], valid_to: str) -> list[Row]:
    """End a version at `valid_to` (exclusive). One that begins on that day never held: it is left out."""
    begun = rows[0]["valid_from"]
    if begun > valid_to:
        rule = f"{rows[0]['rule_set']}/{rows[0]['rule_id']}"
        raise SeedError(f"rule {rule} has a version from {begun}; import with a date on or after it")
    return [{**row, "valid_to": valid_to} for row in rows if begun < valid_to]


def _last(versions: Sequence[Row]) -> list[Row]:
    latest = max(row["valid_from"] for row in versions)
    return [row for row in versions if row["valid_from"] == latest]


def _refuse_several(versions: Sequence[Row]) -> None:
    """Of two versions the first ends after the change would begin: it would be rewritten."""
    if len(_last(versions)) < len(versions):
        rule = f"{versions[0]['rule_set']}/{versions[0]['rule_id']}"
        ended = max(row["valid_to"] for row in versions if row["valid_to"])
        raise SeedError(f"rule {rule} has a version until {ended}; import with a date on or after it")


def _free_order(rows: Iterable[Row], wanted: Row, starts: str) -> str:
    """Where a new version stands in its rule set, in which no two versions of a day have the same place."""
    taken = {
        int(row["rule_order"] or 0)
        for row in rows
        if row["rule_set"] == wanted["rule_set"] and (not row["valid_to"] or row["valid_to"] > starts)
    }
    if int(wanted["rule_order"]) not in taken:
        return wanted["rule_order"]
    if wanted["evaluation"] == "first_match":
        rule = f"{wanted['rule_set']}/{wanted['rule_id']}"
        raise SeedError(
            f"rule {rule} takes place {wanted['rule_order']} on {starts}, where another rule still has it;"
            " give both the same date"
        )
    return str(max(taken) + 1)


def _write_rows(file: Path, rows: list[Row]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".csv.partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    # A crash leaves the old file or the new one, never half of it.
    partial.replace(file)
