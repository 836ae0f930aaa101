"""Assets of what is loaded: for every source that is configured one step, for every raw table it fills one asset.

A source with an API has a partition a day. The newest one alone stands for a load as the scheduler's: everything that
is not there yet and what may have changed since. All others, and a range of them, ask anew for just those days.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import dagster as dg

from llm_spend.load import LoadReport
from llm_spend.load_source import load_source, raw_tables
from llm_spend.settings import SourceSettings

from .place import FRESHNESS, POOL, RETRIES, Place, told

READABLE = "every_line_is_read"


def load_assets(place: Place) -> list[dg.AssetsDefinition]:
    """One for every source of the settings. Raises UserError for one that can't be loaded."""
    entries = sorted(place.settings.sources, key=lambda entry: entry.source)
    days = days_of(entries)
    return [
        _assets_of(source, list(found), days, place)
        for source, found in groupby(entries, key=lambda entry: entry.source)
    ]


def days_of(entries: Sequence[SourceSettings]) -> dg.DailyPartitionsDefinition | None:
    """The days that APIs can be asked for, today last; one definition, so that they can run together."""
    asked = [entry for entry in entries if entry.api]
    if not asked:
        return None
    last_year = date(datetime.now(UTC).year - 1, 1, 1)
    first = min(entry.since or last_year for entry in asked)
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), end_offset=1)


def writers(assets: Sequence[dg.AssetsDefinition]) -> Mapping[str, list[dg.AssetKey]]:
    """By raw table the assets that fill it: several providers share one."""
    found: dict[str, list[dg.AssetKey]] = {}
    for key in (key for each in assets for key in sorted(each.keys)):
        found.setdefault(key.path[-1], []).append(key)
    return found


def _assets_of(
    source: str, entries: Sequence[SourceSettings], days: dg.DailyPartitionsDefinition | None, place: Place
) -> dg.AssetsDefinition:
    tables = list(dict.fromkeys(table for entry in entries for table in raw_tables(entry)))
    keys = [dg.AssetKey([source, table]) for table in tables]
    check = dg.AssetCheckSpec(READABLE, asset=keys[0], description="Nothing of it is in quarantine.")

    @dg.multi_asset(
        name=f"load_{source}",
        specs=[
            dg.AssetSpec(
                key,
                description=f"Rows of {place.destination.schemas.raw}.{key.path[-1]} that {source} gave.",
                group_name="raw",
                kinds={"dlt", place.settings.destination},
                freshness_policy=FRESHNESS,
            )
            for key in keys
        ],
        check_specs=[check],
        partitions_def=days if any(entry.api for entry in entries) else None,
        backfill_policy=dg.BackfillPolicy.single_run() if any(entry.api for entry in entries) else None,
        pool=POOL,
        retry_policy=RETRIES,
    )
    def load(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with told(), place.writing():
            reports = [_loaded(context, entry, days, place) for entry in entries]
        unread = sum(report.quarantined for report in reports)
        for key in keys:
            yield dg.MaterializeResult(asset_key=key, metadata=_metadata(reports))
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=unread == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"lines in quarantine": unread},
        )

    return load


def _loaded(
    context: dg.AssetExecutionContext,
    entry: SourceSettings,
    days: dg.DailyPartitionsDefinition | None,
    place: Place,
) -> LoadReport:
    until, again = None, False
    if entry.api and days:
        chosen, today = context.partition_key_range, days.get_last_partition_key()
        again = (chosen.start, chosen.end) != (today, today)
        if again:
            entry = entry.model_copy(update={"since": date.fromisoformat(chosen.start)})
            # Today has no end yet.
            until = None if chosen.end == today else date.fromisoformat(chosen.end)
    report = load_source(
        entry,
        place.destination,
        until=until,
        again=again,
        keep_raw_text=place.settings.keep_quarantined_text,
        unknown_fields=place.settings.unknown_fields,
        observe=context.log.info,
    )
    for warning in report.warnings:
        context.log.warning(warning)
    return report


def _metadata(reports: Sequence[LoadReport]) -> dict[str, Any]:
    """Of a step: what all of its tables got."""
    return {
        "rows": sum(report.rows for report in reports),
        "files": sum(report.files for report in reports),
        "unchanged files": sum(report.skipped_files for report in reports),
        "windows asked for": sum(report.windows for report in reports),
        "warnings": sum(len(report.warnings) for report in reports),
    }
