"""Usage as a provider counts it, as a file in the columns of `provider__usage`."""

from __future__ import annotations

from llm_spend.sources.about import About
from llm_spend.sources.bill import files_of
from llm_spend.sources.provider_tables import usage_format

ABOUT = About(
    title="Usage at any other provider",
    grain="Usage of a group in a bucket of time.",
    cost="None but `estimated_amount`, which is never billed: what is billed is a file of its own, `bill_costs`.",
    tokens="`input_tokens` is all input, what was read from and written to a cache included.",
    attribution="`project_id`, `api_key_id`, `user_id`, `customer_id`, as far as the file has them.",
    lateness="A newer version of a file replaces the older one.",
    cannot_tell="What the file does not have.",
    files="JSON lines, JSON arrays, CSV and Parquet with [the columns of provider__usage](bills.md#any-other-bill).",
)

USAGE = files_of(usage_format("bill_usage"))
