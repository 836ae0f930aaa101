"""What an organisation at Anthropic has: calls, Claude Code's records, members and limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from .fake_anthropic import Call
from .fake_server import DAY

SONNET = {
    "api_key_id": "apikey_1",
    "workspace_id": "wrkspc_search",
    "model": "claude-sonnet-4-5",
    "service_tier": "standard",
    "context_window": "0-200k",
    "inference_geo": "us",
    "product": "messages_api",
    "user_profile_id": "uprof_acme",
}
ANN = {
    "type": "user_actor",
    "user_id": "user_ann",
    "email_address": "ann@example.com",
    "name": "Ann",
    "deleted": False,
}


def call(day: date = DAY, group: Mapping[str, Any] = SONNET, **fields: Any) -> Call:
    return Call(day, group=group, **fields)


def record(customer_type: str = "api", terminal: str = "vscode", amount: Any = 2.5, **fields: Any) -> dict[str, Any]:
    model = {
        "model": "claude-opus-5",
        "tokens": {"input": 10, "output": 5, "cache_read": 100, "cache_creation": 20},
        "estimated_cost": {"amount": amount, "currency": "USD"},
    }
    return {
        "date": "2026-11-02T00:00:00Z",
        "actor": {"type": "user_actor", "email_address": "ann@example.com"},
        "organization_id": "org-1",
        "customer_type": customer_type,
        "subscription_type": None,
        "terminal_type": terminal,
        "is_remote": False,
        "core_metrics": {
            "num_sessions": 3,
            "lines_of_code": {"added": 12, "removed": 1},
            "commits_by_claude_code": 1,
            "pull_requests_by_claude_code": 0,
        },
        "tool_actions": {"edit_tool": {"accepted": 4, "rejected": 1}},
        "model_breakdown": [model],
        **fields,
    }


AT = "2026-05-01T08:00:00Z"
LISTS: dict[str, list[dict[str, Any]]] = {
    "api_keys": [
        {
            "id": "apikey_1",
            "type": "api_key",
            "name": "search",
            "status": "active",
            "created_at": AT,
            "created_by": {"id": "user_ann", "type": "user"},
            "expires_at": None,
            "partial_key_hint": "sk-ant-api03-abc...xyz",
            "principal": {"type": "service_account_actor", "service_account_id": "svac_1"},
            "scope": {"type": "workspace", "workspace_id": "wrkspc_search"},
        },
        {
            "id": "apikey_0",
            "type": "api_key",
            "name": "gone",
            "status": "archived",
            "created_at": AT,
            "created_by": {"id": "user_ann", "type": "user"},
            "scope": {"type": "organization"},
        },
    ],
    "workspaces": [
        {
            "id": "wrkspc_search",
            "type": "workspace",
            "name": "Search",
            "archived_at": "2026-10-01T00:00:00Z",
            "compartment_id": "cmp_1",
            "created_at": AT,
            "display_color": "#ffffff",
            "data_residency": {
                "workspace_geo": "us",
                "default_inference_geo": "us",
                "allowed_inference_geos": "unrestricted",
            },
            "tags": {"cost_center": "cc-7"},
        }
    ],
    "users": [
        {"id": "user_ann", "type": "user", "name": "Ann", "email": "ann@example.com", "role": "admin", "added_at": AT}
    ],
    "service_accounts": [
        {
            "id": "svac_1",
            "type": "service_account",
            "name": "indexer",
            "description": "nightly",
            "organization_role": "developer",
            "created_at": AT,
            "updated_at": AT,
            "archived_at": None,
        },
        {
            "id": "svac_0",
            "type": "service_account",
            "name": "old",
            "organization_role": "developer",
            "created_at": AT,
            "updated_at": AT,
            "archived_at": AT,
        },
    ],
    "spend_limits/effective": [
        {
            "actor": {
                "type": "user_actor",
                "user_id": user,
                "email_address": None,
                "name": None,
                "deleted": False,
            },
            "amount": amount,
            "currency": "USD",
            "period": "monthly",
            "period_to_date_spend": "12050.5",
            "scope": {"type": "user", "user_id": user},
            "source": {"type": "organization"},
            "spend_limit_id": "splim_1",
        }
        for user, amount in (("user_ann", "50000"), ("user_bob", None))
    ],
    "user_profiles": [
        {
            "id": "uprof_acme",
            "type": "user_profile",
            "name": "Acme",
            "access_type": "application",
            "created_at": AT,
            "updated_at": AT,
            "enforcement_status": "unrestricted",
            "enforcement_actions": [],
            "external_user_details": {"reference_id": "customer-17", "entity_type": "business", "name_hash": "9f8e7d"},
            "metadata": {"plan": "gold"},
            "programs": {},
        }
    ],
}
