"""Usage as OpenAI counts it: its reports by kind of work, and what their rows become.

Facts (OpenAI's SDK 3.54.0 and OpenAPI document): `input_tokens` is all input, cached and written to the cache
included; tokens by modality are those outside of the cache. Rows of before August 2026 have no detail but
`input_cached_tokens`. Reasoning is inside `output_tokens` and not told apart. A tool's calls are counted apart from the
model requests that they were made in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from llm_spend.readers.api.values import amount, number
from llm_spend.sources.openai_client import Bucket, Row
from llm_spend.sources.provider_rows import assert_distinct, bucket

SETTLES_AFTER = timedelta(days=3)

_CORE = ("project_id", "user_id", "api_key_id", "model")
_OWN_COLUMNS = ("project_id", "user_id", "api_key_id", "model", "line_item")


@dataclass(frozen=True)
class UsageReport:
    """A usage endpoint: what it groups by beyond `core`, and where its counts belong.

    `counts`: by column of provider__usage the field; without any there is nothing that a total could be compared with.
    `others`: by key of `other_usage` the field.
    """

    name: str
    core: tuple[str, ...] = _CORE
    details: tuple[str, ...] = ()
    counts: Mapping[str, str] = field(default_factory=lambda: {"requests": "num_model_requests"})
    others: Mapping[str, str] = field(default_factory=dict)
    has_source: bool = False
    """It can be grouped by `api_source` besides."""

    @property
    def path(self) -> str:
        return f"/v1/organization/usage/{self.name}"

    def groupings(self, *, by_source: bool = False) -> tuple[tuple[str, ...], ...]:
        """What to group by, finest first."""
        asked = self.core + self.details
        finest = (*asked, "api_source") if by_source and self.has_source else asked
        return tuple(dict.fromkeys((finest, asked, self.core)))


_TOKENS = {"requests": "num_model_requests", "input_tokens": "input_tokens"}
_MODALITIES = {
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "cache_read_audio_tokens": "input_cached_audio_tokens",
    "cache_read_image_tokens": "input_cached_image_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}


def _generating(name: str) -> UsageReport:
    counts = {**_TOKENS, "cache_read_tokens": "input_cached_tokens", "output_tokens": "output_tokens"}
    core = (*_CORE, "batch")
    return UsageReport(name, core, ("service_tier",), counts, _MODALITIES, has_source=True)


REPORTS = (
    _generating("completions"),
    _generating("decisions"),
    UsageReport("embeddings", counts=_TOKENS),
    UsageReport("moderations", counts=_TOKENS),
    UsageReport("images", details=("size", "source")),
    UsageReport("audio_speeches", others={"input_characters": "characters"}),
    UsageReport("audio_transcriptions", others={"audio_seconds": "seconds"}),
    UsageReport("vector_stores", ("project_id",), counts={}),
    UsageReport("code_interpreter_sessions", ("project_id",), counts={}),
    UsageReport(
        "file_search_calls",
        ("project_id", "user_id", "api_key_id"),
        ("vector_store_id",),
        counts={},
        others={"file_searches": "num_requests"},
    ),
    UsageReport(
        "web_search_calls", details=("context_level",), others={"web_searches": "num_requests"}, has_source=True
    ),
)


def usage_rows(report: UsageReport, profile: str, grouping: tuple[str, ...], day: Bucket) -> list[dict[str, Any]]:
    """Rows of provider__usage from a day of a report. Raises UserError when two have the same dimensions."""
    rows = [_usage_row(report, profile, grouping, day, row) for row in day.rows]
    assert_distinct(rows, f"OpenAI's {report.path} of {day.start.date()}")
    return rows


def _usage_row(report: UsageReport, profile: str, grouping: tuple[str, ...], day: Bucket, row: Row) -> dict[str, Any]:
    return {
        **grouped(day, SETTLES_AFTER, profile, grouping, row),
        "usage_type": report.name,
        **{column: row.get(name) for column, name in report.counts.items()},
        **_cache_writes(row),
        "other_usage": _others(report, row),
        "raw": row,
    }


def grouped(day: Bucket, settles_after: timedelta, profile: str, grouping: tuple[str, ...], row: Row) -> dict[str, Any]:
    """Where a row belongs: its day, and the dimensions that were asked for; those that were not are left out."""
    asked = {name: row.get(name) for name in grouping}
    tier = "batch" if asked.get("batch") is True else asked.get("service_tier")
    others = {name: value for name, value in asked.items() if name not in _OWN_COLUMNS and value is not None}
    return {
        "provider": "openai",
        **bucket(day.start, day.end, settles_after),
        "profile": profile,
        "grouping": ",".join(sorted(grouping)),
        "occurrence": 0,
        **{name: asked[name] for name in _OWN_COLUMNS if name in asked},
        "service_tier": tier,
        "dimensions": others or None,
    }


def _cache_writes(row: Row) -> dict[str, Any]:
    """Tokens written to the cache, by how long they are kept.

    OpenAI keeps them for 30 minutes or for 12 hours, and the tables know a short time and a long one, which is what
    prices differ by: 30 minutes go with the 5 of others, 12 hours with their hour. What is not told apart is short.
    """
    short, long, both = (number(row.get(f"input_cache_write_{name}tokens")) for name in ("30m_", "12h_", ""))
    if both is None and short is None and long is None:
        return {}
    written = both if both is not None else (short or 0) + (long or 0)
    return {"cache_write_5m_tokens": amount(written - (long or 0)), "cache_write_1h_tokens": amount(long)}


def _others(report: UsageReport, row: Row) -> dict[str, Any] | None:
    """Quantities above 0; None when the row tells none of them."""
    told = {key: row[name] for key, name in report.others.items() if row.get(name) is not None}
    return {key: value for key, value in told.items() if number(value) != 0} if told else None


def adds_up(row: Row) -> bool:
    """Whether all input of a row is the sum of its parts, where it tells them."""
    names = ("input_tokens", "input_uncached_tokens", "input_cached_tokens", "input_cache_write_tokens")
    total, *parts = (number(row.get(name)) for name in names)
    known = [part for part in parts if part is not None]
    return total is None or len(known) < len(parts) or total == sum(known)
