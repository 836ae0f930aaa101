"""What usage is counted in, and what the price of each unit is called: in the data set, in the seeds and in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MILLION, _THOUSAND, _HOUR = 1_000_000, 1_000, 3_600
_COLUMN_DECIMALS = 12


@dataclass(frozen=True)
class Unit:
    """One usage unit. A price is for `size` of it."""

    name: str
    size: int
    upstream_keys: tuple[str, ...]
    """Price keys of the data set; of several that a model has, the first here is the price."""
    price_column: str
    """Of the price book: for one unit, but for an hour of audio."""
    usage_column: str | None
    """Of the fact; None when each request is one."""
    inside: str | None = None
    """The bucket whose tokens these already are."""

    @property
    def decimals(self) -> int:
        """How many digits after the point a price for `size` units can have, so that the price book holds it."""
        return _COLUMN_DECIMALS - (0 if self.size == _HOUR else len(str(self.size)) - 1)


def _tokens(name: str, *upstream_keys: str, inside: str | None = None) -> Unit:
    return Unit(
        name=name,
        size=_MILLION,
        upstream_keys=upstream_keys,
        price_column=f"{name.removesuffix('_tokens')}_price",
        usage_column="uncached_input_tokens" if name == "input_tokens" else name,
        inside=inside,
    )


UNITS = (
    _tokens("input_tokens", "input_mtok"),
    _tokens("cache_read_tokens", "cache_read_mtok"),
    # A write without a stated lifetime is a 5-minute one.
    _tokens("cache_write_5m_tokens", "cache_write_5m_mtok", "cache_write_mtok"),
    _tokens("cache_write_1h_tokens", "cache_write_1h_mtok"),
    _tokens("output_tokens", "output_mtok"),
    _tokens("reasoning_tokens", "output_reasoning_mtok", inside="output_tokens"),
    _tokens("input_audio_tokens", "input_audio_mtok", inside="input_tokens"),
    _tokens("input_image_tokens", "input_image_mtok", inside="input_tokens"),
    _tokens("input_video_tokens", "input_video_mtok", inside="input_tokens"),
    _tokens("cache_read_audio_tokens", "cache_audio_read_mtok", inside="cache_read_tokens"),
    _tokens("cache_read_image_tokens", "cache_image_read_mtok", inside="cache_read_tokens"),
    _tokens("output_audio_tokens", "output_audio_mtok", inside="output_tokens"),
    _tokens("output_image_tokens", "output_image_mtok", inside="output_tokens"),
    _tokens("output_video_tokens", "output_video_mtok", inside="output_tokens"),
    Unit("requests", _THOUSAND, ("requests_kcount",), "request_price", None),
    Unit("web_searches", _THOUSAND, ("web_searches_kcount",), "web_search_price", "web_searches"),
    Unit("file_searches", _THOUSAND, ("storage_searches_kcount",), "file_search_price", "file_searches"),
    # A price for a second would not be exact.
    Unit("audio_seconds", _HOUR, ("input_audio_hours", "audio_hours"), "audio_hour_price", "audio_seconds"),
    Unit("pages", _THOUSAND, ("input_document_kpages",), "page_price", "pages"),
    Unit("annotated_pages", _THOUSAND, ("input_annotated_document_kpages",), "annotated_page_price", "annotated_pages"),
    Unit("input_characters", _MILLION, ("input_mchars",), "character_price", "input_characters"),
    Unit("text_messages", _THOUSAND, ("input_text_messages_kcount",), "text_message_price", "text_messages"),
)

UNITS_BY_NAME: Mapping[str, Unit] = {unit.name: unit for unit in UNITS}
PARENTS: Mapping[str, str] = {
    "cache_read_tokens": "input_tokens",
    "cache_write_5m_tokens": "input_tokens",
    "cache_write_1h_tokens": "cache_write_5m_tokens",
    **{unit.name: unit.inside for unit in UNITS if unit.inside},
}
"""Whose price a unit takes that has none of its own."""
UPSTREAM_KEYS = frozenset(key for unit in UNITS for key in unit.upstream_keys)
