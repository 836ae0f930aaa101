"""What the loader makes of streams and lists, whatever API they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.load import LoadReport
from llm_spend.load_api import load_api
from llm_spend.readers.api.source import ApiSource, Listing, NotAllowedError, Stream
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.sql import field as field_sql
from llm_spend.readers.sql import typed
from llm_spend.schema import REQUESTS, Column
from llm_spend.sources import portkey_api
from llm_spend.sources.shared_tables import members_format, requests_format, totals_format
from llm_spend.windows import Window

from .conftest import Warehouse

NOON = datetime(2026, 11, 2, 12)
FORMAT = requests_format(
    "portkey",
    {
        "source_record_id": Column("text", field_sql("id")),
        "started_at": typed(field_sql("at"), "timestamp").as_required(),
    },
)


@dataclass
class Gateway:
    """What an API would answer; `refused` are entities that the key may not see."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    totals: list[dict[str, Any]] = field(default_factory=list)
    teams: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    doubts: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[date, datetime] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def give(self, entity: str, window: Window | None, spool: Spool) -> None:
        self.asked.append((entity, window))
        if entity in self.refused:
            raise NotAllowedError(f"The key may not see {entity}.", "Ask for it.")
        spool.warnings += self.doubts.get(entity, [])
        spool.add_rows(getattr(self, entity))

    def windows(self, entity: str) -> list[str]:
        return [f"{window.start:%dT%H:%M}-{window.end:%dT%H:%M}" for name, window in self.asked if name == entity]


@pytest.fixture
def scene(
    make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> tuple[Gateway, Warehouse, Callable[..., LoadReport]]:
    gateway, warehouse = Gateway(), make_warehouse("load-api")

    @contextmanager
    def opened(instance: str) -> Iterator[Gateway]:
        yield gateway

    source = ApiSource(
        "portkey",
        opened,
        (
            Stream(
                REQUESTS,
                FORMAT,
                "at",
                lambda api, window, spool: api.give("requests", window, spool),
                changed=lambda api, since: api.changed,
            ),
            Stream(
                "totals",
                totals_format("portkey"),
                "bucket_start",
                lambda api, window, spool: api.give("totals", window, spool),
                whole_days=True,
                look_back=(timedelta(days=3),),
                empty_replaces=True,
            ),
        ),
        (Listing("teams", members_format("portkey"), lambda api, spool: api.give("teams", None, spool)),),
    )
    monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)

    def load(now: datetime = NOON, **options: Any) -> LoadReport:
        gateway.asked.clear()
        options = {"since": date(2026, 11, 1), **options}
        return load_api("portkey", DuckDb(warehouse.database), now=now, **options)

    return gateway, warehouse, load


def team(member_id: str, **fields: Any) -> dict[str, Any]:
    return {"member_type": "team", "member_id": member_id, **fields}


def test_streams_and_lists_go_into_their_tables(scene: Any) -> None:
    gateway, warehouse, load = scene
    gateway.requests = [{"id": "a", "at": "2026-11-01T10:00:00Z"}, {"id": "b", "at": "2026-11-02T10:00:00Z"}]
    gateway.totals = [
        {
            "bucket_start": "2026-11-01T00:00:00Z",
            "bucket_end": "2026-11-02T00:00:00Z",
            "dimension": "all",
            "requests": 1,
            "cost_amount": "0.000000000123",
            "cost_unit": "us_cent",
        }
    ]
    gateway.teams = [team("t1", name="Search", team_ids=["x"]), team("t2", is_deleted=True, raw={"n": 1.5})]
    report = load()
    assert (report.rows, report.windows, report.quarantined, report.warnings) == (5, 3, 0, ())
    assert gateway.windows("requests") == ["01T00:00-02T00:00", "02T00:00-02T11:45"]
    assert gateway.windows("totals") == ["01T00:00-02T00:00"]
    assert warehouse.rows("select source_record_id, _source_system from raw.generic__requests order by 1") == [
        ("a", "portkey"),
        ("b", "portkey"),
    ]
    (total,) = warehouse.rows("select requests, cost_amount::varchar, cost_unit from raw.gateway__totals")
    assert total == (1, "0.000000000123", "us_cent")
    assert warehouse.rows(
        "select member_id, name, team_ids, is_deleted, raw, observed_at from raw.gateway__members order by 1"
    ) == [("t1", "Search", '["x"]', None, None, NOON), ("t2", None, None, True, '{"n":1.5}', NOON)]
    assert warehouse.rows(
        "select entity, count(*), count(window_start) from raw.llm_spend__files where source_instance = 'default'"
        " group by 1 order by 1"
    ) == [("requests", 2, 2), ("teams", 1, 0), ("totals", 1, 1)]


