"""Portkey log exports: JSONL, one line per attempted target.

Facts of the format (Portkey OpenAPI and the gateway's analytics row): `cost` is in US cents; `metadata` comes in
four shapes; values are cut at 128 characters and `'` is stored as `\\'`; an export has no cache status, no API key
and no stream flag, while rows of a log store have them under the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_spend.readers.files import LogFile
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import field, is_flat_object, object_from_arrays, object_or_text, quote, typed
from llm_spend.schema import Column

if TYPE_CHECKING:  # dlt takes seconds to import, and a load that finds nothing new does without it
    from dlt.extract import DltSource

_METADATA = field("metadata")
_TWO_ARRAYS = object_from_arrays(f"json_extract({_METADATA}, '$.key')", f"json_extract({_METADATA}, '$.value')")
_ESCAPED_QUOTE = quote("\\\\'")  # \' as it stands in JSON text


def _unescaped(document: str) -> str:
    return f"CAST(replace(CAST({document} AS VARCHAR), {_ESCAPED_QUOTE}, {quote(chr(39))}) AS JSON)"


_TEXT = f"CAST({_METADATA} AS VARCHAR)"
_OTHER_SHAPE = (
    f"CASE WHEN {_METADATA} IS NULL THEN {object_from_arrays(field('metadataKey'), field('metadataValue'))}"
    f" WHEN json_type({_METADATA}, '$.key') = 'ARRAY' THEN {_TWO_ARRAYS}"
    f" ELSE {object_or_text(_METADATA)} END"
)
# Most records hold an object that needs no repair.
METADATA = (
    f"CASE WHEN contains({_TEXT}, {quote('key' + chr(34))}) OR NOT {is_flat_object(_METADATA)}"
    f" THEN {_unescaped(_OTHER_SHAPE)}"
    f" WHEN contains({_TEXT}, {_ESCAPED_QUOTE}) THEN {_unescaped(_METADATA)}"
    f" ELSE {_METADATA} END"
)

LOGS = LogFormat(
    source="portkey",
    table="portkey__logs",
    json_fields=frozenset({"metadata", "metadataKey", "metadataValue"}),
    columns={
        "id": Column("text", field("id"), required=True),
        "created_at": typed(field("created_at"), "timestamp").as_required(),
        "trace_id": Column("text", field("trace_id")),
        "internal_trace_id": Column("text", field("internal_trace_id")),
        "workspace_slug": Column("text", field("workspace_slug")),
        "ai_org": Column("text", field("ai_org")),
        "ai_model": Column("text", field("ai_model")),
        "req_units": typed(field("req_units"), "bigint"),
        "res_units": typed(field("res_units"), "bigint"),
        "total_units": typed(field("total_units"), "bigint"),
        "cost": typed(field("cost"), "money"),
        "cost_currency": Column("text", field("cost_currency")),
        "request_url": Column("text", field("request_url")),
        "response_time": typed(field("response_time"), "decimal"),
        "response_status_code": typed(field("response_status_code"), "bigint"),
        "is_success": typed(field("is_success"), "bool"),
        "mode": Column("text", field("mode")),
        "config": Column("text", field("config")),
        "prompt_slug": Column("text", field("prompt_slug")),
        "cache_status": Column("text", field("cache_status")),
        "stream_mode": typed(field("stream_mode"), "bool"),
        "api_key_id": Column("text", field("api_key_id")),
        "virtual_key": Column("text", field("virtual_key")),
        "metadata": Column("json", METADATA),
    },
    metadata_column="metadata",
    metadata_given=f"coalesce({_METADATA}, {field('metadataKey')})",
)


def portkey(files: list[LogFile], instance: str) -> DltSource:
    """Log exports of one Portkey workspace (`instance`) as `portkey__logs`, one row a line, appended."""
    from llm_spend.readers.resources import log_source

    return log_source(LOGS, files, instance)
