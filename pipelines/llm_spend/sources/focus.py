"""Bills as files: FOCUS of any vendor, and what AWS, Azure and Google Cloud export in columns of their own.

A bill lists everything that a cloud sells. Rows of services that sell language models are kept; of the others a row per
file and service says how many there were and what they cost, so that the table adds up to the bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import duckdb

from llm_spend.errors import UserError
from llm_spend.readers.records import UNPACKED, LeftOut, LogFormat
from llm_spend.readers.sql import quote, unknown
from llm_spend.schema import Column
from llm_spend.sources.about import About, Setting
from llm_spend.sources.focus_exports import AZURE_AMORTIZED, FOCUS_EXPORT, Export, Fields, export_of
from llm_spend.sources.focus_table import TABLE

SERVICES = (
    "bedrock|anthropic|claude|openai|foundry|cognitive ?services|vertex ai|gemini|generative ?language|generative ai"
)
"""A regular expression: what the words of a charge that is kept have in them, in lower case."""

ABOUT = About(
    title="Cloud bills",
    grain="A charge of the bill: what was bought, where and when, for a day or an hour.",
    cost="What is billed, in the currency of the bill: discounts are taken off, credits and taxes are charges of their"
    " own. An amortized export of Azure is a second view of the same money and is never added.",
    tokens="The quantity of a charge in the unit of the bill. It is no usage that can be priced.",
    attribution="Account, subscription or project, and tags; with AWS the IAM principal where the report has it.",
    lateness="The current month is exported again until it is closed; [the newest export of a day counts](bills.md).",
    cannot_tell="Requests and, mostly, users. The model only where a column, an ARN or the product's name says it.",
    files="FOCUS 1.0 to 1.4 (CSV, Parquet, JSON lines), AWS CUR 2.0, cost exports of Azure and the billing export of"
    " Google Cloud, also gzipped; the columns of a file tell which it is. See [bills](bills.md).",
    settings=(
        Setting(
            "service_pattern",
            f"Which charges are kept: a regular expression, found in the lower-case names of service, publisher,"
            f" product or meter. Unless set: `{SERVICES.replace('|', chr(92) + '|')}`. `.` keeps all.",
        ),
    ),
)

_SEARCHED = (
    "provider_name",
    "service_provider_name",
    "publisher_name",
    "service_name",
    "service_subcategory",
    "sku_meter",
    "resource_type",
    "charge_description",
)

_FILE_NAME = f"replace(regexp_extract(r.filename, '[^/]*$'), {quote(UNPACKED)}, '')"
# As AWS, Azure, Google Cloud and Spark number the parts of an export. Spark names each export anew, with a UUID.
_PART = "^part[-_].*|-[0-9]{5}[.]|000[0-9]{9}[.]"
_SPARK_PART = "^part-.*?([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}).*"
EXPORT_NAME = f"regexp_replace(regexp_replace({_FILE_NAME}, {quote(_SPARK_PART)}, '# \\1'), {quote(_PART)}, '#')"

_LEFT_OUT = LeftOut(
    by=(
        "export_format",
        "export_name",
        "file_name",
        "billing_account_id",
        "sub_account_id",
        "billing_period_start",
        "billing_period_end",
        "billing_currency",
        "provider_name",
        "service_provider_name",
        "service_name",
    ),
    sums={
        "charge_period_start": "min(r.charge_period_start)",
        # Of the last day on which one of them began: the days that the export is about.
        "charge_period_end": "date_trunc('day', max(r.charge_period_start)) + INTERVAL 1 DAY",
        "billed_cost": "sum(r.billed_cost)",
        "effective_cost": "sum(r.effective_cost)",
    },
    count="left_out_rows",
)


def _of_file(url: str, types: Mapping[str, str]) -> LogFormat:
    """The format of a file with these fields. Raises UserError for one that is no bill."""
    fields = Fields(types)
    # A file without a record, or of none that can be read, is none of another kind.
    export = export_of(url, fields) if types else FOCUS_EXPORT
    return _format(export, tuple(types.items()), _pattern())


@lru_cache(maxsize=256)
def _format(export: Export, types: tuple[tuple[str, str], ...], pattern: str) -> LogFormat:
    """The same object for files of one kind with the same fields: they are read together."""
    fields = Fields(dict(types))
    given = dict(export.columns(fields))
    unnest = export.unnest(fields)
    given["vendor_columns"] = Column("json", fields.others())
    given["export_format"] = Column("text", quote(export.name))
    given["export_name"] = Column("text", EXPORT_NAME)
    given["file_name"] = Column("text", _FILE_NAME)
    amount = "effective_cost" if export is AZURE_AMORTIZED else "billed_cost"
    columns = {name: given.get(name) or unknown(kind) for name, kind in TABLE.items()}
    for name in ("charge_period_start", "charge_period_end", "billing_currency", amount):
        columns[name] = columns[name].as_required()
    # What is the same in every record tells nothing of one.
    told = [columns[name].sql for name in _SEARCHED if "r." in columns[name].sql]
    words = f"lower(concat_ws(' ', {', '.join(told) or 'NULL'}))"
    return replace(
        EXPORTS,
        columns=columns,
        json_fields=frozenset(fields.documents),
        # A record of which nothing tells the service may be one that can't be read.
        keep=f"({words} = '' OR regexp_matches({words}, {quote(pattern)}))",
        unnest=unnest,
        by_fields=None,
    )


def _pattern() -> str:
    from llm_spend.readers.api.source import configured  # dlt, which takes seconds, holds the configuration

    pattern = configured("focus", "default", "service_pattern") or SERVICES
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT regexp_matches('', {quote(pattern)})").fetchall()
    except duckdb.Error as error:
        raise UserError(
            f"`service_pattern` in [sources.focus] is no regular expression: {pattern!r}.",
            "Write it like bedrock|openai; see docs/bills.md.",
        ) from error
    return pattern


EXPORTS = LogFormat(
    source="focus",
    table="provider__focus",
    columns={name: unknown(kind) for name, kind in TABLE.items()}
    | {"charge_period_start": unknown("timestamp").as_required()},
    record_name="charge",
    left_out=_LEFT_OUT,
    by_fields=_of_file,
)
"""Any of the files; what becomes of one is told by its fields."""
