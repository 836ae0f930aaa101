"""Writes docs/sources.md from what every source says about itself.

Run `python tests/docs/generate_sources.py` after a change; a test compares the committed page.
"""

from __future__ import annotations

from pathlib import Path

from llm_spend.sources import SOURCES, about
from llm_spend.sources.about import About

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources.md"

HEAD = """\
<!-- Made by tests/docs/generate_sources.py: change the ABOUT of a source instead. -->
# Sources

What can be loaded, and what its numbers mean. `llm-spend load SOURCE --path FILES` reads files, `llm-spend load SOURCE
--api` asks an API ([how](api-sources.md)); any other log works through [a mapping file](generic-logs.md). Where two of
them tell of the same calls, one must be chosen: [which log counts](#which-log-counts).

"""

FOOT = """\
## What is new in a log

A field that no column is for may be a new kind of token. It is named in a warning of the load, and its numbers go into
`_extra` of the raw table, without any text ([how](api-sources.md#what-is-checked)). Files are looked into where they
begin and where they end, 20 lines at each end: what is new stays. Looked at are the fields of a record, and beside
them what Kong counts in `usage`, Bedrock in `input` and `output`, Langfuse in `usage_details`, LiteLLM in
`usage_object`, Portkey's answers in `usage` and `usageMetadata`, TrueFoundry in `tfy.model.metric.…`, and every
attribute of an OpenTelemetry span that is a number. Fields that are known and not read (bodies, addresses, times of
the gateway's own) are passed over, and so are columns of CSV and Parquet files. With `unknown_fields = "all"` text of
fields is kept, too, but for bodies and keys; text of attributes and of counts never is. What was loaded before stays
as it is: to have a field of older files, load them under another instance, or into a new database.

## Lines that can't be read

Each is in `llm_spend_raw.llm_spend__quarantine`, with its number and the reason, and the lines around it are loaded:
also those after a line that was cut off, and those around a document that goes over several lines.

## Which log counts

The same call can be in the log of a gateway, in a tracing tool and in a log of the provider. Every row is kept in
`fct_llm_requests`; those whose `is_of_record` is false cost nothing there (`cost_basis` is `counted_elsewhere`) and are
in no mart. The seed `mapping/sources_of_record.csv` decides: the first rule that matches a row counts, and a row that
none matches is of record. `llm_source_overlaps` lists calls that are in two sources, and what they would cost twice.
"""

_ROWS = (
    ("A row is", "grain"),
    ("Its reported cost", "cost"),
    ("Its tokens", "tokens"),
    ("Who it was", "attribution"),
    ("Late rows", "lateness"),
    ("It can't tell", "cannot_tell"),
    ("Files (`--path`)", "files"),
    ("API (`--api`)", "api"),
)


def page() -> str:
    """The page as it should be."""
    overview = ["| source | files | API |", "|---|---|---|"]
    for name in SOURCES:
        told = about(name)
        title = told.title.lower().replace(" ", "-").replace("(", "").replace(")", "").replace("/", "")
        overview.append(f"| [`{name}`](#{title}) | {_mark(told.files)} | {_mark(told.api)} |")
    sections = [_section(name, about(name)) for name in SOURCES]
    return HEAD + "\n".join(overview) + "\n\n" + "\n".join(sections) + "\n" + FOOT


def _mark(text: str) -> str:
    return "yes" if text else "–"


def _section(name: str, told: About) -> str:
    lines = [f"## {told.title}", "", f"| `{name}` | |", "|---|---|"]
    lines += [f"| {label} | {getattr(told, field)} |" for label, field in _ROWS if getattr(told, field)]
    if told.settings:
        lines += ["", f"| in `[sources.{name}]` of a `.dlt` file | in the environment | meaning |", "|---|---|---|"]
        for setting in told.settings:
            kind = ", ".join(
                word for word, holds in (("required", setting.is_required), ("a secret", setting.is_secret)) if holds
            )
            meaning = f"{setting.meaning} ({kind})" if kind else setting.meaning
            environment = f"SOURCES__{name.upper()}__{setting.name.upper()}"
            lines.append(f"| `{setting.name}` | `{environment}` | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
