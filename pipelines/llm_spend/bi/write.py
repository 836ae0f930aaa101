"""Write what a BI tool reads into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import orjson

from llm_spend.bi.manifest import Model, models_of, read_manifest
from llm_spend.bi.semantics import Semantics, read_semantics
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError
from llm_spend.export.files import write_files

DASHBOARD_FILE = "llm-spend.dashboard.json"


@dataclass(frozen=True)
class Written:
    """Which files were written, what to know about them, and of extracts the rows of each table."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    rows: Mapping[str, int]


def export_looker(destination: Destination, folder: Path, manifest: Path | None = None) -> Written:
    """Write a LookML project. Connects to nothing; `manifest` is that of a project which has the dbt package installed.

    Raises UserError when the manifest can't be used, and when a file can't be written.
    """
    from llm_spend.bi import lookml

    semantics = _semantics(destination, manifest)
    contents = lookml.project_files(semantics, destination.name)
    files = _write(folder, {name: text.encode() for name, text in contents.items()})
    notes = list(_left_out(semantics))
    if destination.name == "duckdb":
        notes.append(
            "Looker reads no DuckDB files: this is for Snowflake, and for BigQuery with --destination bigquery."
        )
    notes.append(f"Say in manifest.lkml, or in a project that imports it, what {lookml.CONNECTION} is.")
    return Written(files, tuple(notes), {})


def export_tableau(
    destination: Destination, folder: Path, manifest: Path | None = None, *, live: bool | None = None
) -> Written:
    """Write Tableau data sources: with an extract of the rows, or `live` on a warehouse, which is the default there.

    Raises UserError when the tables can't be read, when Hyper is missing, and when a file can't be written.
    """
    semantics = _semantics(destination, manifest)
    is_live = destination.name != "duckdb" if live is None else live
    if is_live and destination.name == "duckdb":
        raise UserError(
            "Tableau reads a DuckDB file by a driver that is not its own.", "Leave out --live: extracts need none."
        )
    if is_live:
        return _live_sources(destination, semantics, folder)
    return _extracts(destination, semantics, folder)


def export_grafana(destination: Destination, folder: Path, manifest: Path | None = None) -> Written:
    """Write a dashboard for the data source plug-in of the destination. Connects to nothing.

    Raises UserError when the manifest can't be used, and when the file can't be written.
    """
    from llm_spend.bi import grafana

    semantics = _semantics(destination, manifest)
    content = orjson.dumps(grafana.dashboard(semantics, destination.name), option=orjson.OPT_INDENT_2)
    files = _write(folder, {DASHBOARD_FILE: content + b"\n"})
    return Written(
        files, (*_left_out(semantics), f"It is for the data source plug-in {grafana.PLUGINS[destination.name]}."), {}
    )


def export_glossary(
    destination: Destination, folder: Path, seeds: Path | None, manifest: Path | None = None
) -> Written:
    """Write what tags, features and numbers mean, with the organisation's own seeds and the features of its usage.

    Raises UserError when seeds or tables can't be read, and when the file can't be written.
    """
    from llm_spend.answers.marts import MARTS, open_marts
    from llm_spend.bi.glossary import Feature, glossary, read_seeds

    semantics, usage = _semantics(destination, manifest), "llm_usage_by_feature_daily"
    with open_marts(destination, frozenset({usage})) as marts:
        features = marts.rows(
            f"select feature_id, min(usage_date), max(usage_date) from {MARTS}.{usage}"
            " where feature_id <> '(unallocated)' group by feature_id order by feature_id"
        )
    page = glossary(semantics, read_seeds(seeds), [Feature(*row) for row in features])
    return Written(_write(folder, {"glossary.md": page.encode()}), _left_out(semantics), {})


def _live_sources(destination: Destination, semantics: Semantics, folder: Path) -> Written:
    from llm_spend.bi import tableau

    environment = destination.dbt_environment()
    sources = {
        f"{table.name}.tds": tableau.data_source(
            table, tableau.live_connection(table, destination.name, environment), tuple(table.model.columns.values())
        )
        for table in semantics.tables.values()
    }
    return Written(
        _write(folder, sources), (*_left_out(semantics), "They hold no credentials: Tableau asks for them."), {}
    )


def _extracts(destination: Destination, semantics: Semantics, folder: Path) -> Written:
    from llm_spend.answers.marts import open_marts
    from llm_spend.bi import tableau
    from llm_spend.bi.hyper import extract_writer

    tables = [table for table in semantics.tables.values() if table.is_extracted]
    read = frozenset({table.name for table in tables} | {join.model.name for table in tables for join in table.joins})
    rows: dict[str, int] = {}
    files: list[Path] = []
    with (
        TemporaryDirectory(prefix="llm_spend_") as work,
        open_marts(destination, read) as marts,
        extract_writer() as writer,
    ):
        for table in tables:
            extract = Path(work) / f"{table.name}.hyper"
            rows[table.name] = writer.write(table, marts, extract)
            source = tableau.data_source(table, tableau.extract_connection(table), tableau.extracted(table))
            files += _write(folder, {f"{table.name}.tdsx": tableau.packed(table.name, source, extract)})
    notes = (*_left_out(semantics), "They name users and customers as the tables do: keep them as safe.")
    return Written(tuple(files), notes, rows)


def _semantics(destination: Destination, manifest: Path | None) -> Semantics:
    return read_semantics(_given(manifest) if manifest else models_of(destination))


def _given(manifest: Path) -> Mapping[str, Model]:
    try:
        return read_manifest(manifest.read_bytes())
    except OSError as error:
        raise UserError(
            f"{manifest} can't be read: {error.strerror}.", "Give the manifest.json of a target folder."
        ) from error


def _left_out(semantics: Semantics) -> tuple[str, ...]:
    names = ", ".join(semantics.left_out)
    return (f"Left out, since the manifest does not have them: {names}.",) if names else ()


def _write(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files by their paths in a folder."""
    by_folder: dict[PurePosixPath, dict[str, bytes]] = {}
    for name, content in contents.items():
        path = PurePosixPath(name)
        by_folder.setdefault(path.parent, {})[path.name] = content
    return tuple(path for place, files in by_folder.items() for path in write_files(folder / place, files))
