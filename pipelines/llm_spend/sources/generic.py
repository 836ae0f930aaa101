"""Any other log, as JSONL, CSV or Parquet: a mapping file says which of its columns means what."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from llm_spend.errors import UserError
from llm_spend.readers.records import LogFormat
from llm_spend.readers.sql import (
    cast_text,
    epoch_timestamp,
    field,
    json_text,
    other_usage,
    quantity,
    quote,
    utc_timestamp,
)
from llm_spend.schema import DUCKDB_TYPES, KIND_NAMES, OTHER_USAGE, Column, Kind
from llm_spend.sources.about import About
from llm_spend.sources.expressions import content, prompt_hash
from llm_spend.sources.shared_tables import REQUESTS, requests_format

ABOUT = About(
    title="Any other log",
    grain="A line of the log: one call of a model.",
    cost="What is mapped to `gateway_reported_usd`, in US dollars.",
    tokens="As the mapping says: `input_includes_cache` tells whether input counts cached tokens.",
    attribution="What is mapped to `user`, `team`, `feature`, `customer`, `environment`, `api_key_id`, or kept as"
    " `metadata`.",
    lateness="A file that has grown or changed is read again; of two versions of a record the later one counts.",
    cannot_tell="What the log does not have.",
    files="JSON lines, JSON arrays, CSV and Parquet, by [a mapping file](generic-logs.md).",
)

# What is said once for the whole log, or made of several columns.
_NOT_MAPPED = ("input_includes_cache", "other_usage", "metadata")

COLUMNS: dict[str, Kind] = {name: kind for name, kind in REQUESTS.items() if name not in _NOT_MAPPED}
"""What a log can tell, in the names of `fct_llm_requests`."""

_KINDS: dict[str, Kind] = {**COLUMNS, **OTHER_USAGE}

# A log that tells one of these tells which part of the tokens was no text.
_MODALITIES = frozenset(unit for unit in OTHER_USAGE if unit.endswith("_tokens"))

TAGS = ("user", "team", "feature", "customer", "environment")
"""Mapped columns that become metadata under these names, where the attribution rules find them."""

TimestampFormat = Literal["iso", "epoch_s", "epoch_ms"]


class Mapping(BaseModel):
    """A mapping file.

    `columns`: ours to theirs (JSON: `a.b` is the key b inside a, `"a.b"` the key a.b); ours are COLUMNS, TAGS and the
    units of OTHER_USAGE. `defaults`: a constant for a column that the log lacks. `metadata`: columns that become
    metadata under their own names. `input_includes_cache`: whether `input_tokens` counts the cached tokens too.
    `timezone`: of timestamps without an offset.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    source: str = "generic"
    instance: str = "default"
    columns: dict[str, str]
    defaults: dict[str, str] = {}
    metadata: list[str] = []
    timestamp_format: TimestampFormat = "iso"
    timezone: str = "UTC"
    input_includes_cache: bool = True

    @field_validator("columns", "defaults")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(_KINDS) - set(TAGS))
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}; known are {', '.join([*_KINDS, *TAGS])}")
        return value

    @field_validator("columns")
    @classmethod
    def _timed(cls, value: dict[str, str]) -> dict[str, str]:
        if "started_at" not in value:
            raise ValueError("started_at must be mapped: a request without a time can't be put on a day")
        return value

    @field_validator("defaults")
    @classmethod
    def _typed(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            kind = _KINDS.get(name, "text")
            read_sql = quantity(quote(text), name) if name in OTHER_USAGE else cast_text(quote(text), kind)
            with duckdb.connect() as connection:
                read = connection.execute(f"SELECT {read_sql}").fetchall()
            if read == [(None,)]:
                expected = "a quantity of 0 or more" if name in OTHER_USAGE else KIND_NAMES[kind]
                raise ValueError(f"{name}: not {expected}: {text}")
        return value

    @field_validator("timezone")
    @classmethod
    def _on_earth(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value} is no time zone: write it like Europe/Berlin") from error
        return value


def read_mapping(path: Path) -> Mapping:
    """The mapping in a YAML file. Raises UserError that says what is wrong in it."""
    try:
        return Mapping.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"The mapping file {path} can't be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"The mapping file {path} is not YAML: {error}.") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise UserError(f"The mapping file {path} is wrong: {problems}.", "See docs/generic-logs.md.") from error


def log_format(mapping: Mapping | None) -> LogFormat:
    """The log format that a mapping describes; without one, the table's columns only."""
    effective = mapping or Mapping(columns={"started_at": "started_at"})
    columns = {name: _column(effective, name, kind) for name, kind in COLUMNS.items()}
    columns["input_includes_cache"] = Column("bool", str(effective.input_includes_cache).upper())
    columns["other_usage"] = _other_usage(effective)
    columns["metadata"] = Column("json", _metadata(effective))
    columns["started_at"] = columns["started_at"].as_required()
    return requests_format(
        "generic",
        columns,
        json_fields=frozenset(
            path[0] for path in map(_path, (*effective.columns.values(), *effective.metadata)) if len(path) > 1
        ),
        record_name=f"{effective.source} log as mapped",
        content="" if "source_record_id" in effective.columns else _content(effective),
    )


def _path(name: str) -> list[str]:
    """`a.b` is the key b inside a; in double quotes dots are part of a name."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', name)]


def _text(name: str) -> str:
    head, *tail = _path(name)
    value = json_text(field(head), *tail) if tail else f"CAST({field(head)} AS VARCHAR)"
    return f"nullif(trim({value}), '')"


def _mapped_text(mapping: Mapping, name: str) -> str:
    """Text of a column that is mapped or has a default."""
    constant = quote(mapping.defaults[name]) if name in mapping.defaults else None
    if name not in mapping.columns:
        return constant or "NULL"
    text = _text(mapping.columns[name])
    return f"coalesce({text}, {constant})" if constant else text


def _column(mapping: Mapping, name: str, kind: Kind) -> Column:
    text = _mapped_text(mapping, name)
    if name not in mapping.columns:
        return Column(kind, f"CAST({text} AS {DUCKDB_TYPES[kind]})")
    if name == "prompt_hash":
        # Whatever the log has, also the prompt itself: no text of it is written.
        return Column(kind, f"coalesce({prompt_hash(text)}, sha256({text}))")
    if kind == "text":
        return Column(kind, text)
    if kind != "timestamp":
        return Column(kind, cast_text(text, kind), text)
    match mapping.timestamp_format:
        case "iso":
            return Column(kind, utc_timestamp(text, mapping.timezone), text)
        case "epoch_s":
            return Column(kind, epoch_timestamp(text), text)
        case "epoch_ms":
            return Column(kind, epoch_timestamp(text, per_second=1000), text)


def _other_usage(mapping: Mapping) -> Column:
    units = [unit for unit in OTHER_USAGE if unit in mapping.columns or unit in mapping.defaults]
    if not units:
        return Column("json", "CAST(NULL AS JSON)")
    column = other_usage({unit: _mapped_text(mapping, unit) for unit in units})
    if _MODALITIES.isdisjoint(units):
        # That there were no searches does not tell whether there was audio.
        column = replace(column, sql=f"nullif({column.sql}, CAST('{{}}' AS JSON))")
    return column


def _metadata(mapping: Mapping) -> str:
    tags = {name: mapping.columns[name] for name in TAGS if name in mapping.columns}
    pairs = {**{name.replace('"', ""): name for name in mapping.metadata}, **tags}
    constants = {name: mapping.defaults[name] for name in TAGS if name in mapping.defaults and name not in tags}
    arguments = [f"{quote(key)}, {_text(name)}" for key, name in pairs.items()]
    arguments += [f"{quote(key)}, {quote(value)}" for key, value in constants.items()]
    return f"json_object({', '.join(arguments)})" if arguments else "CAST(NULL AS JSON)"


def _content(mapping: Mapping) -> str:
    return content(_text(name) for name in sorted({*mapping.columns.values(), *mapping.metadata}))
