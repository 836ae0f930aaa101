"""Claude Code's own analytics: what people and keys used, with an estimate at list price that is on no bill.

Facts (Anthropic's documentation): a question is for one UTC day. A record is a day, an actor, a kind of customer, a
terminal and whether it was remote, with a part for each model; a person has several. Keys are given by name and people
by e-mail address. Amounts are US cents. What API customers use is in the usage and cost reports, too: never add both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.pages import incomplete
from llm_spend.readers.api.values import amount
from llm_spend.sources.anthropic import Question, bucket_columns, part, total
from llm_spend.sources.anthropic_client import AnthropicClient, Report, Right, offered
from llm_spend.sources.provider_rows import numbered

PATH = "/v1/organizations/usage_report/claude_code"
RIGHT = Right("read Claude Code analytics", "Set `claude_code = false` in [sources.anthropic] to do without.")

_DIMENSIONS = ("actor", "customer_type", "is_remote", "model", "subscription_type", "terminal_type")
_OF_RECORD = ("customer_type", "is_remote", "subscription_type", "terminal_type")
_QUESTION = Question("claude_code", _DIMENSIONS, timedelta(days=3))


def asked_report(client: AnthropicClient, day: date, limit: int = 1000) -> Report:
    """All records of a day."""
    params = {"starting_at": day.isoformat(), "limit": limit}
    return offered(lambda: client.report(RIGHT, PATH, params))


def report_rows(day: date, report: Report) -> list[dict[str, Any]]:
    """Rows of provider__usage, one for each model of each record; a record without models used no tokens.

    `raw` is the record with the part of the row's model only: what it says of sessions stands in each of its rows.
    Raises UserError for records of another day or shape.
    """
    return numbered(row for record in report.rows for row in _rows(day, record))


def _rows(day: date, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    if str(record.get("date"))[:10] != day.isoformat():
        raise incomplete(f"Anthropic's {PATH}", f"{day} was asked for, and a record is of {record.get('date')}")
    models = record.get("model_breakdown")
    if not isinstance(models, list):
        raise UserError(f"A record of Claude Code's analytics of {day} has no list of models.", "Report it as a bug.")
    return [_row(day, record, part({"model": each}, "model")) for each in models]


def _row(day: date, record: Mapping[str, Any], of_model: Mapping[str, Any]) -> dict[str, Any]:
    start = datetime(day.year, day.month, day.day)
    actor, tokens, estimate = part(record, "actor"), part(of_model, "tokens"), part(of_model, "estimated_cost")
    group = {name: record.get(name) for name in _OF_RECORD} | {"model": of_model.get("model")}
    bucket = bucket_columns(_QUESTION, start.isoformat(), (start + timedelta(days=1)).isoformat(), group)
    who = {"actor_type": actor.get("type"), "api_key_name": actor.get("api_key_name")}
    parts = [tokens.get(name) for name in ("input", "cache_read", "cache_creation")]
    currency = str(estimate.get("currency") or "").upper()
    return {
        **bucket,
        "user_id": str(actor.get("email_address") or "").strip().lower() or None,
        "dimensions": bucket["dimensions"] | {name: value for name, value in who.items() if value},
        "usage_type": "claude_code",
        "input_tokens": amount(total(parts)),
        "cache_read_tokens": tokens.get("cache_read"),
        "cache_write_5m_tokens": tokens.get("cache_creation"),
        "output_tokens": tokens.get("output"),
        "estimated_amount": amount(estimate.get("amount")) if currency else None,
        "cost_unit": "us_cent" if currency == "USD" else "cent",
        "currency": currency or None,
        "raw": {**record, "model_breakdown": [of_model]},
    }
