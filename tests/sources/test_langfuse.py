"""Langfuse: its API, asked for real at a server that holds us to its description, and the files it exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource, NotAllowedError
from llm_spend.sources import langfuse_api
from llm_spend.sources.langfuse import OBSERVATIONS
from llm_spend.sources.langfuse_api import FEEDBACK, GENERATIONS, TOTALS, Langfuse, as_exported, with_cut_keys

from .conftest import Warehouse
from .fake_langfuse import DESCRIPTION, PAIR, PUBLIC, SECRET, FakeLangfuse
from .fake_server import IMPATIENCE, PASSING, Fault, Scene, client_of, opening, read_back, records_of, serving

MIDNIGHT = datetime(2026, 11, 3, 0, 15)
V2, V1 = "/api/public/v2/observations", "/api/public/observations"


def observation(record_id: str, at: str = "2026-11-02T10:00:00.000Z", **fields: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "traceId": "t-1",
        "type": "GENERATION",
        "startTime": at,
        "level": "DEFAULT",
        "environment": "default",
        "userId": "",
        "providedModelName": "gpt-4o",
        "usageDetails": {"input": 10, "output": 5, "total": 15},
        "costDetails": {"total": 0.01},
        "totalCost": 0.01,
        "metadata": {},
        "input": "SECRET PROMPT",
        "output": "SECRET ANSWER",
        **fields,
    }


def score(name: str, value: Any, kind: str, subject: dict[str, Any], data_type: str = "NUMERIC") -> dict[str, Any]:
    at = "2026-11-02T11:00:00.000Z"
    known = {"id": f"s-{name}", "projectId": "p-1", "environment": "default", "timestamp": at, "source": "API"}
    return {
        **known,
        **{"createdAt": at, "updatedAt": at, "name": name, "value": value, "dataType": data_type},
        "subject": {"kind": kind, **subject},
    }


class Stage(NamedTuple):
    langfuse: FakeLangfuse
    scene: Scene

    def ids(self) -> list[str]:
        return [row["id"] for row in self.scene.fetch()]

    def with_api(self, **options: Any) -> Stage:
        """The same server, asked otherwise."""
        self.scene.source = source_of(self.langfuse, self.scene.pauses, **options)
        return self


def source_of(langfuse: FakeLangfuse, pauses: list[float], **options: Any) -> ApiSource:
    headers = {"Authorization": f"Basic {PAIR}"}
    opened = opening(
        lambda client: Langfuse(client, **options), lambda: client_of(langfuse, "Langfuse", headers, pauses)
    )
    return ApiSource("langfuse", opened, (GENERATIONS, FEEDBACK, TOTALS))


@pytest.fixture
def stage(make_warehouse: Callable[[str], Warehouse], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    langfuse, pauses = FakeLangfuse(), list[float]()
    with serving(langfuse):
        made = Stage(langfuse, Scene(source_of(langfuse, pauses), make_warehouse("langfuse"), pauses))
        monkeypatch.setattr(langfuse_api, "api_source", lambda instance: made.scene.source)
        yield made


def test_a_day_is_loaded_with_its_scores_and_totals_and_loaded_again(stage: Stage) -> None:
    stage.langfuse.observations = [
        observation(
            "full",
            endTime="2026-11-02T10:00:02.500Z",
            completionStartTime="2026-11-02T10:00:00.250Z",
            updatedAt="2026-11-02T10:05:00.000Z",
            userId="ada",
            environment="production",
            metadata={"team": "search", "ls_provider": "openai", "nothing": None},
            modelParameters={"temperature": 0.2, "max_tokens": "500"},
            promptName="answer",
            promptVersion=3,
            traceName="support-chat",
            tags=["beta"],
            totalCost=0.0000123456789,
        ),
        observation(
            "embedded", type="EMBEDDING", providedModelName="text-embedding-3-small", usageDetails={"input": 7}
        ),
        observation("not a call", type="SPAN"),
        observation("failed", level="ERROR", statusMessage="RateLimitError: Error code: 429 - SECRET WORDS"),
        observation("unpriced", totalCost=0, costDetails={}),
        observation("other day", at="2026-11-03T00:00:00.000Z"),
    ]
    stage.langfuse.scores = [
        score("helpful", 0.5, "observation", {"id": "full", "traceId": "t-1"}),
        score("thumb", True, "trace", {"id": "t-1"}, "BOOLEAN"),
        score("words", "SECRET CORRECTION", "trace", {"id": "t-1"}, "CORRECTION"),
        score("session", 1, "session", {"id": "x"}),
    ]
    stage.langfuse.metrics = [
        {"providedModelName": "gpt-4o", "count_count": "3", "sum_inputTokens": "30", "sum_totalCost": 0.0200123},
        {"providedModelName": None, "count_count": "1", "sum_inputTokens": "7", "sum_totalCost": 0},
    ]
    report = stage.scene.load(MIDNIGHT, instance="shop")
    assert (report.rows, report.quarantined, report.warnings) == (4 + 3 + 3, 0, ())
    rows = stage.scene.warehouse.rows(
        "select source_record_id, gateway_reported_usd, input_tokens, output_tokens, operation, status, http_status,"
        " error_type from raw.generic__requests order by 1"
    )
    cent = Decimal("0.01")
    assert rows == [
        ("embedded", cent, 7, None, "embedding", "success", None, None),
        ("failed", cent, 10, 5, "chat", "error", 429, "RateLimitError"),
        ("full", Decimal("0.000012345679"), 10, 5, "chat", "success", None, None),
        ("unpriced", None, 10, 5, "chat", "success", None, None),
    ]
    full = stage.scene.warehouse.rows(
        "select _source_system, _source_instance, started_at, source_updated_at, trace_id, provider, raw_model,"
        " latency_ms, ttft_ms, is_stream, temperature, max_tokens, prompt_id, metadata from raw.generic__requests"
        " where source_record_id = 'full'"
    )
    at = datetime(2026, 11, 2, 10)
    tags = (
        '{"user":"ada","environment":"production","trace_name":"support-chat","prompt_version":"3","tags":["beta"],'
        '"team":"search","ls_provider":"openai"}'
    )
    where = ("langfuse", "shop", at, at + timedelta(minutes=5), "t-1", "openai", "gpt-4o")
    assert full == [(*where, 2500, 250, True, Decimal("0.2"), 500, "answer", tags)]
    feedback = stage.scene.warehouse.rows(
        "select record_id, trace_id, value, raw->>'name', given_at from raw.gateway__feedback order by 4"
    )
    given = datetime(2026, 11, 2, 11)
    assert feedback == [
        ("full", "t-1", Decimal("0.5"), "helpful", given),
        (None, None, 1, "session", given),
        (None, "t-1", 1, "thumb", given),
    ]
    totals = stage.scene.warehouse.rows(
        "select bucket_start, bucket_end, dimension, member, requests, input_tokens, cost_amount, cost_unit"
        " from raw.gateway__totals order by requests desc"
    )
    day = (datetime(2026, 11, 2), datetime(2026, 11, 3))
    assert totals == [
        (*day, "all", None, 4, 37, Decimal("0.0200123"), "usd"),
        (*day, "model", "gpt-4o", 3, 30, Decimal("0.0200123"), "usd"),
        (*day, "model", None, 1, 7, 0, "usd"),
    ]
    for secret in ("SECRET", PAIR):
        stage.scene.warehouse.assert_nowhere(secret)

    stage.scene.source = replace(stage.scene.source, streams=(GENERATIONS,))
    usage = {"input": 10, "output": 5, "new_tokens": 6}
    stage.langfuse.observations = [observation("full"), observation("failed", totalCost=4, usageDetails=usage)]
    (warning,) = stage.scene.load(MIDNIGHT, instance="shop", again=True).warnings
    assert warning.startswith("Fields that are not known: usage_details.new_tokens. ")
    last = "where _dlt_load_id = (select max(_dlt_load_id) from raw.generic__requests) order by 1"
    again = stage.scene.warehouse.rows(
        f"select source_record_id, gateway_reported_usd, _extra from raw.generic__requests {last}"
    )
    assert again == [("failed", 4, '{"usage_details.new_tokens":6}'), ("full", cent, None)]
    stage.langfuse.observations = []
    (warning,) = stage.scene.load(MIDNIGHT, instance="shop", again=True).warnings
    assert "there were rows, and now there are none" in warning


BUCKETS = {
    "OpenAI's names": (
        {"input": 10, "input_cached_tokens": 90, "output": 5, "output_reasoning_tokens": 20, "total": 125},
        (10, 90, None, None, 25, 20, False),
    ),
    "Anthropic's names": (
        {"input": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 40, "output": 5, "total": 145},
        (10, 90, 40, None, 5, None, False),
    ),
    "LangChain's names": (
        {"input": 10, "input_cache_read": 90, "input_cache_creation": 40, "output": 5, "output_reasoning": 2},
        (10, 90, 40, None, 7, 2, False),
    ),
    "writes by lifetime": (
        {"input": 10, "input_cache_creation": 40, "input_cache_creation_1h": 30, "output": 5},
        (10, None, 10, 30, 5, None, False),
    ),
    "writes by lifetime, both told": (
        {"input": 1, "input_cache_creation_5m": 4, "input_cache_creation_1h": 3, "cache_creation_input_tokens": 7},
        (1, None, 4, 3, None, None, False),
    ),
    "writes by lifetime, and the total is that of all": (
        {"input": 1, "input_cache_creation": 40, "input_cache_creation_1h": 30, "output": 5, "total": 76},
        (1, None, 40, 30, 5, None, False),
    ),
    "buckets that no list has": (
        {"input": 0, "input_text": 3, "input_modality_1": 4, "output": 1, "output_audio": 2, "total": 10},
        (7, None, None, None, 3, None, False),
    ),
    "names of the provider": ({"prompt_tokens": 8, "completion_tokens": 2}, (8, None, None, None, 2, None, False)),
    "the cached are inside, and the total tells": (
        {"input": 100, "cache_read_input_tokens": 80, "output": 10, "total": 110},
        (100, 80, None, None, 10, None, True),
    ),
    "the cached are inside, in names of OpenAI": (
        {"prompt_tokens": 100, "cached_tokens": 90, "completion_tokens": 20, "total_tokens": 120, "total": 330},
        (100, 90, None, None, 20, None, True),
    ),
    "the cached are inside, in names of Gemini": (
        {
            **{"promptTokenCount": 100, "cachedContentTokenCount": 90, "candidatesTokenCount": 20},
            **{"thoughtsTokenCount": 30, "totalTokenCount": 150},
        },
        (100, 90, None, None, 20, 30, True),
    ),
    "nothing": ({}, (None, None, None, None, None, None, False)),
}


TEXTS = (
    *("id", "trace_id", "type", "name", "level", "status_message", "version", "environment", "user_id", "release"),
    *("provided_model_name", "model_parameters", "prompt_id", "prompt_name", "trace_name"),
)
TYPES = {
    **dict.fromkeys(TEXTS, "VARCHAR"),
    **dict.fromkeys(("start_time", "end_time", "completion_start_time", "updated_at"), "TIMESTAMP"),
    "metadata": "MAP(VARCHAR, VARCHAR)",
    "usage_details": "MAP(VARCHAR, UBIGINT)",
    "cost_details": "MAP(VARCHAR, DECIMAL(38, 12))",
    "total_cost": "DECIMAL(38, 12)",
    "prompt_version": "USMALLINT",
    "tags": "VARCHAR[]",
}
"""Columns of an export, with the types that a database would write to Parquet."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """By layout what is read of an export of the same observations."""
    folder = tmp_path_factory.mktemp("langfuse")
    rows: list[dict[str, Any]] = [
        {
            "id": case,
            "type": "GENERATION",
            "start_time": "2026-11-02 10:00:00.000000",
            "end_time": "2026-11-02 10:00:01.250000",
            "metadata": {"team": "search"},
            "model_parameters": '{"temperature":0.7}',
            "usage_details": usage,
            "cost_details": {"total": 0.25},
            "total_cost": 0.25,
            "tags": ["a", "b"],
        }
        for case, (usage, _) in BUCKETS.items()
    ]
    rows.append({"id": "a span", "type": "SPAN", "start_time": "2026-11-02 10:00:00.000000"})
    found = {"jsonl": records_of(OBSERVATIONS, folder, rows)}
    types = ", ".join(f"{name}: '{kind}'" for name, kind in TYPES.items())
    table = f"read_json('{folder / 'records.jsonl'}', columns={{{types}}})"
    as_text = ", ".join(f"to_json({name}) AS {name}" for name in ("metadata", "usage_details", "cost_details", "tags"))
    for layout, wanted in {"csv": f"* REPLACE ({as_text})", "parquet": "*"}.items():
        path = folder / f"observations.{layout}"
        duckdb.execute(f"COPY (SELECT {wanted} FROM {table}) TO '{path}' (FORMAT {layout})")
        found[layout] = read_back(OBSERVATIONS, path)
    return found


@pytest.mark.parametrize("layout", ["jsonl", "csv", "parquet"])
def test_an_export_is_read_in_every_layout(exported: dict[str, list[dict[str, Any]]], layout: str) -> None:
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    columns = [*(f"{name}_tokens" for name in names), "input_includes_cache"]
    buckets = {row["source_record_id"]: tuple(row[name] for name in columns) for row in exported[layout]}
    assert buckets == {case: found for case, (_, found) in BUCKETS.items()}
    told = ("started_at", "latency_ms", "gateway_reported_usd", "temperature", "metadata", "_problem")
    (same,) = {tuple(row[name] for name in told) for row in exported[layout]}
    tags = '{"tags":["a","b"],"team":"search"}'
    assert same == (datetime(2026, 11, 2, 10), 1250, Decimal("0.25"), Decimal("0.7"), tags, None)


def test_usage_that_is_no_number_marks_the_row(tmp_path: Path) -> None:
    start = {"id": "a", "type": "GENERATION", "start_time": "2026-11-02 10:00:00"}
    usages: list[dict[str, Any]] = [{"input": "ten"}, {"output": -1, "output_audio": 2}, {"input": None, "output": 1}]
    found = records_of(OBSERVATIONS, tmp_path, [{**start, "usage_details": usage} for usage in usages])
    assert [row["_problem"] for row in found] == [
        "input_tokens: not a whole number of 0 or more: [ten]",
        "output_tokens: not a whole number of 0 or more: [-1, 2]",
        None,
    ]
    assert (found[2]["input_tokens"], found[2]["output_tokens"]) == (None, 1)


PROVIDERS: list[tuple[str | None, dict[str, Any], str | None]] = [
    ("gpt-4o", {}, "openai"),
    ("gpt-4o", {"ls_provider": "azure"}, "azure"),
    ("claude-sonnet-4-5", {"attributes": {"gen_ai.system": "aws.bedrock"}}, "aws.bedrock"),
    ("o3-mini", {"attributes.gen_ai.provider.name": "openai"}, "openai"),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}, "aws"),
    ("Claude-Opus-4", {}, "anthropic"),
    ("our-own-model", {}, None),
    ("omega-3", {}, None),
    (None, {}, None),
]


def test_the_provider_is_what_was_told_or_else_the_maker_of_the_model(tmp_path: Path) -> None:
    start = {"id": "a", "type": "GENERATION", "start_time": "2026-11-02 10:00:00"}
    rows = [{**start, "provided_model_name": model, "metadata": metadata} for model, metadata, _ in PROVIDERS]
    found = records_of(OBSERVATIONS, tmp_path, rows)
    assert [row["provider"] for row in found] == [provider for _, _, provider in PROVIDERS]


def test_pages_are_followed_and_the_groups_are_asked_for(stage: Stage) -> None:
    stage.langfuse.most = 2
    stage.langfuse.observations = [observation(f"{number}") for number in range(5)]
    assert sorted(stage.ids()) == ["0", "1", "2", "3", "4"]
    asked = [each for each in stage.langfuse.asked if each.query["type"] == "GENERATION"]
    assert len(asked) == 3
    assert {"usage", "model", "time", "metadata", "trace_context"} <= set(asked[0].query["fields"].split(","))
    assert "io" not in asked[0].query["fields"].split(",")
    assert asked[0].query["fromStartTime"] == "2026-11-02T00:00:00.000Z"


def test_an_empty_window_has_no_rows(stage: Stage) -> None:
    assert [stage.scene.fetch(stream=name) for name in ("requests", "feedback", "totals")] == [[], [], []]


def test_pages_that_lead_in_a_circle_are_an_error(stage: Stage) -> None:
    stage.langfuse.most = 2
    stage.langfuse.observations = [observation(f"{number}") for number in range(5)]
    stage.langfuse.cursor = lambda offset: "the same"
    stage.langfuse.first_of = lambda cursor: 2
    with pytest.raises(UserError, match="Langfuse's observations are not complete: page 2 leads back"):
        stage.scene.fetch()
    stage.langfuse.cursor = str
    stage.langfuse.first_of = lambda cursor: 0
    with pytest.raises(UserError, match="page 2 has the rows of a page before it"):
        stage.scene.fetch()


def test_what_passes_is_waited_for_and_what_stays_is_told(stage: Stage) -> None:
    stage.langfuse.patience = IMPATIENCE
    stage.langfuse.observations = [observation("a")]
    for faults in (PASSING[:2], PASSING[2:]):
        stage.langfuse.faults = list(faults)
        assert stage.ids() == ["a"]
    assert stage.scene.pauses[0] == 17
    stage.langfuse.faults = [Fault(500, {"message": "broken"})] * 3
    with pytest.raises(UserError, match="answered 500"):
        stage.scene.fetch()


def test_metadata_that_may_be_cut_off_is_named(stage: Stage) -> None:
    long = "x" * 300
    stage.langfuse.observations = [observation("a", metadata={"team": "search", "plan": long, "wanted": long})]
    (row,) = stage.with_api(expanded=("wanted",)).scene.fetch()
    assert row["metadata"] == {"team": "search", "plan": "x" * 200, "wanted": long, "metadata_cut": "plan"}
    assert with_cut_keys({"metadata": "text"}, ()) == {"metadata": "text"}


def test_scores_can_be_chosen_by_their_names(stage: Stage) -> None:
    stage.langfuse.scores = [score(name, 1, "trace", {"id": "t"}) for name in ("a", "b", "c")]
    rows = stage.with_api(score_names=("a", "c")).scene.fetch(stream="feedback")
    assert [row["raw"]["name"] for row in rows] == ["a", "c"]


def test_an_old_server_is_asked_by_page(stage: Stage) -> None:
    usage = {"input": 10, "input_cached_tokens": 3, "output": 5, "total": 18}
    stage.langfuse.observations = [
        *(observation(f"{number}", at=f"2026-11-02T10:00:{number % 60:02}.000Z") for number in range(150)),
        observation("new", usageDetails=usage),
        observation("older", hasDetails=False),
    ]
    rows = {row["id"]: row for row in stage.with_api(version="v1").scene.fetch()}
    assert len(rows) == 152
    assert rows["new"]["usage_details"] == usage
    assert rows["older"]["usage_details"] == {"input": 10, "output": 5, "total": 15}
    assert (rows["older"]["total_cost"], rows["older"]["provided_model_name"]) == (0.01, "gpt-4o")
    assert "SECRET" not in str(rows)
    assert stage.scene.check() == "observations can be read (v1)"


@pytest.mark.parametrize("name", ["ObservationV2", "Observation", "ObservationsView"])
def test_every_field_of_the_description_is_known(name: str) -> None:
    row = dict.fromkeys(DESCRIPTION.fields_of(name), None)
    assert set(as_exported(row)) <= set(OBSERVATIONS.file_fields)


def test_fields_that_nobody_knows_reach_the_loader_by_name(stage: Stage) -> None:
    stage.langfuse.observations = [observation("a")]
    stage.langfuse.extra = {"thinking": "deep"}
    (row,) = stage.scene.fetch()
    known = set(GENERATIONS.format.file_fields)
    assert set(row) - known == {"thinking"}


REFUSALS = [
    ("v2", V2, 404, "no v2 endpoint", 'api_version = "v1"'),
    ("v1", V1, 404, "endpoints of v1 are gone", "out of"),
    ("v1", V1, 410, "endpoints of v1 are gone", "out of"),
    ("v2", V2, 403, "may not read observations", "of the project"),
]


@pytest.mark.parametrize(("version", "path", "status", "problem", "remedy"), REFUSALS)
def test_a_refusal_says_what_to_do(
    stage: Stage, version: str, path: str, status: int, problem: str, remedy: str
) -> None:
    stage.langfuse.gone = {path: status}
    for ask in (stage.with_api(version=version).scene.fetch, stage.scene.check):
        with pytest.raises(UserError) as refused:
            ask()
        assert problem in refused.value.problem and remedy in refused.value.remedy
        assert not isinstance(refused.value, NotAllowedError)
    assert stage.scene.pauses == []


def test_a_wrong_key_is_told_and_not_shown(stage: Stage) -> None:
    stage.langfuse.faults = [Fault(401, {"message": f"Invalid credentials Basic {PAIR}, {SECRET}"})]
    with pytest.raises(UserError, match="the keys are wrong") as refused:
        stage.scene.fetch()
    assert not any(secret in str(refused.value) for secret in (PAIR, SECRET))


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_without_scores_and_totals_is_a_warning(stage: Stage, status: int) -> None:
    stage.langfuse.gone = {"/api/public/v3/scores": status, "/api/public/v2/metrics": status}
    for stream in ("feedback", "totals"):
        with pytest.raises(NotAllowedError, match=rf"/api/public/v\d/\w+ ?\({status}\)"):
            stage.scene.fetch(stream=stream)


def test_totals_that_are_cut_off_are_an_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(langfuse_api, "MOST_MODELS", 2)
    stage.langfuse.metrics = [{"providedModelName": name, "count_count": "1"} for name in ("a", "b")]
    with pytest.raises(UserError, match="does not tell all of them"):
        stage.scene.fetch(stream="totals")


def test_the_settings_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name, value in {
        "PUBLIC_KEY": PUBLIC,
        "SECRET_KEY": SECRET,
        "BASE_URL": stage.langfuse.address,
        "EXPAND_METADATA": "plan, wanted",
        "SCORE_NAMES": '["helpful"]',
    }.items():
        monkeypatch.setenv(f"SOURCES__LANGFUSE__{name}", value)
    source = langfuse_api.api_source("default")
    assert [stream.name for stream in source.streams] == ["requests", "feedback", "totals"]
    with source.open("default") as api:
        assert api.check() == "observations can be read (v2)"
        assert (api._expanded, api._score_names) == (("plan", "wanted"), ("helpful",))
    monkeypatch.setenv("SOURCES__LANGFUSE__API_VERSION", "v1")
    assert [stream.name for stream in langfuse_api.api_source("default").streams] == ["requests"]
    monkeypatch.setenv("SOURCES__LANGFUSE__API_VERSION", "3")
    with pytest.raises(UserError, match="'3' is no version of Langfuse's API"):
        langfuse_api.api_source("default")
