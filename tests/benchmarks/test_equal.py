"""Both sides of the benchmark give the same rows: else its ratios would compare different work. Nothing is timed."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tests.benchmarks import pages, pricing
from tests.benchmarks.compare import differences, load_differences
from tests.benchmarks.data import DataSet, prepare
from tests.benchmarks.pairs import NotEqualError, Sides, check_pages, make_both, make_pages
from tests.conftest import long

pytestmark = pytest.mark.slow

REQUESTS = 20_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return prepare(tmp_path_factory.mktemp("data"), REQUESTS)


@pytest.fixture(scope="module")
def sides(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return make_both(data, tmp_path_factory.mktemp("benchmark") / "equal")


def changed(database: Path, sql: str) -> Path:
    """A copy of a database in which `sql` was run."""
    copy = database.with_stem(f"{database.stem}-changed")
    shutil.copy(database, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(sql)
    return copy


def test_every_line_is_loaded_as_duckdb_reads_it(sides: Sides) -> None:
    assert load_differences(sides.loaded, sides.reference_loaded) == []


def test_every_public_table_is_what_sql_by_hand_gives(sides: Sides) -> None:
    assert differences(sides.built, sides.reference_built) == []


def test_the_pricing_step_is_what_one_query_by_hand_gives(sides: Sides) -> None:
    assert pricing.differences(sides.built) == []
    other = changed(sides.built, 'update pricing_step."by-hand" set list_cost_usd = 1 where rowid = 7')
    assert len(pricing.differences(other)) == 2


def test_another_load_is_seen(sides: Sides) -> None:
    other = changed(
        sides.reference_loaded,
        """
        update portkey__logs set cost = cost + 0.000000000001 where rowid = 7;
        delete from portkey__logs where rowid = 8;
        insert into portkey__logs (filename) values ('broken')
        """,
    )
    found = "\n".join(load_differences(sides.loaded, other))
    assert "rows: 2 only in ours" in found
    assert "rows: 1 only in reference" in found
    assert "unreadable lines: 1 only in ours" in found


def test_another_type_is_seen(sides: Sides) -> None:
    other = changed(sides.reference_loaded, "alter table portkey__logs alter cost type double")
    assert load_differences(sides.loaded, other) == ["cost: DOUBLE, loaded as DECIMAL(38,12)"]


def test_other_tables_are_seen(sides: Sides) -> None:
    other = changed(
        sides.reference_built,
        """
        update llm_spend.llm_quota_usage set used = used + 1 where rowid = 7;
        insert into llm_spend.fct_llm_requests from llm_spend.fct_llm_requests limit 1;
        drop table llm_spend.llm_usage_by_team_daily;
        alter table llm_spend.llm_chargeback_lines drop cost_basis
        """,
    )
    found = differences(sides.built, other)
    assert [line.partition(", such as")[0] for line in found] == [
        "llm_usage_by_team_daily: only in one of both",
        "fct_llm_requests: 1 rows only in reference",
        "llm_chargeback_lines: columns differ: [('cost_basis', 'VARCHAR')]",
        "llm_quota_usage: 1 rows only in ours",
        "llm_quota_usage: 1 rows only in reference",
    ]


@long
def test_pages_are_loaded_as_the_same_rows_in_a_file(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Sides(tmp_path)
    assert make_pages(data, made) > 2 * pages.PAGE_ROWS
    check_pages(made)

    original = pages._pages
    monkeypatch.setattr(
        pages, "_pages", lambda path: [page.replace(b'"cost":', b'"costs":') for page in original(path)]
    )
    with pytest.raises(NotEqualError, match="rows only in pages"):
        check_pages(made)
