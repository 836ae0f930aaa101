"""Portkey log exports: `portkey/<workspace>/logs-YYYY-MM-DD.jsonl.gz`, cost in US cents."""

from __future__ import annotations

from typing import Any

from llm_spend.demo.calls import Attempt, Call, clock
from llm_spend.demo.files import Record, cents_number, dumps

_ORGS = {"openai": "openai", "anthropic": "anthropic", "google": "google"}
_URLS = {
    "openai": "https://api.openai.com/v1/chat/completions",
    "anthropic": "https://api.anthropic.com/v1/messages",
    "google": "https://generativelanguage.googleapis.com/v1beta/models",
}


def render(call: Call, is_placeholder: bool) -> list[str]:
    """One line an attempt. A placeholder is the row that the log store held before the usage arrived."""
    return [dumps(_record(call, attempt, is_placeholder)) for attempt in call.attempts]


def wrong_type(line: str) -> str:
    """The same row under another id, with text where tokens belong."""
    head, tail = line.split('"req_units":', 1)
    return head.replace('"id":"', '"id":"ffff', 1) + '"req_units":"abc"' + tail[tail.index(",") :]


def _record(call: Call, attempt: Attempt, is_placeholder: bool) -> Record:
    tokens = None if is_placeholder else attempt.tokens
    cost = 0 if is_placeholder else attempt.gateway_cost or 0
    digit = int(call.style * 1000)
    success: bool | int = attempt.status == "success"
    created = clock(attempt.started_ms)
    if digit % 10 != 0:
        created = f"{created[:10]}T{created[11:]}Z"
    if digit % 7 == 0:
        success = int(success)
    record: Record = {
        "id": attempt.record_id,
        "trace_id": _trace_id(call, digit),
        "created_at": created,
        "is_success": success,
        "ai_org": _ORGS[attempt.model.provider],
        "ai_model": attempt.model.raw,
        # The build that serves prompts leaves cached tokens out of the input, but not out of the total.
        "req_units": tokens.input - tokens.cache_read if tokens is not None else 0,
        "res_units": tokens.output if tokens is not None else 0,
        "total_units": tokens.total if tokens is not None else 0,
        "request_url": _URLS[attempt.model.provider],
        "cost": cents_number(cost) if cost else 0,
        "cost_currency": "USD",
        "response_time": attempt.latency_ms,
        "response_status_code": attempt.http_status,
        "mode": "fallback" if call.outcome.startswith("fallback") else "single",
        "config": "pc-fallback-2" if call.outcome.startswith("fallback") else None,
        "prompt_slug": call.prompt,
    }
    record.update(_metadata(call, digit))
    return record


def _trace_id(call: Call, digit: int) -> str:
    """Fallback targets share one trace; some clients send one trace id for a whole conversation instead."""
    if not call.outcome.startswith("fallback") and digit % 5 == 0:
        return f"conversation-{call.day:%Y%m%d}-{digit % 50}"
    return call.trace_id


def _metadata(call: Call, digit: int) -> dict[str, Any]:
    """The four shapes that exports and stores have, with values as the gateway stores them."""
    tags = {key: value.replace("'", "\\'") for key, value in call.tags.items()}
    if call.user_key is not None and call.tagged_user is not None:
        tags[call.user_key] = untidy(call.tagged_user, digit)
    match digit % 20:
        case 0 | 1 | 2:
            return {"metadata": dumps(tags)}
        case 3 | 4:
            return {"metadata": {"key": list(tags), "value": list(tags.values())}}
        case 5 | 6:
            return {"metadataKey": list(tags), "metadataValue": list(tags.values())}
        case 7 if not tags:
            return {"metadata": None}
        case _:
            return {"metadata": tags}


def untidy(email: str, digit: int) -> str:
    """An e-mail address as people type it."""
    match digit % 11:
        case 0:
            return email.title()
        case 1:
            return f" {email}"
        case 2:
            return f"{email.upper()} "
        case _:
            return email
