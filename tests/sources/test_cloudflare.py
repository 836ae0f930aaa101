"""Cloudflare AI Gateway: its API, asked for real at a server that holds us to its description, and logs as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource
from llm_spend.sources import SOURCES, cloudflare_api
from llm_spend.sources.cloudflare import LOGS
from llm_spend.sources.cloudflare_api import REQUEST_LOGS, AiGateways

from .conftest import Warehouse
from .fake_cloudflare import ACCOUNT, DESCRIPTION, TOKEN, FakeCloudflare, refusal
from .fake_server import IMPATIENCE, PASSING, Fault, Scene, client_of, opening, records_of, serving

NOON = datetime(2026, 11, 2, 12, 15)


def log(record_id: str, at: str = "2026-11-02T10:00:00.000Z", **fields: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "created_at": at,
        "model": "gpt-4o",
        "provider": "openai",
        "path": "chat/completions",
        "success": True,
        "cached": False,
        "duration": 900,
        "tokens_in": 10,
        "tokens_out": 5,
        "cost": 0.001,
        "status_code": 200,
        "step": 0,
        "request_head": "SECRET",
        **fields,
    }


class Stage(NamedTuple):
    cloudflare: FakeCloudflare
    scene: Scene

    def ids(self) -> list[str]:
        return [row["id"] for row in self.scene.fetch()]


def source_of(fake: FakeCloudflare, pauses: list[float], *gateways: str) -> ApiSource:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    opened = opening(
        lambda client: AiGateways(client, ACCOUNT, gateways), lambda: client_of(fake, "Cloudflare", headers, pauses)
    )
    return ApiSource("cloudflare", opened, (REQUEST_LOGS,))


@pytest.fixture
def stage(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    fake, pauses = FakeCloudflare(logs={"shop": []}), list[float]()
    with serving(fake):
        made = Stage(fake, Scene(source_of(fake, pauses, "shop"), make_warehouse("cloudflare"), pauses))
        monkeypatch.setattr(cloudflare_api, "api_source", lambda instance: made.scene.source)
        yield made


def test_a_window_is_loaded_and_loaded_again(stage: Stage) -> None:
    stage.cloudflare.logs = {
        "shop": [
            log("told", metadata=json.dumps({"team": "search", "plan": 3, "cf.user_id": "ada"})),
            log("cached", cached=True, cost=0, metadata=json.dumps({"user": "eve", "cf.user_id": "ada"})),
            log("nothing", tokens_in=None, tokens_out=None, cost=None, success=False, status_code=429, step=2),
            log("guard", model="@cf/meta/llama-guard-3-8b", provider="workers-ai", path="run"),
            log("native", path="v1/run", request_type="embeddings", metadata="no object", custom_cost=True),
            log("on the end", at="2026-11-02T12:00:00.000Z"),
        ],
        "chat": [log("legacy", path="v1/completions")],
    }
    stage.scene.source = source_of(stage.cloudflare, stage.scene.pauses, "shop", "chat")
    report = stage.scene.load(NOON, instance="account")
    assert (report.rows, report.quarantined, report.warnings) == (6, 0, ())
    rows = stage.scene.warehouse.rows(
        "select source_record_id, input_tokens, output_tokens, gateway_reported_usd, is_gateway_cache_hit, status,"
        " http_status, operation, metadata, _metadata_error from raw.generic__requests order by 1"
    )
    cost = Decimal("0.001")
    paid, shop = (10, 5, cost, False, "success", 200), '{"gateway":"shop"}'
    eve = '{"gateway":"shop","user":"eve","cf.user_id":"ada"}'
    ada = '{"user":"ada","gateway":"shop","team":"search","plan":3,"cf.user_id":"ada"}'
    assert rows == [
        ("cached", 10, 5, 0, True, "success", 200, "chat/completions", eve, False),
        ("guard", *paid, "moderation", shop, False),
        ("legacy", *paid, "text_completion", '{"gateway":"chat"}', False),
        ("native", *paid, "embeddings", shop, False),
        ("nothing", None, None, None, False, "error", 429, "chat/completions", '{"gateway":"shop","step":"2"}', False),
        ("told", *paid, "chat/completions", ada, False),
    ]
    stage.scene.warehouse.assert_nowhere("SECRET")

    stage.cloudflare.logs = {"shop": [log("told", cost=2)], "chat": []}
    stage.scene.load(NOON, instance="account", again=True)
    last = "where _dlt_load_id = (select max(_dlt_load_id) from raw.generic__requests)"
    again = stage.scene.warehouse.rows(
        f"select source_record_id, gateway_reported_usd from raw.generic__requests {last}"
    )
    assert again == [("told", 2)]
    stage.cloudflare.logs = {"shop": [], "chat": []}
    (warning,) = stage.scene.load(NOON, instance="account", again=True).warnings
    assert "there were rows, and now there are none" in warning


def test_files_of_logs_are_read(tmp_path: Path) -> None:
    told, wrong = records_of(LOGS, tmp_path, [log("a", gateway=None), log("b", cost="dear")])
    assert (told["source_record_id"], told["_problem"], told["metadata"]) == ("a", None, None)
    assert wrong["_problem"] == "gateway_reported_usd: not an amount: dear"
    assert SOURCES["cloudflare"].files is LOGS


@pytest.mark.parametrize("per_moment", [1, 3, 7])
def test_pages_go_on_from_the_time_of_the_last_row(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, per_moment: int
) -> None:
    monkeypatch.setattr(cloudflare_api, "PAGE_SIZE", 3)
    times = [f"2026-11-02T10:00:00.{number // per_moment:03}Z" for number in range(20)]
    stage.cloudflare.logs["shop"] = [log(f"{number:02}", at=at) for number, at in enumerate(times)]
    assert stage.ids() == [f"{number:02}" for number in range(20)]


def test_rows_that_come_and_go_while_one_reads_shift_no_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudflare_api, "PAGE_SIZE", 4)
    stage.cloudflare.logs["shop"] = [log(f"{number}", at=f"2026-11-02T10:00:{number:02}.000Z") for number in range(9)]
    answer = stage.cloudflare.answer

    def busy(asked: Any) -> Any:
        found = answer(asked)
        kept = [row for row in stage.cloudflare.logs["shop"] if row["id"] not in ("0", "1", "2")]
        stage.cloudflare.logs["shop"] = [*kept, log(f"new {len(kept)}", at="2026-11-02T23:00:00.000Z")]
        return found

    monkeypatch.setattr(stage.cloudflare, "answer", busy)
    assert stage.ids()[:9] == [f"{number}" for number in range(9)]


def test_an_empty_window_has_no_rows(stage: Stage) -> None:
    assert stage.ids() == []
    (asked,) = stage.cloudflare.asked
    assert json.loads(asked.query["filters"]) == [
        {"key": "created_at", "operator": "gt", "value": ["2026-11-01T23:59:59.999Z"]},
        {"key": "created_at", "operator": "lt", "value": ["2026-11-03T00:00:00.000Z"]},
    ]


def test_fewer_rows_than_announced_are_an_error(stage: Stage) -> None:
    stage.cloudflare.logs["shop"] = [log("a"), log("b")]
    stage.cloudflare.announced = lambda total: total + 1
    with pytest.raises(UserError, match=r"gateway shop are not complete: 3 rows were announced and 2 came"):
        stage.scene.fetch()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([log(f"{number}") for number in range(4)], "the rows of a page before it"),
        ([log("early", at="2026-11-01T10:00:00.000Z")], "rows before the time that was asked for"),
    ],
)
def test_a_server_that_does_not_listen_is_an_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], said: str
) -> None:
    monkeypatch.setattr(cloudflare_api, "PAGE_SIZE", 2)
    stage.cloudflare.is_deaf, stage.cloudflare.logs["shop"] = True, rows
    with pytest.raises(UserError, match=said):
        stage.scene.fetch()


def test_every_field_of_the_description_is_known() -> None:
    row = dict.fromkeys(DESCRIPTION.fields_of("Log"))
    assert set(cloudflare_api.without_bodies(row)) <= set(LOGS.file_fields)


def test_fields_that_nobody_knows_reach_the_loader_by_name(stage: Stage) -> None:
    stage.cloudflare.logs["shop"] = [log("a", thinking="deep")]
    (row,) = stage.scene.fetch()
    assert set(row).difference(REQUEST_LOGS.format.file_fields) == {"thinking"}


def test_what_passes_is_waited_for_and_what_stays_is_told(stage: Stage) -> None:
    stage.cloudflare.patience = IMPATIENCE
    stage.cloudflare.logs["shop"] = [log("a")]
    for faults in (PASSING[:2], PASSING[2:]):
        stage.cloudflare.faults = list(faults)
        assert stage.ids() == ["a"]
    assert stage.scene.pauses[0] == 17
    stage.cloudflare.faults = [refusal(500, "broken")] * 3
    with pytest.raises(UserError, match="answered 500"):
        stage.scene.fetch()


REFUSALS = [
    (404, "gateway not found", "no logs of the gateway shop", "gateway_id"),
    (410, "gone", "no logs of the gateway shop", "gateway_id"),
    (403, "AI Gateway logs are in Workers Observability", "does not give the logs", "load otel"),
    (400, "not available for this account", "does not give the logs", "load otel"),
    (403, "Authentication error", "lacks the permission", "*AI Gateway Read*"),
    (401, "Unauthorized", "the token is wrong", "*AI Gateway Read*"),
    (400, "Invalid request headers: Invalid format for Authorization header", "not one of Cloudflare's", "Make"),
]


@pytest.mark.parametrize(("status", "said", "problem", "remedy"), REFUSALS)
def test_a_refusal_says_what_to_do(stage: Stage, status: int, said: str, problem: str, remedy: str) -> None:
    stage.cloudflare.faults = [refusal(status, f"{said} (Bearer {TOKEN})")] * 2
    for ask in (stage.scene.fetch, stage.scene.check):
        with pytest.raises(UserError) as refused:
            ask()
        assert problem in refused.value.problem and remedy in refused.value.remedy
        if status != 400 or "load otel" in remedy:
            assert "24 September 2026" in refused.value.remedy
        assert TOKEN not in str(refused.value)


def test_an_answer_without_logs_is_not_taken_for_none(stage: Stage) -> None:
    stage.cloudflare.faults = [Fault(200, {"success": True, "result": None, "result_info": None})]
    with pytest.raises(UserError, match="no logs and no total"):
        stage.scene.fetch()


def test_the_settings_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    stage.cloudflare.logs["chat"] = [log("a")]
    settings = {"API_TOKEN": TOKEN, "BASE_URL": stage.cloudflare.address, "ACCOUNT_ID": ACCOUNT}
    for name, value in settings.items():
        monkeypatch.setenv(f"SOURCES__CLOUDFLARE__{name}", value)
    source = cloudflare_api.api_source("default")
    with pytest.raises(UserError, match=r"no AI gateway of Cloudflare to ask.*gateway_id"), source.open("default"):
        pass
    for gateways in ("shop, chat", '["shop", "chat"]'):
        monkeypatch.setenv("SOURCES__CLOUDFLARE__GATEWAY_ID", gateways)
        with source.open("default") as api:
            assert api.check() == "logs can be listed (shop: 0, chat: 1)"
