"""OpenAI's own count of what an organization used, and what it bills: by day, project and key. No single requests."""

from __future__ import annotations

from llm_spend.sources.about import About, Setting

ABOUT = About(
    title="OpenAI",
    grain="No requests: a row of each UTC day and group. Usage is grouped by project, user, key, model, batch and"
    " service tier; costs by key, project and line item. Each is asked for without groups, too, as a control.",
    cost="What OpenAI bills, in dollars, refunds included. Costs by user (`costs_by_user`) are a second view of the"
    " same money.",
    tokens="All input with cached tokens and those written to the cache; reasoning is part of the output. Tokens kept"
    " for 30 minutes count as short cache writes, those kept for 12 hours as long ones.",
    attribution="Project, key and user, who is a member of the organization: no end customer. Lists of projects, users,"
    " service accounts and keys say whose they are.",
    lateness="A day is there when it is over. Usage is asked for again after 1 and 3 days, costs after 1, 3 and 7.",
    cannot_tell="Single requests and your own metadata: use a gateway's log for these. The key of costs before"
    " 2025-12-06. Days that are more than a year ago.",
    api="`GET /v1/organization/costs`, `/v1/organization/usage/…`, and lists of projects, users, keys and spend"
    " limits, with an *admin* key; the right to read usage is enough for usage and costs. What else the key may not"
    " read is left out and said.",
    settings=(
        Setting("admin_key", "admin key of the organization (`sk-admin-…`)", is_secret=True, is_required=True),
        Setting("base_url", "`https://api.openai.com` if not given"),
        Setting("costs_by_user", "`true`: costs by user as well"),
        Setting("by_api_source", "`true`: usage and costs also by the API that they came through, where it is told"),
    ),
)
