"""The raw contract: the schemas, and the type of every column that the pipelines write, said once.

A raw table is `<source>__<entity>` in the raw schema of the destination. Timestamps are naive and mean UTC; money is
decimal(38, 12) in the currency and unit of the source (staging converts); `json` columns keep a JSON document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # dlt takes seconds to import, and most commands don't need it
    from dlt.common.schema.typing import TColumnSchema

Kind = Literal["text", "bigint", "bool", "timestamp", "money", "decimal", "json"]


@dataclass(frozen=True)
class Schemas:
    """The schemas (BigQuery: datasets) of one installation; all are named after the public one."""

    public: str = "llm_spend"

    @property
    def raw(self) -> str:
        """Where the pipelines write."""
        return f"{self.public}_raw"

    @property
    def internal(self) -> str:
        """Where dbt keeps staging and intermediate models."""
        return f"{self.public}_internal"

    @property
    def seeds(self) -> str:
        """Where dbt keeps the seeds."""
        return f"{self.public}_seeds"

    @property
    def all(self) -> tuple[str, ...]:
        """Every schema, raw first."""
        return (self.raw, self.seeds, self.internal, self.public)


REQUESTS = "requests"
"""The entity whose rows are requests; other entities are what the API of a source lists besides."""

FILES_TABLE = "llm_spend__files"
QUARANTINE_TABLE = "llm_spend__quarantine"

DUCKDB_TYPES: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "bigint": "BIGINT",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "money": "DECIMAL(38, 12)",
    "decimal": "DECIMAL(18, 6)",
    "json": "JSON",
}

KIND_NAMES: Mapping[Kind, str] = {
    "text": "text",
    "bigint": "a whole number of 0 or more",
    "bool": "true or false",
    "timestamp": "a timestamp",
    "money": "an amount",
    "decimal": "a number",
    "json": "JSON",
}


OTHER_USAGE: Mapping[str, Kind] = {
    "input_audio_tokens": "bigint",
    "input_image_tokens": "bigint",
    "input_video_tokens": "bigint",
    "cache_read_audio_tokens": "bigint",
    "cache_read_image_tokens": "bigint",
    "output_audio_tokens": "bigint",
    "output_image_tokens": "bigint",
    "output_video_tokens": "bigint",
    "web_searches": "bigint",
    "file_searches": "bigint",
    "audio_seconds": "decimal",
    "pages": "bigint",
    "annotated_pages": "bigint",
    "input_characters": "bigint",
    "text_messages": "bigint",
}
"""The keys of a raw column `other_usage`: what a log counts besides tokens, and tokens that are part of a token bucket.

Input audio, images and video are part of the input outside of the cache. The column is an object of the quantities
above 0, `{}` when the log says that there were none, and NULL when it says nothing.
"""


def column_hint(name: str, kind: Kind) -> TColumnSchema:
    """The dlt column schema of one raw column."""
    hint: TColumnSchema = {"name": name, "data_type": "text", "nullable": True}
    match kind:
        case "money":
            return {**hint, "data_type": "decimal", "precision": 38, "scale": 12}
        case "decimal":
            return {**hint, "data_type": "decimal", "precision": 18, "scale": 6}
        case "timestamp":
            return {**hint, "data_type": "timestamp", "timezone": False}
        case "text" | "bigint" | "bool" | "json":
            return {**hint, "data_type": kind}


# Lineage that the readers add to every row of a log file.
LOG_LINEAGE: Mapping[str, Kind] = {
    "_source_system": "text",
    "_source_instance": "text",
    "_file": "text",
    "_problem": "text",
    "_metadata_error": "bool",
    "_dlt_load_id": "text",
}

# Of fields that a format does not read (readers/unknown.py): a table has it once there was something to keep.
EXTRA: Mapping[str, Kind] = {"_extra": "json"}

_FILES: Mapping[str, Kind] = {
    "source": "text",
    "source_instance": "text",
    "path": "text",
    "size_bytes": "bigint",
    "modified_at": "timestamp",
    # Of a window that an API was asked for; then the path names it, and modified_at is when it was asked.
    "window_start": "timestamp",
    "window_end": "timestamp",
    # What the file holds: requests, or what else the API of a source lists.
    "entity": "text",
}

_QUARANTINE: Mapping[str, Kind] = {
    "source": "text",
    "source_instance": "text",
    "table_name": "text",
    "file": "text",
    "line": "bigint",
    "reason": "text",
    "raw_text": "text",
    "found_in_load_id": "text",
}

BOOKKEEPING_TABLES: Mapping[str, Mapping[str, Kind]] = {
    FILES_TABLE: _FILES,
    QUARANTINE_TABLE: _QUARANTINE,
}


@dataclass(frozen=True)
class Column:
    """One raw column of a log format.

    `sql` yields the value from the record `r` (DuckDB SQL); `text`, when given, is the text that `sql` was parsed
    from, so that "was there, could not be read" differs from "was not there". `expected`: what the text should be, in
    the words of a message; where it is not given the kind says it.
    """

    kind: Kind
    sql: str
    text: str | None = None
    required: bool = False
    expected: str | None = None

    def as_required(self) -> Column:
        """The same column; a row without it goes to quarantine."""
        return replace(self, required=True)


def hints(columns: Mapping[str, Kind]) -> dict[str, TColumnSchema]:
    """dlt column schemas for a whole table."""
    return {name: column_hint(name, kind) for name, kind in columns.items()}
