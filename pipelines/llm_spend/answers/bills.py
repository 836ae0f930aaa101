"""What the providers billed for a month beside what the gateways say, and why the two differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_spend.answers.marts import MARTS, Marts

RECONCILIATION = "llm_reconciliation"


@dataclass(frozen=True)
class ProviderBill:
    """A provider's bill; the amounts of `causes` lead from what the gateways say to it."""

    provider: str
    gateway_usd: Decimal | None
    provider_usd: Decimal
    causes: dict[str, Decimal]
    unexplained_ratio: Decimal | None


@dataclass(frozen=True)
class Bills:
    """The bills of a month, largest first, and every cause in them; none when no bill was loaded."""

    table: str
    providers: tuple[ProviderBill, ...]
    causes: tuple[str, ...]


def bills(marts: Marts, month: date) -> Bills:
    """The bills of the month that begins on this day."""
    rows = marts.rows(
        f"""
        select provider, gateway_usd, provider_usd, unexplained_ratio, cause, amount_usd
        from {MARTS}.{RECONCILIATION}
        where billing_period = ? and provider_usd is not null
        order by cause_number, provider
        """,
        month,
    )
    providers: dict[str, ProviderBill] = {}
    for provider, gateway, billed, ratio, cause, amount in rows:
        providers.setdefault(provider, ProviderBill(provider, gateway, billed, {}, ratio)).causes[cause] = amount
    return Bills(
        f"{MARTS}.{RECONCILIATION}",
        tuple(sorted(providers.values(), key=lambda bill: (-bill.provider_usd, bill.provider))),
        tuple(dict.fromkeys(row[4] for row in rows)),
    )
