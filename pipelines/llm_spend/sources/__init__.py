"""The sources: a module each, listed here and nowhere else.

The module of a source says what it can tell (`ABOUT`). A source `x` that can be asked over an API has a module
`x_api`, too, whose `api_source(instance)` says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from llm_spend.errors import UserError
from llm_spend.readers.records import LogFormat
from llm_spend.schema import REQUESTS
from llm_spend.sources import (
    bedrock,
    bill_costs,
    bill_usage,
    cloudflare,
    envoy,
    focus,
    generic,
    helicone,
    kong,
    langfuse,
    litellm,
    otel,
    portkey,
    truefoundry,
)
from llm_spend.sources.about import About
from llm_spend.sources.provider_tables import PROVIDER_FORMATS
from llm_spend.sources.shared_tables import SHARED_FORMATS

if TYPE_CHECKING:
    from llm_spend.readers.api.source import ApiSource


class Source(NamedTuple):
    """What can be loaded from a source: files of a format, rows of its API, or both.

    `files`: None where a mapping file gives the format, or no files are read. `entity`: what a row of a file is.
    """

    files: LogFormat | None = None
    has_api: bool = False
    needs_mapping: bool = False
    entity: str = REQUESTS


SOURCES: Mapping[str, Source] = {
    "portkey": Source(portkey.LOGS, has_api=True),
    "truefoundry": Source(truefoundry.SPANS, has_api=True),
    "litellm": Source(litellm.PAYLOADS, has_api=True),
    "otel": Source(otel.SPANS),
    "langfuse": Source(langfuse.OBSERVATIONS, has_api=True),
    "helicone": Source(helicone.requests(), has_api=True),
    "cloudflare": Source(cloudflare.LOGS, has_api=True),
    "kong": Source(kong.LOGS),
    "envoy": Source(envoy.ACCESS_LOGS),
    "bedrock": Source(bedrock.INVOCATIONS),
    "openrouter": Source(has_api=True),
    "openai": Source(has_api=True),
    "anthropic": Source(has_api=True),
    "copilot": Source(has_api=True),
    "cursor": Source(has_api=True),
    "focus": Source(focus.EXPORTS, entity="costs"),
    "bill_costs": Source(bill_costs.COSTS, entity="costs"),
    "bill_usage": Source(bill_usage.USAGE, entity="usage"),
    "mlflow": Source(has_api=True),
    "generic": Source(needs_mapping=True),
}
"""Every source by its name on the command line."""


def file_format(source: str, mapping: generic.Mapping | None = None) -> LogFormat:
    """The format of the files of a source. Raises UserError for a source without files, or without its mapping."""
    known = _known(source)
    if known.needs_mapping:
        if mapping is None:
            raise UserError(f"The {source} source needs a mapping file.", "Give it with --mapping FILE.")
        return generic.log_format(mapping)
    if known.files is None:
        raise UserError(f"{source!r} has no files that are read.", f"Ask its API: llm-spend load {source} --api.")
    return known.files


def api_source(source: str, instance: str) -> ApiSource:
    """How the API of a source is asked. Raises UserError for a source without one."""
    if not _known(source).has_api:
        with_api = ", ".join(name for name, each in SOURCES.items() if each.has_api)
        raise UserError(f"{source!r} has no API that is read.", f"Those that have one: {with_api}.")
    found: ApiSource = import_module(f"llm_spend.sources.{source}_api").api_source(instance)
    return found


def about(source: str) -> About:
    """What a source says about itself."""
    found: About = import_module(f"llm_spend.sources.{source}").ABOUT
    return found


def raw_formats() -> dict[str, LogFormat]:
    """A format of every raw table, by table; several sources may write into one of them."""
    files = (each.files for each in SOURCES.values() if each.files)
    formats = [*files, *SHARED_FORMATS, *PROVIDER_FORMATS, generic.log_format(None)]
    return {fmt.table: fmt for fmt in formats}


def _known(source: str) -> Source:
    if source not in SOURCES:
        raise UserError(f"There is no source {source!r}.", f"Known sources: {', '.join(SOURCES)}.")
    return SOURCES[source]
