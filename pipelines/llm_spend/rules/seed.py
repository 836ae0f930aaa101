"""The seed `rules/quota_rules.csv`: dated versions of quota rules, one row per rule version and subject."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from llm_spend.errors import UserError
from llm_spend.rules.quota import Evaluation, QuotaRule
from llm_spend.rules.quotas import import_rules

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
    "applies_per",
    "unit",
    "limit_to",
    "valid_from",
    "valid_to",
)
# A rule set that is imported for the first time is taken to have held for all usage that can be loaded.
FIRST_VALID_FROM = date(2020, 1, 1)

Row = dict[str, str]


class SeedError(UserError):
    """The seed can't be read, or the new version would begin before the current one."""


@dataclass(frozen=True)
class ImportResult:
    """Rule ids by what an import did to them, and the seed it wrote."""

    file: Path
    valid_from: date
    added: tuple[str, ...]
    changed: tuple[str, ...]
    closed: tuple[str, ...]
    unchanged: tuple[str, ...]


def import_(
    file: Path,
    seeds_dir: Path,
    valid_from: date | None = None,
    evaluation: Evaluation | None = None,
) -> ImportResult:
    """Merge a rule file into the seed. Raises RuleFileError or SeedError; then nothing is written."""
    return write_seed(import_rules(file, evaluation), seeds_dir, valid_from)


def write_seed(rules: list[QuotaRule], seeds_dir: Path, valid_from: date | None = None) -> ImportResult:
    """Merge one rule set into `seeds_dir/rules/quota_rules.csv`.

    `valid_from` is the first UTC date of what is new; the default is 2020-01-01 for a rule set that the seed
    lacks, and today for one that it has. Raises SeedError.
    """
    file = seeds_dir / SEED
    current = read_rows(file)
    rule_sets = {rule.rule_set for rule in rules}
    if len(rule_sets) != 1:
        raise SeedError(f"rules of one rule set are expected, found {sorted(rule_sets)}")
    known = any(row["rule_set"] in rule_sets for row in current)
    begins = valid_from or (datetime.now(UTC).date() if known else FIRST_VALID_FROM)
    rows, result = merge(current, rules, begins, file)
    if rows != current or not file.exists():
        _write_rows(file, rows)
    return result


def merge(
    current: list[Row], rules: list[QuotaRule], valid_from: date, file: Path = SEED
) -> tuple[list[Row], ImportResult]:
    """The seed after an import, and what changed. Closed versions and other rule sets stay as they are."""
    rule_set = rules[0].rule_set
    open_rows: dict[str, list[Row]] = {}
    kept: list[Row] = []
    for row in current:
        if row["rule_set"] == rule_set and not row["valid_to"]:
            open_rows.setdefault(row["rule_id"], []).append(row)
        else:
            kept.append(row)

    wanted = {rule.rule_id: to_rows(rule) for rule in rules}
    unchanged = [rule for rule, rows in wanted.items() if rule in open_rows and _same(rows, open_rows[rule])]
    added = [rule for rule in wanted if rule not in open_rows]
    changed = [rule for rule in wanted if rule in open_rows and rule not in unchanged]
    closed = [rule for rule in open_rows if rule not in wanted]

    for rule in unchanged:
        kept += open_rows[rule]
    for rule in changed + closed:
        kept += _close(open_rows[rule], valid_from)
    for rule in added + changed:
        _refuse_overlap(kept, rule_set, rule, valid_from)
        kept += [{**row, "valid_from": valid_from.isoformat()} for row in wanted[rule]]

    # Stable, so that rows of one version keep the order of their subjects.
    ordered = sorted(kept, key=lambda row: (row["rule_set"], row["valid_from"], int(row["rule_order"] or 0)))
    result = ImportResult(file, valid_from, tuple(added), tuple(changed), tuple(closed), tuple(unchanged))
    return (current if not (added or changed or closed) else ordered), result


def to_rows(rule: QuotaRule) -> list[Row]:
    """The seed rows of one rule, one per subject, without dates."""
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
            "applies_per": "|".join(rule.applies_per),
            "unit": rule.unit,
            "limit_to": str(rule.limit_to),
            "valid_from": "",
            "valid_to": "",
        }
        for subject_type, subject in rule.subjects
    ]


def read_rows(file: Path) -> list[Row]:
    """Rows of the seed; none when there is no file. Raises SeedError when it isn't a quota seed."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise SeedError(f"{file}:1: the header is not the one expected; write {','.join(COLUMNS)}")
        rows: list[Row] = []
        for row in reader:
            place = f"{file}:{reader.line_num}"
            if None in row or None in row.values():
                raise SeedError(f"{place}: the row has not {len(COLUMNS)} cells; add or remove commas")
            if row["rule_order"] and not row["rule_order"].isdecimal():
                raise SeedError(f"{place}: rule_order is {row['rule_order']!r}; write a whole number")
            rows.append(row)
        return rows


def _same(rows: Iterable[Row], others: Iterable[Row]) -> bool:
    def content(row: Row) -> tuple[str, ...]:
        return tuple(row[column] for column in COLUMNS if column not in ("valid_from", "valid_to"))

    return sorted(map(content, rows)) == sorted(map(content, others))


def _close(rows: list[Row], valid_to: date) -> list[Row]:
    """End a version at `valid_to` (exclusive). One that begins on that day never held: it is left out."""
    begun = rows[0]["valid_from"]
    if begun > valid_to.isoformat():
        rule = f"{rows[0]['rule_set']}/{rows[0]['rule_id']}"
        raise SeedError(f"rule {rule} has a version from {begun}; import with a date on or after it")
    return [{**row, "valid_to": valid_to.isoformat()} for row in rows if begun < valid_to.isoformat()]


def _refuse_overlap(rows: list[Row], rule_set: str, rule_id: str, valid_from: date) -> None:
    for row in rows:
        same = row["rule_set"] == rule_set and row["rule_id"] == rule_id
        if same and row["valid_to"] > valid_from.isoformat():
            raise SeedError(
                f"rule {rule_set}/{rule_id} has a version until {row['valid_to']}; import with a date on or after it"
            )


def _write_rows(file: Path, rows: list[Row]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".csv.partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    # A crash leaves the old file or the new one, never half of it.
    partial.replace(file)
