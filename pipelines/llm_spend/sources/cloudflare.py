"""Cloudflare AI Gateway logs: JSONL of what its API lists, one log a row.

Facts (Cloudflare's API description): `metadata` is a JSON object in a text; tokens and cost may be missing, and the
cost is an estimate in USD. Nothing tells how many of the input tokens were cached. A row with a `step` above 0 is a
further step of a fallback; guardrails are evaluated by calls that are logged as rows of their own. Whether `created_at`
is when a request began or ended is not said: it is taken for the beginning.
"""

from __future__ import annotations

from llm_spend.readers.sql import field, object_or_text, typed
from llm_spend.schema import Column
from llm_spend.sources.about import About, Setting
from llm_spend.sources.expressions import first_told, metadata_with, operation_of_path, text_field
from llm_spend.sources.shared_tables import requests_format

_OWN_METADATA = object_or_text(field("metadata"))
_IS_GUARD = f"contains(lower({text_field('model')}), 'llama-guard')"
_CALLED = operation_of_path(text_field("path"))
_IS_TOLD = f"regexp_matches(lower({_CALLED}), 'chat|completion|embedding|message|response|rerank|image|audio|speech')"

IGNORED = frozenset(
    {
        *("request", "response", "request_head", "response_head", "request_head_complete", "response_head_complete"),
        *("request_size", "response_size", "request_content_type", "response_content_type", "custom_cost"),
    }
)
"""Fields that are known and not read."""

LOGS = requests_format(
    "cloudflare",
    {
        "source_record_id": Column("text", text_field("id"), required=True),
        "started_at": typed(text_field("created_at"), "timestamp").as_required(),
        "provider": Column("text", text_field("provider")),
        "raw_model": Column("text", text_field("model")),
        "operation": Column(
            "text",
            f"CASE WHEN {_IS_GUARD} THEN 'moderation' WHEN {_IS_TOLD} THEN {_CALLED}"
            f" ELSE {first_told(field('request_type'), field('model_type'), field('path'))} END",
        ),
        "status": Column(
            "text", f"CASE try_cast({field('success')} AS BOOLEAN) WHEN TRUE THEN 'success' WHEN FALSE THEN 'error' END"
        ),
        "http_status": typed(f"nullif({field('status_code')}, '0')", "bigint"),
        "is_gateway_cache_hit": typed(field("cached"), "bool"),
        "latency_ms": typed(field("duration"), "decimal"),
        "input_tokens": typed(field("tokens_in"), "bigint"),
        "input_includes_cache": Column("bool", "TRUE"),
        "output_tokens": typed(field("tokens_out"), "bigint"),
        "gateway_reported_usd": typed(field("cost"), "money"),
        "metadata": Column(
            "json",
            metadata_with(
                _OWN_METADATA,
                {
                    # Who signed in with Cloudflare Access, when the caller said nothing.
                    "user": f"json_extract_string({_OWN_METADATA}, '$.\"cf.user_id\"')",
                    "gateway": text_field("gateway"),
                    "step": f"nullif({text_field('step')}, '0')",
                },
            ),
        ),
    },
    json_fields=frozenset({"metadata"}),
    ignored=IGNORED,
    metadata_given=f"CASE WHEN json_type({field('metadata')}) <> 'NULL' THEN {field('metadata')} END",
    record_name="Cloudflare AI Gateway log",
)

ABOUT = About(
    title="Cloudflare AI Gateway",
    grain="One request to a provider. The steps of a fallback and the calls that evaluate a guardrail are rows of their"
    " own.",
    cost="`gateway_reported_usd` is Cloudflare's estimate, or a price of your own (`custom_cost`).",
    tokens="`tokens_in` is taken as all of the input. How much of it was cached is not logged, so cached input is"
    " priced like other input: too high.",
    attribution="The metadata of `cf-aig-metadata` (five entries at most; Cloudflare drops further ones), the user of"
    " Cloudflare Access, and the gateway, under the key `gateway`.",
    lateness="Rows are there when a request is over; a window is asked for again after a day.",
    cannot_tell="Cached and reasoning tokens. Requests with `cf-aig-collect-log: false`, and those that came when the"
    " gateway's store of logs was full. Logpush has neither tokens nor costs, and is not read.",
    files="JSONL of logs as the API lists them.",
    api="The logs of each gateway, with an API token that has *AI Gateway Read*. Accounts that were created since"
    " 24 September 2026 don't have this API: send their traces with OpenTelemetry and load these.",
    settings=(
        Setting("api_token", "API token with *AI Gateway Read*", is_secret=True, is_required=True),
        Setting("account_id", "the account", is_required=True),
        Setting("gateway_id", "the gateway, or several with commas between them", is_required=True),
        Setting("base_url", "`https://api.cloudflare.com/client/v4` if not given"),
    ),
)
