"""The sources: one module each, listed here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llm_spend.readers.records import LogFormat
from llm_spend.sources import generic, litellm, portkey, truefoundry

LOG_SOURCES: Mapping[str, Callable[..., Any]] = {
    "portkey": portkey.portkey,
    "truefoundry": truefoundry.truefoundry,
    "litellm": litellm.litellm,
    "generic": generic.generic,
}
"""Every source of log files by its name on the command line."""


def log_format(source: str, mapping: generic.Mapping | None) -> LogFormat:
    """The log format of a source."""
    formats: Mapping[str, LogFormat] = {
        "portkey": portkey.LOGS,
        "truefoundry": truefoundry.SPANS,
        "litellm": litellm.PAYLOADS,
    }
    return formats.get(source) or generic.log_format(mapping)
