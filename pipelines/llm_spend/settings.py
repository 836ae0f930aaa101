"""Settings: typed, from flags, environment and `.dlt/` files, in one order of precedence.

Flags win over environment variables (`LLM_SPEND_<NAME>`), those over `[llm_spend]` in `.dlt/secrets.toml`, that over
`[llm_spend]` in `.dlt/config.toml`, and that over the defaults here. Credentials of buckets and warehouses are dlt's
own and follow its configuration; none of them is a setting of ours.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from llm_spend.errors import UserError
from llm_spend.schema import Schemas
from llm_spend.zones import named_zone

CONFIG_FILES = (Path(".dlt/secrets.toml"), Path(".dlt/config.toml"))

MEMORY_LIMIT = "2.5GB"
"""What DuckDB may take unless it is told otherwise; profiles.yml says it to those who run dbt alone."""


class SourceSettings(BaseModel):
    """One source that `llm-spend load` and `run` read when none is named: `[[llm_spend.sources]]`.

    Either files at a `path`, or the `api`, from the day `since` on.
    """

    model_config = ConfigDict(extra="forbid")

    source: str
    path: str | None = None
    api: bool = False
    since: date | None = None
    instance: str | None = None
    mapping: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.path) == self.api:
            raise ValueError(f"{self.source} needs either a path of files or api = true")
        if self.path and self.since:
            raise ValueError("since is for api = true: files are skipped while they don't change")
        if self.api and self.mapping:
            raise ValueError("a mapping is for files")
        return self


class Settings(BaseSettings):
    """Everything the commands can be told. See docs/settings.md, which is made from the descriptions below."""

    model_config = SettingsConfigDict(
        env_prefix="LLM_SPEND_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    destination: Literal["duckdb", "snowflake", "bigquery"] = Field(
        "duckdb", description="Where the tables live: `duckdb`, `snowflake` or `bigquery`."
    )
    database: Path = Field(Path("spend.duckdb"), description="The DuckDB file; not used on a warehouse.")
    schema_name: str = Field(
        Schemas().public,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="On a warehouse, the schema of the public tables; the others are called after it: `…_raw`,"
        " `…_seeds`, `…_internal`. In a DuckDB file it is always `llm_spend`.",
    )
    seeds: Path | None = Field(
        None, description="A folder with your own seed files; each replaces the one of the same name."
    )
    billing_timezone: str = Field(
        "UTC",
        description="The time zone (IANA name, such as `Europe/Berlin`) in which the months of statements begin and"
        " end. Closed months keep theirs; days are UTC.",
    )
    published_file: Path | None = Field(
        None,
        description="The DuckDB file that `publish` writes, and that `dashboard` and BI tools read, beside the one that"
        " is built; `published.duckdb` in `.llm_spend/<name of the database>/` if not set.",
    )
    memory_limit: str = Field(
        MEMORY_LIMIT,
        description="Memory that DuckDB may take before it uses the disk; a command needs up to 1 GB beside it.",
    )
    threads: int = Field(2, ge=1, description="Models that dbt builds at the same time.")
    lock_timeout_seconds: float = Field(
        600, ge=0, description="How long a command that writes waits for another one that does."
    )
    keep_quarantined_text: bool = Field(
        False,
        description="Keep the text of lines that can't be read. Off, since such a line may hold prompts.",
    )
    unknown_fields: Literal["none", "numbers", "all"] = Field(
        "numbers",
        description="What goes into the column `_extra` of a raw table of fields that no column is for, in what an API"
        " answers and in JSON files: `numbers`, without any text; `all`, text too, which may be what people wrote; or"
        " `none`.",
    )
    sources: list[SourceSettings] = Field([], description="What `load` and `run` read when no source is named.")
    alert_urls: Annotated[list[SecretStr], NoDecode] = Field(
        [],
        description="Where `run` and `alerts` send what reached a threshold: URLs of apprise, in the environment"
        " separated by spaces or commas. They hold secrets and are never shown.",
    )
    alert_max_age_days: int = Field(
        2,
        ge=1,
        description="How long after its end a window of a day or shorter is spoken of. Of longer ones it is the"
        " current and the previous.",
    )
    alert_withdrawals: bool = Field(
        True, description="Say so when a breach that was told of proves to be none, for example because of duplicates."
    )
    alert_anomalies: Literal["low", "medium", "high", "none"] = Field(
        "medium", description="The least severity of anomalies that `run` and `alerts` tell; `none` tells none."
    )
    alert_timeout_seconds: float = Field(
        10, gt=0, le=60, description="How long a target may take to connect, and to answer."
    )
    metrics_file: Path | None = Field(
        None, description="A file that `run` and `alerts` write for Prometheus; its name ends in `.prom`."
    )

    @field_validator("alert_urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        # An address can hold a comma itself, as in a list of receivers.
        return re.split(r"[\s,]+(?=[A-Za-z][\w.+-]*://)", value.strip()) if isinstance(value, str) else value

    @field_validator("billing_timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        return named_zone(value)

    @field_validator("database", "published_file")
    @classmethod
    def _is_no_schema(cls, value: Path | None) -> Path | None:
        # DuckDB calls a database by its file name, and then `llm_spend.t` could be a table or a schema of it.
        if value and value.stem.lower() in Schemas().all:
            raise ValueError(
                f"a file called {value.name} can't be told from the schema {value.stem}: choose another name"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = [_LlmSpendTable(settings_cls, path) for path in CONFIG_FILES if path.exists()]
        return (init_settings, env_settings, *files)


class _LlmSpendTable(TomlConfigSettingsSource):
    """The `[llm_spend]` table of a `.dlt` file; the rest of the file belongs to dlt."""

    def _read_file(self, file_path: Path) -> dict[str, Any]:  # type: ignore[override]
        content: dict[str, Any] = super()._read_file(file_path)
        table = content.get("llm_spend", {})
        return table if isinstance(table, dict) else {}


def read_settings(**flags: Any) -> Settings:
    """The settings in force. A flag that is None was not given. Raises UserError that names the wrong setting."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"A setting is wrong: {wrong}.", "See docs/settings.md for names and places.") from error
    except ValueError as error:
        raise UserError(f"A settings file can't be read: {error}.", f"Look at {CONFIG_FILES[1]}.") from error
