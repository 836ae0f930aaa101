"""Portkey's Logs Export API, loaded for real from a server that holds us to its description."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

import llm_spend.load_api
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.load import LoadReport
from llm_spend.load_api import load_api
from llm_spend.readers.api.client import ApiClient, Patience
from llm_spend.readers.api.spool import Spool
from llm_spend.sources import portkey_api, portkey_exports
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_portkey import KEY, SIGNATURE, FakePortkey, Fault, serving, source_of

DAY = date(2026, 11, 2)
NOON, NEXT_NOON, LATER = datetime(2026, 11, 2, 12, 15), datetime(2026, 11, 3, 12, 15), datetime(2026, 11, 4, 1)
MORNING = Window(datetime(2026, 11, 2), datetime(2026, 11, 2, 12))
IN_FORCE = """
    select id, cost from raw.portkey__logs where _dlt_load_id in (
        select _dlt_load_id from raw.llm_spend__files where _dlt_load_id in (select load_id from raw._dlt_loads)
    )
"""


def log(record_id: str, at: str = "2026-11-02T10:00:00.000Z", **fields: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "created_at": at,
        "is_success": True,
        "ai_org": "openai",
        "ai_model": "gpt-4o",
        "req_units": 10,
        "res_units": 5,
        "total_units": 15,
        "cost": 1.383,
        "cost_currency": "USD",
        "response_status_code": 200,
        "metadata": {"_user": "ada", "team": "search"},
        "request": {"messages": "SECRET PROMPT"},
        "response": {"choices": "SECRET ANSWER"},
        **fields,
    }


@dataclass
class Scene:
    """A Portkey, a database, and what our client did: its pauses instead of waiting."""

    portkey: FakePortkey
    warehouse: Warehouse
    pauses: list[float] = field(default_factory=list)

    def load(self, now: datetime = NOON, **options: Any) -> LoadReport:
        return load_api("portkey", DuckDb(self.warehouse.database), since=DAY, now=now, **options)

    def fetch(self, window: Window = MORNING) -> list[str]:
        """Ids of what is fetched of a window, without a database."""
        path = self.warehouse.folder / "spool.jsonl"
        with portkey_api.api_source("default").open("default") as api, Spool(path) as spool:
            api.requests(window, spool)
        ids = [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        assert len(ids) == spool.rows
        return ids

    def ids(self) -> list[str]:
        return [row[0] for row in self.warehouse.rows(f"select id from ({IN_FORCE}) order by id")]

    def windows(self) -> list[tuple[str, str, int]]:
        found = self.warehouse.rows(
            "select window_start, window_end, size_bytes > 0 from raw.llm_spend__files where window_start is not null"
            " and _dlt_load_id in (select load_id from raw._dlt_loads where status = 0) order by _dlt_load_id"
        )
        return [(f"{start:%dT%H:%M}", f"{end:%dT%H:%M}", is_full) for start, end, is_full in found]


@pytest.fixture
def scene(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with serving(FakePortkey()) as portkey:
        made = Scene(portkey, make_warehouse("portkey-api"))
        patience = Patience(tries=3, first_wait=0.5, longest_wait=60, connect=1, read=0.4)

        source = source_of(portkey, patience=patience, sleep=made.pauses.append)
        monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)
        yield made
        assert portkey.problems == []


def test_a_window_is_exported_and_loaded(scene: Scene) -> None:
    scene.portkey.logs = [log("a"), log("b", at="2026-11-02 11:00:00.123", cost=0.0000123456789)]
    scene.portkey.polls = 3
    report = scene.load(instance="main")
    assert (report.rows, report.windows, report.quarantined, report.files) == (2, 1, 0, 0)
    assert report.warnings == ()
    assert scene.portkey.steps == ["create", "start", "state", "state", "state", "state", "download", "file"]
    assert scene.windows() == [("02T00:00", "02T12:00", True)]
    rows = scene.warehouse.rows(
        "select id, created_at, cost, metadata ->> 'team', _source_instance, _problem, _file"
        " from raw.portkey__logs order by id"
    )
    url = "portkey-api://main/20261102T000000.000Z--20261102T120000.000Z.jsonl"
    assert rows == [
        ("a", datetime(2026, 11, 2, 10), Decimal("1.383"), "search", "main", None, url),
        ("b", datetime(2026, 11, 2, 11, 0, 0, 123000), Decimal("0.000012345679"), "search", "main", None, url),
    ]


def test_bodies_are_not_asked_for_and_the_workspace_is(scene: Scene) -> None:
    scene.portkey.logs = [log("a")]
    scene.load()
    (export,) = scene.portkey._exports.values()
    assert export["body"]["workspace_id"] == "ws-1"
    wanted = set(export["body"]["requested_data"])
    assert not wanted & {"request", "response"}
    assert {name for name in portkey_api.LOGS.columns if name in log("x")} <= wanted
    scene.warehouse.assert_nowhere("SECRET")


def test_tables_of_an_earlier_version_get_the_columns_of_windows(scene: Scene) -> None:
    with duckdb.connect(str(scene.warehouse.database)) as connection:
        for column in ("window_start", "window_end"):
            connection.execute(f"alter table llm_spend_raw.llm_spend__files drop column {column}")
        connection.execute("delete from llm_spend_raw._dlt_version")
    scene.portkey.logs = [log("a")]
    assert scene.load().rows == 1
    assert scene.windows() == [("02T00:00", "02T12:00", True)]


def test_an_empty_window_is_remembered(scene: Scene) -> None:
    assert scene.load().rows == 0
    assert scene.windows() == [("02T00:00", "02T12:00", False)]
    assert scene.portkey.steps == ["create"]
    assert scene.load().windows == 0


@pytest.mark.parametrize("ends_included", [True, False])
def test_rows_on_the_edge_of_two_windows_are_loaded_once(scene: Scene, ends_included: bool) -> None:
    scene.portkey.ends_included = ends_included
    scene.portkey.logs = [
        log("before", at="2026-11-01T23:59:59.999Z"),
        log("first", at="2026-11-02T00:00:00.000Z"),
        log("last", at="2026-11-02T23:59:59.999Z"),
        log("midnight", at="2026-11-03T00:00:00.000Z"),
        log("noon", at="2026-11-03T12:00:00.000Z"),
    ]
    report = scene.load(NEXT_NOON)
    assert (report.windows, report.rows) == (2, 3)
    assert scene.ids() == ["first", "last", "midnight"]
    scene.load(NEXT_NOON + timedelta(minutes=5))
    assert scene.ids() == ["first", "last", "midnight", "noon"]


def test_a_window_with_too_many_rows_is_halved(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portkey_exports, "MOST_ROWS", 10)
    scene.portkey.most_rows = 10
    scene.portkey.logs = [log(f"{number:03}", at=f"2026-11-02T{number // 9:02}:07:13.457Z") for number in range(90)]
    report = scene.load()
    assert (report.windows, report.rows) == (1, 90)
    assert scene.ids() == [f"{number:03}" for number in range(90)]
    assert scene.portkey.steps.count("start") < scene.portkey.steps.count("create")
    assert scene.windows() == [("02T00:00", "02T12:00", True)]


def test_rows_that_arrive_while_an_export_is_made_can_fill_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portkey_exports, "MOST_ROWS", 10)
    scene.portkey.most_rows = 10
    scene.portkey.announced = lambda total: min(total, 9)
    scene.portkey.logs = [log(f"{number:03}", at=f"2026-11-02T{number // 2:02}:07:13.457Z") for number in range(20)]
    assert sorted(scene.fetch()) == [f"{number:03}" for number in range(20)]


def test_rows_on_the_cut_of_two_halves_are_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portkey_exports, "MOST_ROWS", 3)
    scene.portkey.most_rows, scene.portkey.ends_included = 3, False
    scene.portkey.logs = [log(name, at=f"2026-11-02T{name}.000Z") for name in ("01:00:00", "06:00:00", "11:00:00")]
    assert scene.fetch() == ["01:00:00", "06:00:00", "11:00:00"]


def test_a_filter_that_is_ignored_is_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portkey_exports, "MOST_ROWS", 10)
    scene.portkey.announced = lambda total: 10
    with pytest.raises(UserError, match=r"10 logs or more .* can't be halved"):
        scene.fetch()


def test_a_window_is_asked_for_again_once_and_replaced_as_a_whole(scene: Scene) -> None:
    scene.portkey.logs = [log("kept"), log("vanishes"), log("changes", cost=9)]
    scene.load(NOON)
    assert scene.load(NOON + timedelta(hours=1)).rows == 0  # 12:00 to 13:00
    scene.portkey.logs = [log("kept"), log("changes", cost=4), log("late", at="2026-11-02T09:00:00.000Z")]
    report = scene.load(NEXT_NOON)
    assert report.windows == 3
    assert ("02T00:00", "02T12:00", True) in scene.windows()[2:]
    before = len(scene.portkey.steps)
    assert scene.load(NEXT_NOON).windows == 0
    assert len(scene.portkey.steps) == before


def test_what_a_log_has_forgotten_is_not_replaced_by_nothing(scene: Scene) -> None:
    scene.portkey.logs = [log("a")]
    scene.load(NOON)
    scene.portkey.logs = []
    report = scene.load(NEXT_NOON)
    (warning,) = report.warnings
    assert "there were rows, and now there are none" in warning and "02T00:00" in warning
    assert scene.windows()[0] == ("02T00:00", "02T12:00", True)
    assert ("02T00:00", "02T12:00", False) not in scene.windows()


def test_again_asks_for_what_is_loaded(scene: Scene) -> None:
    scene.portkey.logs = [log("a", cost=1)]
    scene.load(LATER)
    assert scene.load(LATER).windows == 0
    scene.portkey.logs = [log("a", cost=2)]
    assert scene.load(LATER, again=True).windows == 3
    assert scene.warehouse.rows("select cost from raw.portkey__logs order by _dlt_load_id") == [(1,), (2,)]


def test_the_first_day_is_that_of_the_first_load(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    source = portkey_api.api_source("default")
    source = replace(source, streams=(replace(source.streams[0], first=timedelta(days=1)),))
    monkeypatch.setattr(portkey_api, "api_source", lambda instance: source)
    for now in (datetime(2026, 11, 2, 0, 15), datetime(2026, 11, 2, 12, 15), datetime(2026, 11, 4, 0, 15)):
        load_api("portkey", DuckDb(scene.warehouse.database), now=now)
    assert {window[0] for window in scene.windows()} == {"01T00:00", "02T00:00", "03T00:00"}


def test_a_server_that_is_busy_is_asked_again_when_it_says(scene: Scene) -> None:
    scene.portkey.logs = [log("a")]
    scene.portkey.polls = 0
    scene.portkey.faults = {"create": [Fault(429, {}, {"Retry-After": "17"}), Fault(503, b"<html>busy</html>")]}
    assert scene.fetch() == ["a"]
    assert scene.pauses[0] == 17
    assert 0.5 < scene.pauses[1] < 2


def test_a_pause_that_is_too_long_ends_the_run(scene: Scene) -> None:
    scene.portkey.faults = {"create": [Fault(429, {}, {"Retry-After": "3600"})]}
    with pytest.raises(UserError, match="asks to wait 3,600 seconds"):
        scene.fetch()
    assert scene.pauses == []


def test_a_pause_can_end_at_a_moment(scene: Scene) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    scene.portkey.faults = {
        "create": [Fault(429, {}, {"Retry-After": moment}), Fault(503, {}, {"Retry-After": "soon"})]
    }
    assert scene.fetch() == []
    assert 30 < scene.pauses[0] <= 40
    assert scene.pauses[1] < 2


def test_a_key_is_not_sent_where_an_answer_points_to(scene: Scene) -> None:
    elsewhere = f"{scene.portkey.address}/elsewhere"
    scene.portkey.faults = {"create": [Fault(307, {}, {"Location": elsewhere})]}
    with pytest.raises(UserError, match="answered 307"):
        scene.fetch()
    assert scene.portkey.steps == ["create"]


def test_an_answer_takes_no_more_memory_than_it_may(scene: Scene) -> None:
    with (
        ApiClient("Portkey", scene.portkey.address, {"x-portkey-api-key": KEY}, largest_answer=20) as client,
        pytest.raises(UserError, match="answered with more than 0 MB at once"),
    ):
        client.json("GET", "/v1/logs/exports")


def test_a_server_that_is_not_there_is_told(scene: Scene) -> None:
    client = ApiClient("Portkey", "http://127.0.0.1:9/v1", {}, patience=Patience(tries=2), sleep=scene.pauses.append)
    with client, pytest.raises(UserError, match="Portkey can't be reached for GET /logs/exports: no connection"):
        client.json("GET", "/logs/exports")
    assert len(scene.pauses) == 1
    with pytest.raises(UserError, match="is no address of Portkey"):
        ApiClient("Portkey", "portkey.example", {})


@pytest.mark.parametrize("step", ["create", "start", "state", "download", "file"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(500, {"message": "broken"}), "answered 500"),
        (Fault(pause=1), "did not answer in time|no connection"),
        (Fault(200, b'{"id": "cut o', {"Content-Length": "100"}), "ended too early"),
    ],
)
def test_what_fails_for_a_moment_is_tried_again_and_what_fails_for_good_is_told(
    scene: Scene, step: str, fault: Fault, said: str
) -> None:
    scene.portkey.logs = [log("a")]
    scene.portkey.faults = {step: [fault] * 2}
    assert scene.fetch() == ["a"]
    scene.portkey.faults = {step: [fault] * 9}
    with pytest.raises(UserError, match=said) as failed:
        scene.fetch()
    assert SIGNATURE not in str(failed.value)


def test_an_answer_that_is_no_json_is_asked_for_again(scene: Scene) -> None:
    scene.portkey.faults = {"create": [Fault(200, b'{"id": "cut o')]}
    assert scene.fetch() == []
    scene.portkey.faults = {"create": [Fault(200, b"<html>")] * 3}
    with pytest.raises(UserError, match="not JSON: it may be cut off"):
        scene.fetch()


def test_a_start_that_got_through_unheard_goes_on(scene: Scene) -> None:
    scene.portkey.logs = [log("a")]
    started = scene.portkey.start

    def start_and_fail(identifier: str) -> Any:
        scene.portkey.start = started  # type: ignore[method-assign]
        started(identifier)
        return Fault(502, {})

    scene.portkey.start = start_and_fail  # type: ignore[method-assign]
    assert scene.fetch() == ["a"]
    assert scene.portkey.steps.count("start") == 2


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_an_export_that_fails_is_made_again(scene: Scene, state: str) -> None:
    scene.portkey.logs = [log("a")]
    scene.portkey.states = [state]
    assert scene.fetch() == ["a"]
    scene.portkey.states = [state] * 3
    with pytest.raises(UserError, match=f"not complete: Portkey says {state}"):
        scene.fetch()


def test_a_state_that_is_not_in_the_description_is_an_error(scene: Scene) -> None:
    scene.portkey.logs = [log("a")]
    scene.portkey.faults = {"state": [Fault(200, {"status": "failure"})]}
    with pytest.raises(UserError, match="unknown status 'failure'"):
        scene.fetch()


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (lambda content: content[: len(content) // 2], "not whole|rows were announced"),
        (lambda content: content[: content.index(b"\n") + 1], "2 rows were announced and 1 came"),
        (lambda content: b"", "2 rows were announced and 0 came"),
    ],
)
def test_a_file_that_was_cut_off_is_an_error(scene: Scene, cut: Callable[[bytes], bytes], said: str) -> None:
    scene.portkey.logs = [log("a"), log("b")]
    scene.portkey.content = cut
    with pytest.raises(UserError, match=said):
        scene.fetch()


def test_more_rows_than_announced_blank_lines_and_no_last_line_end_are_fine(scene: Scene) -> None:
    scene.portkey.logs = [log("a"), log("b")]
    scene.portkey.announced = lambda total: total - 1
    scene.portkey.content = lambda content: content.replace(b"\n", b"\r\n\r\n").rstrip()
    assert scene.fetch() == ["a", "b"]


def test_a_packed_file_is_unpacked(scene: Scene) -> None:
    scene.portkey.logs = [log("a"), log("b")]
    scene.portkey.is_packed = True
    assert scene.fetch() == ["a", "b"]


def test_a_run_that_was_killed_goes_on_where_it_stopped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.portkey.logs = [log("a"), log("b", at="2026-11-03T10:00:00.000Z"), log("c", at="2026-11-04T00:10:00.000Z")]
    counted = llm_spend.load_api.count_rows
    done = []

    def killed(*arguments: Any) -> Any:
        done.append(arguments)
        if len(done) == 2:
            raise KeyboardInterrupt
        return counted(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(llm_spend.load_api, "count_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            scene.load(LATER)
    assert scene.ids() == ["a", "b"]
    report = scene.load(LATER)
    assert (report.windows, report.rows) == (1, 1)
    assert scene.ids() == ["a", "b", "c"]
    assert [window[:2] for window in scene.windows()] == [
        ("02T00:00", "03T00:00"),
        ("03T00:00", "04T00:00"),
        ("04T00:00", "04T00:45"),
    ]


def test_a_download_that_was_killed_leaves_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.portkey.logs = [log("a")]

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ApiClient, "download", killed)
        scene.load()
    assert (scene.windows(), scene.ids()) == ([], [])
    assert scene.load().rows == 1


def test_of_fields_that_nobody_knows_the_numbers_are_kept(scene: Scene) -> None:
    new = {"thinking": "SECRET THOUGHT", "new_tokens": 7, "usage_details": {"said": "SECRET", "seconds": 1.5}}
    scene.portkey.logs = [log("a", **new, _extra=[*new, "request"]), log("b", at="2026-11-03T11:00:00.000Z")]
    # The second window has none of them; a request is no news.
    (warning,) = scene.load(LATER - timedelta(minutes=46)).warnings
    assert warning.startswith("Fields that are not known: new_tokens, thinking, usage_details. Their numbers")
    kept = scene.warehouse.rows("select id, _extra, _problem from raw.portkey__logs order by 1")
    assert kept == [("a", '{"new_tokens":7,"usage_details":{"seconds":1.5}}', None), ("b", None, None)]
    scene.warehouse.assert_nowhere("SECRET")
    # On demand text as well, but no body; or nothing.
    for kept_of_them, extra in (("all", {**new}), ("none", None)):
        scene.load(NEXT_NOON, again=True, until=DAY, unknown_fields=kept_of_them)
        last = "_dlt_load_id = (select max(_dlt_load_id) from raw.portkey__logs) and id = 'a'"
        ((found,),) = scene.warehouse.rows(f"select _extra from raw.portkey__logs where {last}")
        assert (found and json.loads(found)) == extra
    scene.warehouse.assert_nowhere("SECRET PROMPT")


def test_a_value_of_another_type_goes_to_quarantine_with_its_line(scene: Scene) -> None:
    scene.portkey.logs = [log("a"), log("b", cost="dear"), log("c", created_at="2026-11-02T10:30:00.000Z")]
    report = scene.load(instance="drift")
    assert (report.rows, report.quarantined) == (3, 1)
    (noted,) = scene.warehouse.quarantine("drift")
    assert noted == ("20261102T000000.000Z--20261102T120000.000Z.jsonl", 2, "cost: not an amount: dear")


REFUSALS = [
    (401, "Invalid API Key", "the key is wrong or was withdrawn", "permission to export logs"),
    (403, "You do not have enough permissions", "lacks the permission to export logs", "logs.export"),
    (403, "Please upgrade to an Enterprise plan", "does not offer here to export logs", "Enterprise"),
    (402, "", "does not offer here to export logs", "Enterprise"),
    (404, "", "does not offer here to export logs", "base_url"),
    (400, "Denied fields: cost", "can't make this export", "export settings"),
]


@pytest.mark.parametrize(("status", "said", "problem", "remedy"), REFUSALS)
def test_a_refusal_says_in_one_sentence_what_to_do(
    scene: Scene, status: int, said: str, problem: str, remedy: str
) -> None:
    scene.portkey.faults = {"create": [Fault(status, {"success": False, "data": {"message": f"{said} ({KEY})"}})]}
    with pytest.raises(UserError) as refused:
        scene.fetch()
    assert problem in refused.value.problem and remedy in refused.value.remedy
    assert said in refused.value.problem
    assert KEY not in str(refused.value)
    assert scene.pauses == []


def test_no_secret_is_stored_logged_or_sent_elsewhere(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.portkey.logs = [log("a")]
    scene.portkey.faults = {"file": [Fault(500, {"message": "broken"}), Fault(403, {"message": "expired"})]}
    with caplog.at_level(logging.DEBUG):
        assert scene.load().rows == 1
    assert not any(secret in caplog.text for secret in (KEY, SIGNATURE))
    for secret in (KEY, SIGNATURE):
        scene.warehouse.assert_nowhere(secret)
    sent = {step: headers for step, headers in scene.portkey.seen_headers}
    assert "x-portkey-api-key" not in {name.lower() for name in sent["file"]}
    assert scene.portkey.steps.count("download") == 2


def test_a_source_without_an_api_says_so(scene: Scene) -> None:
    with pytest.raises(UserError, match=r"'generic' has no API that is read.*portkey"):
        load_api("generic", DuckDb(scene.warehouse.database))


def command(portkey: FakePortkey, folder: Path, *arguments: str) -> list[str]:
    """`llm-spend …` with its configuration in the folder."""
    (folder / ".dlt").mkdir(exist_ok=True)
    (folder / ".dlt" / "secrets.toml").write_text(f'[sources.portkey]\napi_key = "{KEY}"\n', encoding="utf-8")
    (folder / ".dlt" / "config.toml").write_text(
        f"""
        [sources.portkey.main]
        base_url = "{portkey.address}/v1"
        workspace_id = "ws-main"
        [[llm_spend.sources]]
        source = "portkey"
        api = true
        instance = "main"
        since = {date.today() - timedelta(days=2)}
        """,
        encoding="utf-8",
    )
    return [sys.executable, "-c", "from llm_spend.cli import main; main()", *arguments]


def test_the_command_is_killed_and_goes_on(scene: Scene) -> None:
    folder, database = scene.warehouse.folder, str(scene.warehouse.database)
    days = [datetime.combine(date.today() - timedelta(days=back), datetime.min.time()) for back in (2, 1)]
    scene.portkey.logs = [log(f"{day:%d}", at=f"{day.isoformat()}.000Z") for day in days]
    scene.portkey.polls = 0
    load = command(scene.portkey, folder, "load", "--database", database, "--json")
    with subprocess.Popen(load, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while scene.portkey.steps.count("file") < 1 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        scene.portkey.faults = {"file": [Fault(pause=20)]}
        while scene.portkey.steps.count("file") < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        said = b"".join(process.communicate())
    assert process.returncode == -signal.SIGKILL, said.decode()
    assert scene.ids() == [f"{days[0]:%d}"]
    scene.portkey.faults = {}
    again = subprocess.run(load, cwd=folder, capture_output=True, text=True, check=True)
    (report,) = json.loads(again.stdout)
    assert report["rows"] == 1 + 2 * len(("all", "user", "model"))
    assert scene.ids() == sorted(f"{day:%d}" for day in days)
    assert {export["body"]["workspace_id"] for export in scene.portkey._exports.values()} == {"ws-main"}
    doctor = command(scene.portkey, folder, "doctor", "--database", database, "--json")
    checks = json.loads(subprocess.run(doctor, cwd=folder, capture_output=True, text=True, check=True).stdout)
    (source,) = [check for check in checks if check["name"] == "source portkey (main)"]
    assert (source["status"], source["found"]) == (
        "ok",
        "logs can be exported, 0 exports until now; analytics can be read",
    )
    scene.portkey.faults = {"list": [Fault(403, {"data": {"message": f"no permission for {KEY}"}})]}
    refused = subprocess.run(doctor, cwd=folder, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "lacks the permission to export logs" in refused.stdout
    for text in (again.stdout, again.stderr, refused.stdout, refused.stderr, said.decode()):
        assert KEY not in text and SIGNATURE not in text
