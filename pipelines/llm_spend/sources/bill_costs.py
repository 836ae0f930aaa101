"""What a provider bills, as a file in the columns of `provider__costs`."""

from __future__ import annotations

from llm_spend.sources.about import About
from llm_spend.sources.bill import files_of
from llm_spend.sources.provider_tables import costs_format

ABOUT = About(
    title="Costs of any other provider",
    grain="A line of a bill for a bucket of time.",
    cost="`amount`: what is billed, in `currency`; `cost_unit` is `unit`, or `cent` for hundredths of it.",
    tokens="None: usage is a file of its own, `bill_usage`.",
    attribution="`project_id`, `api_key_id`, `user_id`, `customer_id`, as far as the file has them.",
    lateness="A newer version of a file replaces the older one.",
    cannot_tell="What the file does not have.",
    files="JSON lines, JSON arrays, CSV and Parquet with [the columns of provider__costs](bills.md#any-other-bill).",
)

COSTS = files_of(costs_format("bill_costs"))
