"""TrueFoundry spans: `truefoundry/spans-YYYY-MM-DD.jsonl.gz`. Only Model spans are attempts."""

from __future__ import annotations

from typing import Any

from llm_spend.demo.calls import Attempt, Call, clock
from llm_spend.demo.files import Record, dumps, usd_number
from llm_spend.demo.gateways import TENANT

_ACCOUNTS = {"openai": "openai-main", "anthropic": "anthropic-main", "google": "google-gemini"}
_BODY = '{"messages":[{"role":"user","content":"SECRET-PROMPT: what does our contract with %s say?"}]}'
_ANSWER = '{"choices":[{"message":{"role":"assistant","content":"SECRET-ANSWER"}}]}'


def render(call: Call, is_placeholder: bool) -> list[str]:
    """The spans of one trace: root, guardrail now and then, one Model span an attempt."""
    root_id = f"{call.attempts[0].record_id[8:]}{call.attempts[0].record_id[:8]}"
    spans = [_root(call, root_id)]
    if call.outcome == "guardrail":
        spans.append(_guardrail(call, root_id))
    spans += [_model(call, attempt, root_id) for attempt in call.attempts]
    return [dumps(span) for span in spans]


def _span(call: Call, span_id: str, parent: str, name: str, started_ms: int, duration_ms: int) -> Record:
    moment = clock(started_ms)
    return {
        "spanId": span_id,
        "traceId": call.trace_id,
        "parentSpanId": parent,
        "serviceName": "tfy-llm-gateway",
        "spanName": name,
        "spanKind": "SERVER" if not parent else "CLIENT",
        "scopeName": "tfy-llm-gateway",
        "scopeVersion": "1.0.0",
        "timestamp": f"{moment[:10]}T{moment[11:]}Z",
        "durationNs": duration_ms * 1_000_000,
        "statusCode": "OK",
        "statusMessage": "",
        "spanAttributes": {},
        "events": [],
        "createdBySubject": _subject(call),
    }


def _subject(call: Call) -> Record:
    if call.virtual_account is not None:
        return {
            "subjectId": f"va-{call.virtual_account}",
            "subjectType": "virtualaccount",
            "subjectSlug": call.virtual_account,
            "subjectDisplayName": call.virtual_account,
        }
    email = call.gateway_user or ""
    return {
        "subjectId": f"user-{email}",
        "subjectType": "user",
        "subjectSlug": email.title() if int(call.style * 1000) % 9 == 0 else email,
        "subjectDisplayName": email.partition("@")[0].replace(".", " ").title(),
    }


def _request_attributes(call: Call) -> dict[str, Any]:
    tags = {**call.tags, "tfy_gateway_region": "eu-west-1"}
    return {
        "tfy.request.tenant_name": TENANT,
        "tfy.request.created_by_subject": call.virtual_account or call.gateway_user,
        "tfy.request.created_by_subject_teams": list(call.gateway_teams),
        "tfy.request.metadata": dumps(tags) if call.style < 0.6 else tags,
    }


def _request_type(attempt: Attempt) -> str:
    return "Embedding" if attempt.model.kind == "embedding" else "ChatCompletion"


def _root(call: Call, root_id: str) -> Record:
    first, last = call.attempts[0], call.attempts[-1]
    total_ms = last.started_ms + last.latency_ms - first.started_ms + 12
    span = _span(call, root_id, "", "POST /chat/completions", first.started_ms - 6, total_ms)
    request_type = _request_type(first)
    attributes: dict[str, Any] = {
        "tfy.span_type": request_type,
        **_request_attributes(call),
        "tfy.request.model_name": _full_name(first),
        "tfy.input": _BODY % (call.customer or "nobody"),
        "tfy.output": _ANSWER,
        "http.response.status_code": last.http_status,
    }
    if call.style > 0.8:
        # Roots may repeat the numbers of the last attempt: adding both doubles the cost.
        attributes.update(_usage(last))
    if last.status != "success":
        span["statusCode"] = "ERROR"
    span["spanAttributes"] = attributes
    return span


def _guardrail(call: Call, root_id: str) -> Record:
    first = call.attempts[0]
    span = _span(call, f"9{first.record_id[1:]}", root_id, "guardrail pii-check", first.started_ms - 4, 3)
    span["spanAttributes"] = {
        "tfy.span_type": "Guardrail",
        **_request_attributes(call),
        "tfy.guardrail.name": "pii-check",
        "tfy.guardrail.result": "pass",
        "tfy.guardrail.metric.latency_in_ms": 3,
    }
    return span


def _model(call: Call, attempt: Attempt, root_id: str) -> Record:
    span = _span(call, attempt.record_id, root_id, "model", attempt.started_ms, attempt.latency_ms)
    model = attempt.model
    attributes: dict[str, Any] = {
        "tfy.span_type": "Model",
        **_request_attributes(call),
        "tfy.request.model_name": _full_name(call.attempts[0]),
        "tfy.model.id": f"model-{model.raw}",
        "tfy.model.name": model.raw,
        "tfy.model.fqn": f"{TENANT}:{model.provider}:{_ACCOUNTS[model.provider]}:model:{model.raw}",
        "tfy.model.request_type": _request_type(attempt),
        "tfy.model.streaming": call.is_stream,
        "tfy.model.metric.latency_in_ms": attempt.latency_ms,
        **_usage(attempt),
        "tfy.input": _BODY % (call.customer or "nobody"),
        "tfy.output": _ANSWER,
        "http.response.status_code": attempt.http_status,
    }
    if call.max_tokens is not None:
        attributes["tfy.request.max_tokens"] = call.max_tokens
    if call.is_stream and attempt.tokens is not None:
        attributes["tfy.model.metric.time_to_first_token_in_ms"] = attempt.latency_ms // 4
    if attempt.status != "success":
        span["statusCode"] = "ERROR"
        span["statusMessage"] = attempt.error_type
        attributes["tfy.error_type"] = attempt.error_type
    elif call.style < 0.05:
        span["statusCode"] = "UNSET"
    span["spanAttributes"] = attributes
    return span


def _usage(attempt: Attempt) -> dict[str, Any]:
    tokens = attempt.tokens
    if tokens is None:
        return {}
    usage: dict[str, Any] = {
        "tfy.model.metric.input_tokens": tokens.input,
        "tfy.model.metric.output_tokens": tokens.output,
    }
    if tokens.cache_read:
        usage["tfy.model.metric.cache_read_input_tokens"] = tokens.cache_read
    if tokens.cache_write:
        usage["tfy.model.metric.cache_creation_input_tokens"] = tokens.cache_write
    if attempt.gateway_cost is not None:
        usage["tfy.model.metric.cost_in_usd"] = usd_number(attempt.gateway_cost) if attempt.gateway_cost else 0
    return usage


def _full_name(attempt: Attempt) -> str:
    return f"{_ACCOUNTS[attempt.model.provider]}/{attempt.model.raw}"
