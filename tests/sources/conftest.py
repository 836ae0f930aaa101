"""Log files are written by hand, loaded for real, and read back from the DuckDB file."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.destinations import DuckDb
from llm_spend.load import LoadReport, load_logs


@dataclass
class Warehouse:
    """A database of its own and the folder that its log files are written to."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def write(self, name: str, content: bytes | str | Iterable[dict[str, Any]]) -> Path:
        """A file of bytes, of text, or of records as JSON lines; gzipped when its name ends with .gz."""
        if not isinstance(content, bytes | str):
            content = "".join(json.dumps(record) + "\n" for record in content)
        data = content.encode() if isinstance(content, str) else content
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") and not isinstance(content, bytes) else data)
        return path

    def load(self, source: str, path: Path | str, **options: Any) -> LoadReport:
        return load_logs(source, str(path), DuckDb(self.database), **options)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql.replace("raw.", "llm_spend_raw."), parameters).fetchall()

    def quarantine(self, instance: str) -> list[tuple[str, int | None, str]]:
        """File name, line and reason of everything that was noted as unreadable."""
        return [
            (Path(file).name, line, reason)
            for file, line, reason in self.rows(
                "select file, line, reason from raw.llm_spend__quarantine where source_instance = ?"
                " order by file, line",
                instance,
            )
        ]

    def assert_nowhere(self, marker: str) -> None:
        """No text column of any table holds the marker, nor does the file itself."""
        columns = self.rows(
            "select table_schema || '.' || table_name, column_name from information_schema.columns"
            " where data_type in ('VARCHAR', 'JSON')"
        )
        assert len(columns) > 50
        with duckdb.connect(str(self.database), read_only=True) as connection:
            for table, column in columns:
                found = connection.execute(f'select count(*) from {table} where contains("{column}", ?)', [marker])
                assert found.fetchall() == [(0,)], f"{table}.{column}"
        assert marker.encode() not in self.database.read_bytes()


@pytest.fixture(scope="session")
def make_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Warehouse]:
    """Warehouses whose raw tables exist already: creating them takes seconds, and one test does it for all."""
    first = Warehouse(tmp_path_factory.mktemp("first"))
    first.load("portkey", first.write("empty.jsonl", ""), instance="first")

    def make(name: str) -> Warehouse:
        warehouse = Warehouse(tmp_path_factory.mktemp(name))
        shutil.copyfile(first.database, warehouse.database)
        return warehouse

    return make
