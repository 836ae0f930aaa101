"""Whether the providers' bills of a month are there: statements charge them, and a closed month does not move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from llm_spend.close_finding import Finding
from llm_spend.destinations.base import Connection
from llm_spend.schema import Schemas


@dataclass(frozen=True)
class Bill:
    """What one source says that a provider bills an account. `open_days`: dates that the provider may still change."""

    provider: str
    source: str
    source_instance: str
    is_from_api: bool
    open_days: tuple[date, ...] = ()


@dataclass(frozen=True)
class Gap:
    """Dates with usage of a provider that has bills, of which none has them."""

    provider: str
    days: int
    first: date
    last: date


@dataclass(frozen=True)
class Waiting:
    """Lines of a provider's bill that no statement charges yet. `billed_usd` is None where the currency has no rate."""

    provider: str
    lines: int
    billed_usd: Decimal | None


def bills_in_use(connection: Connection, schemas: Schemas, period: date) -> list[Bill]:
    """The bills of usage that came in the month or the one before, but for accounts that the month has an invoice of.

    Others are taken for gone. An invoice is of the whole month, and makes up for days that are missing.
    """
    before = (period - timedelta(days=1)).replace(day=1)
    query = f"""
        select provider, source_system, source_instance, origin, cost_date, min(case when is_final then 1 else 0 end)
        from {schemas.public}.fct_llm_provider_costs
        where is_of_record and charge_category = 'Usage' and origin in ('api', 'file', 'invoice', 'invoice_difference')
            and billing_period in (date '{before}', date '{period}')
        group by provider, source_system, source_instance, origin, cost_date
        order by provider, source_system, source_instance, origin, cost_date
    """
    invoiced: set[tuple[str, str]] = set()
    found: dict[tuple[str, str, str, bool], list[date]] = {}
    for provider, source, instance, origin, day, is_final in connection.rows(query):
        is_of_month = day >= period
        if origin in ("api", "file"):
            open_days = found.setdefault((provider, source, instance, origin == "api"), [])
            if is_of_month and not is_final:
                open_days.append(day)
        elif is_of_month:
            invoiced.add((provider, instance))
    return [
        Bill(*key, tuple(days)) for key, days in found.items() if invoiced.isdisjoint({(key[0], key[2]), (key[0], "")})
    ]


def gaps(connection: Connection, schemas: Schemas, period: date) -> list[Gap]:
    """Of providers that have bills: the dates with usage and without one, as llm_reconciliation has it."""
    query = f"""
        select provider, count(*), min(usage_date), max(usage_date)
        from {schemas.internal}.int_reconciliation_days
        where billing_period = date '{period}' and comparison = 'bill_not_loaded'
        group by provider order by provider
    """
    return [Gap(*row) for row in connection.rows(query)]


def waiting_lines(connection: Connection, schemas: Schemas, period: date) -> list[Waiting]:
    """What of the month's bills finds nobody yet, and what of them and of shared costs nobody knows in USD."""
    query = f"""
        select billed_by, count(*), sum(billed_usd) from {schemas.internal}.int_bill_allocations
        where allocation_method = 'waiting' and billing_period = date '{period}'
        group by billed_by
        union all
        select provider, count(*), null from {schemas.public}.fct_llm_provider_costs
        where is_of_record and billed_usd is null and billing_period = date '{period}'
        group by provider
        union all
        select provider, count(distinct shared_cost_id), null from {schemas.internal}.int_shared_costs
        where shared_usd is null and billing_period = date '{period}'
        group by provider
        order by 1, 2
    """
    return [Waiting(*row) for row in connection.rows(query)]


def unloaded(bills: Iterable[Bill], found: Iterable[Gap]) -> Iterator[Finding]:
    """Bills as files that leave out days. An API is asked about below, for all of the month."""
    providers = {bill.provider for bill in bills if not bill.is_from_api}
    for gap in found:
        if gap.provider in providers:
            yield Finding(
                "bill",
                f"The bill of {gap.provider} has nothing of {gap.days:,} days with usage,"
                f" {gap.first:%Y-%m-%d} to {gap.last:%Y-%m-%d}.",
                "Load it, or write its invoice into provider_invoices; then run `llm-spend build`.",
            )


def unsettled(bills: Iterable[Bill]) -> Iterator[Finding]:
    """Bills that the provider may still change."""
    for bill in bills:
        if bill.open_days:
            yield Finding(
                "bill-not-final",
                f"{bill.provider} may still change what it bills for {len(bill.open_days):,} days,"
                f" {min(bill.open_days):%Y-%m-%d} to {max(bill.open_days):%Y-%m-%d} ({bill.source},"
                f" {bill.source_instance}).",
                "Load it again when it is final, then run `llm-spend build`.",
            )


def uncharged(lines: Iterable[Waiting]) -> Iterator[Finding]:
    """Bills that are loaded and in no statement."""
    for each in lines:
        if each.billed_usd is None:
            yield Finding(
                "bill-without-rate",
                f"{each.lines:,} lines of the bill of {each.provider} are in a currency without a rate.",
                "Add it to fx_rates (of a shared cost, or usd_per_unit to shared_costs), then run `llm-spend build`.",
            )
        else:
            yield Finding(
                "bill-waiting",
                f"{each.lines:,} lines of the bill of {each.provider}, {each.billed_usd:,.2f} USD, wait for the bill of"
                " another account that the same gateways call.",
                "Load that, or take the account out of provider_accounts. int_bill_allocations names the lines.",
            )
