"""LiteLLM logging payloads: `litellm/YYYY-MM-DD.jsonl.gz` (GCS) and `litellm/YYYY-MM-DD/*.json` (S3)."""

from __future__ import annotations

from typing import Any

from llm_spend.demo.calls import Attempt, Call, clock
from llm_spend.demo.files import Record, dumps, usd_number
from llm_spend.demo.portkey import untidy

_PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}


def render(call: Call, is_placeholder: bool) -> list[str]:
    """One payload an attempt."""
    return [dumps(_payload(call, attempt)) for attempt in call.attempts]


def file_name(call: Call, attempt: Attempt) -> str:
    """The object name that the S3 logger gives to one payload."""
    moment = clock(attempt.started_ms)[11:].replace(":", "-").replace(".", "-")
    return f"time-{moment}_{attempt.record_id}.json"


def _payload(call: Call, attempt: Attempt) -> Record:
    tokens = attempt.tokens
    ended_ms = attempt.started_ms + attempt.latency_ms
    first_token_ms = attempt.started_ms + attempt.latency_ms // 4 if call.is_stream else ended_ms
    failed = attempt.status != "success"
    cost = attempt.gateway_cost or 0
    error = _error(attempt) if failed else None
    return {
        "id": attempt.record_id,
        "trace_id": call.trace_id if call.has_trace else None,
        "litellm_call_id": call.trace_id,
        "call_type": "aembedding" if attempt.model.kind == "embedding" else "acompletion",
        "stream": call.is_stream,
        "response_cost": usd_number(cost) if cost else 0,
        "status": "failure" if failed else "success",
        "custom_llm_provider": _PROVIDERS[attempt.model.provider],
        "total_tokens": tokens.total if tokens is not None else 0,
        "prompt_tokens": tokens.input if tokens is not None else 0,
        "completion_tokens": tokens.output if tokens is not None else 0,
        "startTime": attempt.started_ms / 1000,
        "endTime": ended_ms / 1000,
        "completionStartTime": first_token_ms / 1000,
        "response_time": (first_token_ms - attempt.started_ms) / 1000,
        "model": attempt.model.raw,
        "model_group": call.attempts[0].model.raw,
        "model_id": f"deployment-{attempt.model.raw}",
        "api_base": "https://api.example.com",
        "metadata": _metadata(call, attempt),
        "cache_hit": attempt.is_cache_hit if attempt.is_cache_hit or call.style < 0.7 else None,
        "cache_key": attempt.prompt_hash,
        "saved_cache_cost": 0.0,
        "request_tags": ["User-Agent: openai-python"],
        "end_user": untidy(call.end_user, int(call.style * 1000)) if call.end_user else "",
        "requester_ip_address": "10.0.0.7",
        "messages": [{"role": "user", "content": "SECRET-PROMPT"}],
        "response": {"choices": [{"message": {"content": "SECRET-ANSWER"}}]},
        "error_str": attempt.error_type or None,
        "error_information": error,
        "model_parameters": {} if call.max_tokens is None else {"temperature": 0.2, "max_tokens": call.max_tokens},
    }


def _error(attempt: Attempt) -> Record:
    error: Record = {
        "error_code": str(attempt.http_status),
        "error_class": attempt.error_type,
        "error_message": f"{attempt.error_type}: request failed",
        "llm_provider": _PROVIDERS[attempt.model.provider],
    }
    if attempt.status == "blocked_budget":
        error["error_rate_limit_category"] = "litellm_rate_limit"
        error["error_rate_limit_type"] = "budget"
        error["error_budget_entity_type"] = "team"
    return error


def _metadata(call: Call, attempt: Attempt) -> Record:
    key = call.key
    tags = dict(call.tags)
    if call.user_key is not None and call.tagged_user is not None:
        tags[call.user_key] = untidy(call.tagged_user, int(call.style * 1000))
    team = key.gateway_team if key is not None else None
    as_id_only = key is not None and key.team_only_as_id
    metadata: Record = {
        "user_api_key_hash": key.key_hash if key is not None else None,
        "user_api_key_alias": key.alias if key is not None else None,
        "user_api_key_user_id": key.gateway_user if key is not None else None,
        "user_api_key_user_email": key.gateway_user if key is not None else None,
        "user_api_key_team_id": team if as_id_only or team is None else f"7f3a-{team}",
        "user_api_key_team_alias": None if as_id_only else team,
        "usage_object": _usage(attempt),
    }
    # Callers send tags in the body or in headers; LiteLLM files them under two names.
    if call.style < 0.5:
        metadata["spend_logs_metadata"], metadata["requester_metadata"] = tags, {}
    elif call.style < 0.8:
        metadata["spend_logs_metadata"], metadata["requester_metadata"] = None, tags
    else:
        first = dict(list(tags.items())[:2])
        metadata["spend_logs_metadata"] = first
        metadata["requester_metadata"] = {name: tag for name, tag in tags.items() if name not in first}
    return metadata


def _usage(attempt: Attempt) -> dict[str, Any] | None:
    tokens = attempt.tokens
    if tokens is None:
        return None
    usage: dict[str, Any] = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.total,
    }
    if tokens.cache_read:
        usage["prompt_tokens_details"] = {"cached_tokens": tokens.cache_read}
    if attempt.model.provider == "anthropic":
        usage["cache_read_input_tokens"] = tokens.cache_read
        usage["cache_creation_input_tokens"] = tokens.cache_write
        write_1h = attempt.conflicting_1h or tokens.cache_write_1h
        if write_1h or attempt.latency_ms % 2:
            usage["cache_creation"] = {
                "ephemeral_5m_input_tokens": 0 if attempt.conflicting_1h else tokens.cache_write_5m,
                "ephemeral_1h_input_tokens": write_1h,
            }
    if tokens.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
    return usage