def test_no_rows_replace_rows_only_where_that_is_proof(scene: Any) -> None:
    gateway, warehouse, load = scene
    day = {"bucket_start": "2026-11-01T00:00:00Z", "bucket_end": "2026-11-02T00:00:00Z"}
    gateway.requests = [{"id": "a", "at": "2026-11-01T10:00:00Z"}]
    gateway.totals = [{**day, "dimension": "all", "requests": 1}]
    load()
    gateway.requests, gateway.totals = [], []
    report = load(NOON + timedelta(minutes=1), again=True)
    assert report.warnings and not any(each.startswith("totals") for each in report.warnings)
    sizes = (
        "select list(size_bytes > 0 order by _dlt_load_id) from raw.llm_spend__files"
        " where source_instance = 'default' and window_start = timestamp '2026-11-01' group by entity order by entity"
    )
    assert warehouse.rows(sizes) == [([True],), ([True, False],)]


def test_a_list_is_loaded_when_it_is_another(scene: Any) -> None:
    gateway, warehouse, load = scene
    gateway.teams = [team("t1"), team("t2")]
    assert load().rows == 2
    gateway.teams.reverse()
    assert load(NOON + timedelta(hours=1)).rows == 0
    gateway.teams = [team("t1", name="renamed")]
    assert load(NOON + timedelta(hours=2)).rows == 1
    gateway.teams = []
    report = load(NOON + timedelta(hours=3))
    assert (report.rows, report.warnings) == (0, ("teams: there were rows, and now there are none. Kept as loaded.",))
    assert warehouse.rows(
        "select observed_at, string_agg(member_id, ' ' order by member_id) from raw.gateway__members group by 1"
        " order by 1"
    ) == [(NOON, "t1 t2"), (NOON + timedelta(hours=2), "t1")]


def test_what_is_not_allowed_is_a_warning_unless_it_is_the_first_stream(scene: Any) -> None:
    gateway, warehouse, load = scene
    gateway.requests = [{"id": "a", "at": "2026-11-01T10:00:00Z"}]
    gateway.teams = [team("t1")]
    gateway.refused = {"totals", "teams"}
    gateway.doubts = {"requests": ["Some may be missing."]}
    report = load()
    assert report.rows == 1
    assert report.warnings == (
        "Some may be missing.",
        "The key may not see totals. Ask for it.",
        "The key may not see teams. Ask for it.",
    )
    gateway.refused = {"requests"}
    with pytest.raises(UserError, match="may not see requests"):
        load(NOON + timedelta(days=1))
    assert gateway.windows("totals") == []
    assert warehouse.rows("select count(*) from raw.gateway__members") == [(0,)]


def test_days_that_the_source_knows_to_have_changed_are_asked_for_again(scene: Any) -> None:
    gateway, _, load = scene
    load()
    gateway.changed = {date(2026, 11, 1): NOON - timedelta(minutes=1), date(2026, 10, 30): NOON + timedelta(days=9)}
    load(NOON + timedelta(minutes=1))
    assert gateway.windows("requests") == ["02T11:45-02T11:46"]
    gateway.changed = {date(2026, 11, 1): NOON + timedelta(minutes=1)}
    load(NOON + timedelta(minutes=2))
    assert gateway.windows("requests") == ["01T00:00-02T00:00", "02T11:46-02T11:47"]
    load(NOON + timedelta(minutes=2))
    assert gateway.windows("requests") == []


def test_a_row_of_a_list_that_can_t_be_read_is_in_quarantine(scene: Any) -> None:
    gateway, warehouse, load = scene
    gateway.teams = [team("t1"), {"member_type": "team", "name": "without id"}, team("t3", created_at="yesterday")]
    report = load(instance="main")
    assert (report.rows, report.quarantined) == (3, 2)
    assert [reason for _, _, reason in warehouse.quarantine("main")] == [
        "member_id: missing",
        "created_at: not a timestamp: yesterday",
    ]
