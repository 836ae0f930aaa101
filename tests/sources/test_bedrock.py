"""Bedrock invocation logs from S3 and from CloudWatch."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from .conftest import Warehouse

SECRET = "MARKER-of-a-prompt"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
ROLE = "arn:aws:sts::123456789012:assumed-role/BedrockRole/ann@acme.io"


def invocation(request_id: str, *, of_input: Any = None, of_output: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": "2026-11-20T12:00:00Z",
        "accountId": "123456789012",
        "identity": {"arn": ROLE},
        "region": "us-east-1",
        "requestId": request_id,
        "operation": "Converse",
        "modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "input": {"inputBodyJson": {"messages": [SECRET]}, "inputTokenCount": 512} | (of_input or {}),
        "output": {"outputBodyJson": {"message": SECRET}, "outputTokenCount": 256} | (of_output or {}),
        **fields,
    }


@pytest.fixture(scope="module")
def loaded(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    warehouse = make_warehouse("bedrock")
    answer = {
        "id": "msg_bdrk_1",
        "metrics": {"latencyMs": 420},
        "usage": {"cache_creation": {"ephemeral_1h_input_tokens": 30}},
    }
    called = {"inferenceConfig": {"temperature": 0.5, "maxTokens": 64}}
    cached = {"cacheReadInputTokenCount": 2048, "cacheWriteInputTokenCount": 100}
    tags = {"team": "search", "feature": "rerank"}
    stream = {"outputBodyJson": [{"type": "message_start"}, {"type": "message_stop"}]}
    written = {"cache_creation": {"ephemeral_1h_input_tokens": 30}}
    start = {"type": "message_start", "message": {"id": "msg_bdrk_2", "usage": written}}
    messages = {"outputBodyJson": [start, {"type": "content_block_delta", "delta": {"text": SECRET}}]}
    warehouse.write(
        "logs/AWSLogs/20261120T1200.json.gz",
        [
            invocation("plain"),
            invocation(
                "full",
                of_input={"inputBodyJson": called, **cached},
                of_output={"outputBodyJson": answer},
                requestMetadata=tags,
                inferenceRegion="us-west-2",
                operation="ConverseStream",
            ),
            invocation("profile", modelId=PROFILE, operation="InvokeModel"),
            invocation(
                "foundation", modelId="arn:aws:bedrock:eu-west-1::foundation-model/amazon.titan-embed-text-v2:0"
            ),
            invocation("stream", operation="InvokeModelWithResponseStream", of_output=stream),
            invocation("messages", operation="InvokeModelWithResponseStream", of_input=cached, of_output=messages),
            invocation("throttled", errorCode="ThrottlingException", input={}, output={}),
            invocation("denied", errorCode="AccessDeniedException", input=None, output=None),
            invocation("wrong", of_input={"inputTokenCount": "many"}),
            invocation("timeless", timestamp=None),
            {"Records": []},
        ],
    )
    events = [{"id": "1", "timestamp": 1763640000000, "message": json.dumps(invocation(f"event{n}"))} for n in (1, 2)]
    warehouse.write("logs/subscription.jsonl", [{"messageType": "DATA_MESSAGE", "logEvents": events}])
    warehouse.write("logs/filter-log-events.json", json.dumps({"events": events}, indent=2))
    single = {"timestamp": 1763640000000, "message": json.dumps(invocation("single", requestMetadata=tags))}
    warehouse.write("logs/single.jsonl", [single, {"timestamp": 1, "message": "not a document"}])
    exported = [f"2026-11-20T12:00:00.{n:03}Z {json.dumps(invocation(f'exported{n}'))}\n" for n in (1, 2)]
    warehouse.write("logs/export/000000.gz", gzip.compress("".join(exported).encode()))
    # Unpacked by hand, with what is none of the log, and without the last line end.
    others = f"{exported[0]}2026-11-20T12:00:00.000Z Permission Check Successful\n\n{exported[1][:45]}\n"
    warehouse.write("logs/export/000001.txt", others.replace("exported", "unpacked") + exported[1][25:].strip())
    report = warehouse.load("bedrock", warehouse.folder / "logs" / "**" / "*.*", instance="prod")
    assert (report.files, report.rows, report.quarantined) == (6, 23, 6)
    return warehouse


def one(loaded: Warehouse, columns: str, record_id: str) -> Any:
    return loaded.rows(f"select {columns} from raw.generic__requests where source_record_id = ?", record_id)[0]


@pytest.mark.parametrize("record_id", ["plain", "event1", "event2", "single", "exported1", "unpacked1"])
def test_every_way_of_delivery_gives_the_same_row(loaded: Warehouse, record_id: str) -> None:
    columns = "started_at, provider, raw_model, operation, status, is_stream, region, gateway_user_id, input_tokens"
    moment, model = datetime(2026, 11, 20, 12), "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    expected = (moment, "bedrock", model, "chat", "success", False, "us-east-1", ROLE, 512)
    assert one(loaded, columns, record_id) == expected


def test_an_event_that_comes_twice_has_the_same_id(loaded: Warehouse) -> None:
    query = "select count(*) from raw.generic__requests where source_record_id = 'event1'"
    assert loaded.rows(query) == [(2,)]


def test_cached_tokens_are_beside_the_input(loaded: Warehouse) -> None:
    columns = "(input_tokens, input_includes_cache, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens)"
    assert one(loaded, columns, "full") == ((512, False, 2048, 70, 30),)
    assert one(loaded, columns, "messages") == ((512, False, 2048, 70, 30),)
    assert one(loaded, columns, "plain") == ((512, False, None, None, None),)


def test_what_the_bodies_tell_besides(loaded: Warehouse) -> None:
    columns = "provider_response_id, latency_ms, temperature, max_tokens, is_stream, output_tokens"
    assert one(loaded, columns, "full") == ("msg_bdrk_1", 420, Decimal("0.5"), 64, True, 256)
    assert one(loaded, columns, "messages") == ("msg_bdrk_2", None, None, None, True, 256)
    assert one(loaded, columns, "stream") == (None, None, None, None, True, 256)


def test_request_metadata_are_the_tags(loaded: Warehouse) -> None:
    assert json.loads(one(loaded, "metadata", "full")[0]) == {
        "team": "search",
        "feature": "rerank",
        "account_id": "123456789012",
        "inference_region": "us-west-2",
    }


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [
        ("profile", ("abc123", PROFILE, "chat")),
        (
            "foundation",
            (
                "amazon.titan-embed-text-v2:0",
                "arn:aws:bedrock:eu-west-1::foundation-model/amazon.titan-embed-text-v2:0",
                "embeddings",
            ),
        ),
    ],
)
def test_an_arn_ends_with_the_name(loaded: Warehouse, record_id: str, expected: tuple[str, ...]) -> None:
    assert one(loaded, "raw_model, requested_model, operation", record_id) == expected


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [
        ("throttled", ("blocked_rate_limit", "ThrottlingException", None)),
        ("denied", ("error", "AccessDeniedException", None)),
    ],
)
def test_refusals_are_rows(loaded: Warehouse, record_id: str, expected: tuple[Any, ...]) -> None:
    assert one(loaded, "status, error_type, input_tokens", record_id) == expected


def test_what_can_not_be_read_is_noted_with_its_line(loaded: Warehouse) -> None:
    neither = "not a JSON object with a field of a Bedrock model invocation log"
    assert loaded.quarantine("prod") == [
        ("20261120T1200.json.gz", 9, "input_tokens: not a whole number of 0 or more: many"),
        ("20261120T1200.json.gz", 10, "started_at: missing"),
        ("20261120T1200.json.gz", 11, neither),
        ("000001.txt", 2, "not valid JSON"),
        ("000001.txt", 4, "not valid JSON"),
        ("single.jsonl", 2, neither),
    ]


def test_a_row_of_an_export_names_its_file(loaded: Warehouse) -> None:
    rows = loaded.rows(
        "select source_record_id, parse_filename(_file) from raw.generic__requests where _file like '%export/%'"
        " and _problem is null order by 2, 1"
    )
    assert rows == [
        ("exported1", "000000.gz"),
        ("exported2", "000000.gz"),
        ("exported2", "000001.txt"),
        ("unpacked1", "000001.txt"),
    ]


def test_no_body_is_stored(loaded: Warehouse) -> None:
    loaded.assert_nowhere(SECRET)
