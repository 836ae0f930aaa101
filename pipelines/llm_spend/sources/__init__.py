"""The sources: one module each, listed here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_spend.readers.records import LogFormat
from llm_spend.sources import generic, litellm, portkey, truefoundry

if TYPE_CHECKING:
    from llm_spend.readers.api.source import ApiSource


class LogSource(NamedTuple):
    """A source of log files: what gives its dlt source, and its format; None where a mapping file gives it."""

    read: Callable[..., Any]
    format: LogFormat | None


def _portkey_api() -> ApiSource:
    from llm_spend.sources import portkey_api  # an HTTP client is imported by those who need one

    return portkey_api.EXPORTS


LOG_SOURCES: Mapping[str, LogSource] = {
    "portkey": LogSource(portkey.portkey, portkey.LOGS),
    "truefoundry": LogSource(truefoundry.truefoundry, truefoundry.SPANS),
    "litellm": LogSource(litellm.litellm, litellm.PAYLOADS),
    "generic": LogSource(generic.generic, None),
}
"""Every source of log files by its name on the command line."""

API_SOURCES: Mapping[str, Callable[[], ApiSource]] = {"portkey": _portkey_api}
"""Every source that can be asked over its API."""


def log_format(source: str, mapping: generic.Mapping | None) -> LogFormat:
    """The log format of a source."""
    return LOG_SOURCES[source].format or generic.log_format(mapping)
