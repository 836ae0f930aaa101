"""`llm-spend export raw` and `import`: nothing changes on the way, and nothing counts before all of it has arrived."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend import transfer
from llm_spend.build import build
from llm_spend.destinations import DuckDb, Snowflake
from llm_spend.errors import UserError
from llm_spend.load import load_logs
from llm_spend.transfer import EXPORTED, LOADS_TABLE, MANIFEST, export_tables, import_tables
from tests.conftest import long, query
from tests.few_prices import few_prices
from tests.unit.test_cli import run

# Numbers, texts and documents that are easily changed on the way.
LINES = [
    {"id": "a", "created_at": "2026-10-01T00:00:00.123456Z", "cost": 0.000000000123, "metadata": {"n": 1.5, "é": None}},
    {"id": "b", "created_at": "2026-10-01T00:00:01Z", "cost": 12345.678901, "ai_model": "näme \"q\" 'n' \\ \n\t☃"},
    {"id": "c", "created_at": "2026-10-01T00:00:02Z", "ai_model": "", "metadata": {}},
    {"id": "d", "created_at": "2026-10-01T00:00:03Z", "is_success": False, "req_units": 2**60},
]
DOCUMENT = '{"n": 1.10, "big": 12345678901234567890123, "tiny": 1e-400, "n": null}'


@dataclass(frozen=True)
class Exported:
    """A database with three loads, one of them of a file with an unreadable line, and its export."""

    logs: Path
    database: Path
    folder: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    database = folder / "old.duckdb"
    (folder / "logs").mkdir()
    for number, line in enumerate(LINES):
        (folder / "logs" / f"{number}.jsonl").write_text(json.dumps(line) + ("\n{" if number == 0 else "") + "\n")
    for pattern in ("[01].jsonl", "*.jsonl"):
        load_logs("portkey", f"{folder}/logs/{pattern}", DuckDb(database))
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"update llm_spend_raw.portkey__logs set metadata = '{DOCUMENT}' where id = 'c'")
        connection.execute("update llm_spend_raw.portkey__logs set metadata = 'null' where id = 'd'")
        connection.execute(
            "insert into llm_spend_raw.portkey__logs (id, _dlt_load_id) values ('of no load', '1.5');"
            "insert into llm_spend_raw._dlt_loads values ('2.5', 'portkey', 1, now(), '')"
        )
    export_tables(DuckDb(database), folder / "export")
    return Exported(folder / "logs", database, folder / "export")


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the export that a test may damage."""
    return Path(shutil.copytree(exported.folder, tmp_path / "copy"))


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return content


def completed(database: Path, table: str) -> list[tuple[Any, ...]]:
    """Rows of completed loads."""
    loads = "select load_id from llm_spend_raw._dlt_loads where status = 0"
    return query(database, f"select * from llm_spend_raw.{table} where {EXPORTED[table]} in ({loads}) order by all")


def test_every_table_that_a_load_writes_is_exported(exported: Exported) -> None:
    tables = {row[0] for row in query(exported.database, "select table_name from information_schema.tables")}
    assert tables - EXPORTED.keys() == {"_dlt_version"}
    assert [table["name"] for table in manifest(exported.folder)["tables"]] == list(EXPORTED)
    assert list(EXPORTED)[-1] == LOADS_TABLE


def test_the_export_says_what_it_is(exported: Exported) -> None:
    found = manifest(exported.folder)
    assert found["format_version"] == 1
    assert {"product_version", "exported_at"} <= found.keys()
    logs = found["tables"][0]
    assert (logs["name"], logs["rows"]) == ("portkey__logs", 5)
    assert logs["columns"]["cost"] == "money" and logs["columns"]["created_at"] == "timestamp"
    lines = gzip.decompress((exported.folder / "portkey__logs.jsonl.gz").read_bytes()).splitlines()
    costs = {record["id"]: record["cost"] for record in map(json.loads, lines)}
    assert costs == {"a": "0.000000000123", "b": "12345.678901000000", "c": None, "d": None, None: None}
    assert sorted(path.name for path in exported.folder.iterdir()) == sorted(
        [MANIFEST, *(f"{name}.jsonl.gz" for name in EXPORTED)]
    )


