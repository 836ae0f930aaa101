"""The pages, in the order in which people ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_spend.dashboard.view import View
from llm_spend.dashboard.views import health, money, usage


@dataclass(frozen=True)
class Page:
    """A page: its title, its place in the address, and what shows it."""

    title: str
    path: str
    icon: str
    show: Callable[[View], None]


PAGES = (
    Page("Overview", "overview", ":material/monitoring:", usage.overview),
    Page("Usage", "usage", ":material/group:", usage.breakdown),
    Page("Tags", "tags", ":material/sell:", usage.tags),
    Page("Latency and errors", "performance", ":material/speed:", usage.performance),
    Page("Quotas and budgets", "quotas", ":material/data_usage:", money.quotas),
    Page("Chargeback", "chargeback", ":material/receipt_long:", money.chargeback),
    Page("The provider's bill", "bill", ":material/balance:", money.bill),
    Page("Unpriced, unallocated", "gaps", ":material/help:", health.gaps),
    Page("Freshness", "freshness", ":material/schedule:", health.freshness),
    Page("Requests", "requests", ":material/list:", usage.requests),
)
