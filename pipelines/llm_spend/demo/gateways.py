"""The gateways that Northwind calls models through, and what their logs call themselves."""

from __future__ import annotations

from datetime import date

PORTKEY, TRUEFOUNDRY, LITELLM, SELF_HOSTED = "portkey", "truefoundry", "litellm", "self_hosted"
SOURCES = (PORTKEY, TRUEFOUNDRY, LITELLM, SELF_HOSTED)
WORKSPACES = ("ws-product", "ws-internal")
TENANT = "northwind"
GENERIC_INSTANCE = "batch-cluster"
LITELLM_INSTANCE = "proxy"
PROXY_RELEASED, PROXY_UPDATED = date(2026, 8, 17), date(2026, 9, 7)
"""The LiteLLM proxy keeps the prices of the first day until the second."""
