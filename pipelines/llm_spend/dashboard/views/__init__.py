"""The pages, in the order in which people ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llm_spend.dashboard.view import View
from llm_spend.dashboard.views import glossary, health, money, outlook, overview, savings, tags, usage, value


@dataclass(frozen=True)
class Page:
    """A page: its title, its place in the address, and what shows it."""

    title: str
    path: str
    icon: str
    show: Callable[[View], None]


PAGES: Mapping[str, tuple[Page, ...]] = {
    "Spend": (
        Page("Overview", "overview", ":material/monitoring:", overview.overview),
        Page("Usage", "usage", ":material/group:", usage.breakdown),
        Page("Tags", "tags", ":material/sell:", tags.tags),
        Page("Requests", "requests", ":material/list:", usage.requests),
    ),
    "What to do": (
        Page("Forecast", "forecast", ":material/trending_up:", outlook.forecast),
        Page("Anomalies", "anomalies", ":material/notifications:", outlook.anomalies),
        Page("Savings", "savings", ":material/savings:", savings.savings),
        Page("Value", "value", ":material/insights:", value.value),
        Page("Customers and plans", "customers", ":material/handshake:", value.customers),
    ),
    "Limits and bills": (
        Page("Quotas and budgets", "quotas", ":material/data_usage:", money.quotas),
        Page("Chargeback", "chargeback", ":material/receipt_long:", money.chargeback),
        Page("The provider's bill", "bill", ":material/balance:", money.bill),
    ),
    "Quality": (
        Page("Latency and errors", "performance", ":material/speed:", usage.performance),
        Page("Unpriced, unallocated", "gaps", ":material/help:", health.gaps),
        Page("Freshness", "freshness", ":material/schedule:", health.freshness),
        Page("What words mean", "glossary", ":material/menu_book:", glossary.glossary),
    ),
}
"""Pages by section, in the order in which people ask. The first is the one that opens."""

ALL_PAGES = tuple(page for pages in PAGES.values() for page in pages)