def test_nothing_changes_on_the_way(exported: Exported, tmp_path: Path) -> None:
    new = tmp_path / "new.duckdb"
    report = import_tables(DuckDb(new), exported.folder)
    assert report.rows["portkey__logs"] == 5 and report.rows["llm_spend__files"] == 4
    for table in EXPORTED.keys() - {LOADS_TABLE}:
        assert completed(new, table) == completed(exported.database, table)
    loads, imported = completed(exported.database, LOADS_TABLE), completed(new, LOADS_TABLE)
    assert set(loads) < set(imported)
    assert query(new, "select * from llm_spend_raw._dlt_loads where status <> 0") == []
    own = ", ".join(f"'{row[0]}'" for row in set(imported) - set(loads))
    for table in EXPORTED.keys() - {LOADS_TABLE}:
        assert query(new, f"select * from llm_spend_raw.{table} where _dlt_load_id in ({own})") == []
    documents = dict(query(new, "select id, metadata from llm_spend_raw.portkey__logs where id in ('c', 'd')"))
    assert documents == {"c": DOCUMENT, "d": "null"}
    assert query(new, "select count(*) from llm_spend_raw.portkey__logs where id = 'of no load'") == [(0,)]

    again = load_logs("portkey", f"{exported.logs}/*.jsonl", DuckDb(new))
    assert (again.files, again.skipped_files, again.rows) == (0, 4, 0)
    with pytest.raises(UserError, match=f"has loads of this export already: {re.escape(loads[0][0])}, "):
        import_tables(DuckDb(new), exported.folder)
    assert len(completed(new, "portkey__logs")) == 5


class Killed(BaseException):
    """The program ends here."""


@pytest.fixture
def killed_before_the_loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_check_arrival", kill)
        yield patch


@pytest.mark.slow
def test_an_import_that_was_killed_counts_nothing_and_can_be_repeated(
    exported: Exported, tmp_path: Path, killed_before_the_loads: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new.duckdb"
    with pytest.raises(Killed):
        import_tables(DuckDb(new), exported.folder)
    assert query(new, "select count(*) from llm_spend_raw.portkey__logs") == [(5,)]
    assert completed(new, "portkey__logs") == []
    killed_before_the_loads.undo()
    import_tables(DuckDb(new), exported.folder)
    assert completed(new, "portkey__logs") == completed(exported.database, "portkey__logs")
    assert query(new, "select count(*) from llm_spend_raw.portkey__logs") == [(5,)]
    assert query(new, "select count(*) from llm_spend_raw.llm_spend__files") == [(4,)]


@pytest.mark.slow
def test_rows_that_get_lost_on_the_way_are_noticed(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, hand_over = tmp_path / "new.duckdb", transfer.hand_over
    monkeypatch.setattr(transfer, "hand_over", lambda kinds, sql, path: hand_over(kinds, f"{sql} LIMIT 1", path))
    with pytest.raises(UserError, match=r"Of 5 rows of portkey__logs 1 arrived in .*Nothing of this import counts"):
        import_tables(DuckDb(new), exported.folder)
    assert completed(new, "portkey__logs") == []


@long
@pytest.mark.slow
def test_an_import_counts_at_the_next_build(tmp_path: Path) -> None:
    """Also in tables that were built before, though its loads are older than theirs."""
    old, new = DuckDb(tmp_path / "old.duckdb"), DuckDb(tmp_path / "new.duckdb")
    for name, destination in {"old": old, "new": new}.items():
        log = tmp_path / f"{name}.jsonl"
        record = {
            "id": name,
            "created_at": "2026-10-01T00:00:00Z",
            "req_units": 1,
            "ai_org": "openai",
            "ai_model": "gpt-4o",
        }
        log.write_text(json.dumps(record) + "\n")
        load_logs("portkey", str(log), destination)
    seeds = few_prices(tmp_path / "seeds")
    assert build(new, seeds=seeds, test=False).ok
    export_tables(old, tmp_path / "export")
    import_tables(new, tmp_path / "export")
    assert build(new, seeds=seeds).ok
    found = "select source_record_id from llm_spend.fct_llm_requests order by 1"
    assert query(new.database, found) == [("new",), ("old",)]
    assert query(new.database, "select sum(attempts) from llm_spend.llm_usage_by_user_daily") == [(2,)]


def remove_file(folder: Path) -> None:
    (folder / "llm_spend__files.jsonl.gz").unlink()


def cut_off(folder: Path) -> None:
    path = folder / "portkey__logs.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-40])


def remove_row(folder: Path) -> None:
    path = folder / "portkey__logs.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(gzip.decompress(path.read_bytes()).splitlines()[1:])))


def write_no_json(folder: Path) -> None:
    (folder / "portkey__logs.jsonl.gz").write_bytes(gzip.compress(b"{" * 100))


def change_manifest(**changes: Any) -> Any:
    def change(folder: Path) -> None:
        (folder / MANIFEST).write_text(json.dumps(manifest(folder) | changes))

    return change


def no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_file, "llm_spend__files.jsonl.gz is missing"),
        (cut_off, "portkey__logs.jsonl.gz (has|is damaged)"),
        (remove_row, "portkey__logs.jsonl.gz has 4 rows and should have 5"),
        (write_no_json, "portkey__logs.jsonl.gz (has|is damaged)"),
        (no_manifest, "holds no whole export"),
        (change_manifest(format_version=2, product_version="9.9"), "of format 2; this version reads 1.*llm-spend 9.9"),
        (change_manifest(tables=[]), "is damaged: _dlt_loads is not in it"),
        (change_manifest(tables="all"), "is damaged"),
        (
            change_manifest(tables=[{"name": name, "rows": 0, "columns": {}} for name in ("_dlt_loads", "from_later")]),
            "does not know: from_later",
        ),
        (
            change_manifest(tables=[{"name": "_dlt_loads", "rows": 0, "columns": {'a" FROM': "text"}}]),
            "is damaged",
        ),
        (lambda folder: (folder / MANIFEST).write_text("{"), "is damaged"),
    ],
)
def test_what_is_no_whole_export_is_refused(damage: Any, said: str, copy: Path, tmp_path: Path) -> None:
    damage(copy)
    with pytest.raises(UserError, match=said):
        import_tables(DuckDb(tmp_path / "new.duckdb"), copy)
    assert not (tmp_path / "new.duckdb").exists()


def test_what_can_not_be_exported(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Only a DuckDB file can be exported"):
        export_tables(Snowflake(), tmp_path / "export")
    with pytest.raises(UserError, match="There is no database"):
        export_tables(DuckDb(tmp_path / "absent.duckdb"), tmp_path / "export")
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    with pytest.raises(UserError, match="Nothing was loaded"):
        export_tables(DuckDb(tmp_path / "empty.duckdb"), tmp_path / "export")
    assert not (tmp_path / "export").exists()
    with pytest.raises(UserError, match="is not empty"):
        export_tables(DuckDb(exported.database), exported.folder)
    strange = tmp_path / "strange.duckdb"
    shutil.copy(exported.database, strange)
    with duckdb.connect(str(strange)) as connection:
        connection.execute("alter table llm_spend_raw.portkey__logs add column mine uuid")
    with pytest.raises(UserError, match="portkey__logs has columns that are none of ours: mine UUID"):
        export_tables(DuckDb(strange), tmp_path / "export")
    with pytest.raises(UserError, match="can't be a folder"):
        export_tables(DuckDb(exported.database), exported.database)


@pytest.mark.slow
def test_the_commands(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, "export", "raw", "out", "--database", str(exported.database), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"]["portkey__logs"] == 5
    assert run(monkeypatch, "import", "out", "--database", "new.duckdb") == 0
    shown = capsys.readouterr().out
    assert f"{sum(report['rows'].values())} rows of {report['loads']} loads imported into new.duckdb" in shown
    assert shown.rstrip().endswith("Next: llm-spend build")
    assert run(monkeypatch, "import", "out", "--database", "new.duckdb") == 1
    assert "has loads of this export already" in capsys.readouterr().err
