"""`truth.json`: what the tables must say about the demo, to the last digit.

Cells are arrays in the order of `columns`, to keep the file small; money is decimal text, or null where no
row has an amount.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_spend.demo.chargeback import UNITS_PER_CENT, rounded_cents, statement
from llm_spend.demo.ledger import COLUMNS, DIMENSIONS, Cell, Ledger
from llm_spend.demo.pricing import usd_text
from llm_spend.demo.quotas import Rule

FORMAT = 1


@dataclass(frozen=True)
class Measures:
    """The measures of the daily marts. Tokens are those that a provider consumed; amounts are USD."""

    attempts: int
    requests: int
    errors: int
    blocked_requests: int
    cache_hits: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    total_tokens: int
    cost_usd: Decimal | None
    gateway_reported_usd: Decimal | None
    unpriced_requests: int
    unpriced_tokens: int


MEASURES = tuple(field.name for field in fields(Measures))


@dataclass(frozen=True)
class TagUse:
    attempts: int
    cost_usd: Decimal | None


@dataclass(frozen=True)
class ChargebackLine:
    billing_period: str
    provider: str
    cost_center_id: str
    team_id: str
    model_id: str
    exact_usd: Decimal
    amount_usd: Decimal


@dataclass(frozen=True)
class ReconciledBill:
    """A provider's bill of a month: what the gateways say, and each cause that leads from there to what is billed.

    `charged_usd`: what statements charge of it, in whole cents.
    """

    gateway_usd: Decimal
    provider_usd: Decimal
    charged_usd: Decimal
    causes: dict[str, Decimal]


@dataclass(frozen=True)
class CustomerMonth:
    """What a customer used in a month, what that costs and what it pays; None is not known. Amounts are USD.

    `tiers`: (tokens above the plan from which the price holds, tokens, amount).
    """

    plan_id: str | None
    used_tokens: int
    overage_tokens: int | None
    fee_usd: Decimal | None
    overage_usd: Decimal | None
    revenue_usd: Decimal | None
    cost_usd: Decimal | None
    recommended_plan: str | None
    recommended_saving_usd: Decimal | None
    tiers: tuple[tuple[int, int, Decimal | None], ...]


@dataclass(frozen=True)
class PlantedIncident:
    """Something that went wrong on some days, in the words of llm_usage_anomalies.

    `also`: (kind, member type, member) of what else it truly moves. `visible_from_requests`: the size of the demo, in
    75 days, from which it stands out of the noise. `history_days`: days of usage before it.
    """

    kind: str
    member_type: str
    member_id: str
    days: tuple[str, ...]
    what: str
    also: tuple[tuple[str, str, str], ...]
    visible_from_requests: int
    history_days: int


@dataclass(frozen=True)
class SwitchedModel:
    """A month's attempts of a feature at a model, and what they would cost at another one. Amounts are USD."""

    requests: int
    total_tokens: int
    cost_usd: Decimal
    switch_usd: Decimal
    not_comparable_requests: int
    not_comparable_tokens: int


@dataclass(frozen=True)
class PromptUse:
    """A month's attempts with usage of a prompt template."""

    attempts: int
    input_tokens: int
    cache_read_tokens: int
    cost_usd: Decimal


@dataclass(frozen=True)
class LimitUse:
    """A month's attempts of a feature that say how long an answer may be: the sum of that, and what came."""

    attempts: int
    max_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class DesignMonth:
    """What a customer would have in a month under a design of plans; None is not known."""

    plan_id: str | None
    overage_tokens: int | None
    revenue_usd: Decimal | None


class Truth:
    """A loaded truth file. Dates are `YYYY-MM-DD` text, months `YYYY-MM`."""

    def __init__(self, document: dict[str, Any]) -> None:
        if document.get("format") != FORMAT:
            raise ValueError(f"this truth file has format {document.get('format')}, expected {FORMAT}")
        self.document = document

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Reads `truth.json`. Raises OSError, or ValueError when it is not one."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @property
    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["parameters"]
        return found

    @property
    def total(self) -> Measures:
        return _measures(self.document["total"])

    def by_date(self) -> dict[str, Measures]:
        return {day: _measures(cell) for day, cell in self.document["by_date"].items()}

    def by_source(self) -> dict[tuple[str, str], Measures]:
        """(source, instance) -> measures."""
        return {
            (source, instance): _measures(entry["measures"])
            for source, instances in self.document["sources"].items()
            for instance, entry in instances.items()
        }

    def by_member(self, dimension: str) -> dict[tuple[str, str], Measures]:
        """(date, member) -> measures of user, team, feature, customer, model, environment or cost_center."""
        return {
            (day, member): _measures(cell)
            for day, members in self.document["members"][dimension].items()
            for member, cell in members.items()
        }

    def cost_center_months(self) -> dict[tuple[str, str], Measures]:
        """(month, cost centre) -> measures."""
        return {
            (month, member): _measures(cell)
            for month, members in self.document["cost_center_months"].items()
            for member, cell in members.items()
        }

    def tag_keys(self) -> list[str]:
        return sorted(self.document["tags"])

    def by_tag(self, key: str) -> dict[tuple[str, str], TagUse]:
        """(date, value) -> use of one metadata key."""
        return {
            (day, value): TagUse(attempts, None if cost is None else Decimal(cost))
            for day, values in self.document["tags"][key].items()
            for value, (attempts, cost) in values.items()
        }

    def counts(self, name: str) -> dict[str, dict[str, int]]:
        """`price_status` or `status`: source -> value -> rows; `attribution`: dimension -> step -> rows."""
        found: dict[str, dict[str, int]] = self.document[name]
        return found

    def quarantined(self) -> dict[tuple[str, str, str], int]:
        """(source, instance, reason) -> lines."""
        return {
            (source, instance, reason): count
            for source, instances in self.document["sources"].items()
            for instance, entry in instances.items()
            for reason, count in entry["quarantined"].items()
        }

    def breaches(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["quotas"]["breaches"]
        return found

    def chargeback(self) -> list[ChargebackLine]:
        return [
            ChargebackLine(
                month, provider, cost_center, team, model, Decimal(exact), Decimal(amount)
            )
            for month, providers in self.document["chargeback"].items()
            for provider, entry in providers.items()
            for cost_center, team, model, exact, amount in entry["lines"]
        ]  # fmt: skip

    def bills(self) -> dict[tuple[str, str], ReconciledBill]:
        """(month, provider) -> the bill; causes that add nothing are left out."""
        return {
            (month, provider): ReconciledBill(
                Decimal(entry["gateway_usd"]),
                Decimal(entry["provider_usd"]),
                Decimal(entry["charged_usd"]),
                {cause: Decimal(amount) for cause, amount in entry["causes"].items()},
            )
            for month, providers in self.document["bills"].items()
            for provider, entry in providers.items()
        }

    def shared_costs(self) -> dict[tuple[str, str, str], Decimal]:
        """(month, cost centre, team) -> its share of the licence."""
        return {
            (month, center, team): Decimal(usd)
            for month, lines in self.document["shared_costs"].items()
            for center, team, usd in lines
        }

    def customer_months(self) -> dict[tuple[str, str], CustomerMonth]:
        """(month, customer) -> its usage and amounts."""
        return {
            (month, customer): CustomerMonth(
                **{name: _known_usd(value) if name.endswith("_usd") else value for name, value in entry.items()}
                | {"tiers": tuple((start, count, _known_usd(amount)) for start, count, amount in entry["tiers"])}
            )
            for month, customers in self.document["customers"].items()
            for customer, entry in customers.items()
        }

    def incidents(self) -> list[PlantedIncident]:
        """What goes wrong, in the order of days."""
        return [
            PlantedIncident(
                **{
                    **each,
                    "days": tuple(each["days"]),
                    "also": tuple((kind, member_type, member) for kind, member_type, member in each["also"]),
                }
            )
            for each in self.document["incidents"]
        ]

    def paid(self) -> dict[tuple[str, str], TagUse]:
        """(month, kind) -> paid_failures, paid_retries, paid_fallbacks and duplicate_prompts; one may be in several."""
        return {
            key: TagUse(each["attempts"], Decimal(each["cost_usd"])) for key, each in self._findings("paid").items()
        }

    def prompts(self) -> dict[tuple[str, str], PromptUse]:
        """(month, prompt) -> use."""
        return {
            key: PromptUse(**{**each, "cost_usd": Decimal(each["cost_usd"])})
            for key, each in self._findings("prompts").items()
        }

    def limits(self) -> dict[tuple[str, str], LimitUse]:
        """(month, feature) -> how far answers stay below their limit."""
        return {key: LimitUse(**each) for key, each in self._findings("limits").items()}

    def ratings(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(month, feature) -> ratings and their sum."""
        return {key: (each["ratings"], each["sum"]) for key, each in self._findings("ratings").items()}

    def giants(self) -> dict[str, TagUse]:
        """Date -> attempts with more than 200,000 tokens of input, and what they cost."""
        return {
            day: TagUse(each["attempts"], Decimal(each["cost_usd"]))
            for (_, day), each in self._findings("giants").items()
        }

    def _findings(self, name: str) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (month, of): each
            for month, entries in self.document["findings"][name].items()
            for of, each in entries.items()
        }

    def switches(self) -> dict[tuple[str, str, str, str, str], SwitchedModel]:
        """(month, feature, model, channel, model instead) -> both costs."""
        return {
            (month, feature, model, channel, instead): SwitchedModel(
                requests, tokens, Decimal(cost), Decimal(switched), unknown, unknown_tokens
            )
            for month, feature, model, channel, instead, requests, tokens, cost, switched, unknown, unknown_tokens
            in self.document["findings"]["switches"]
        }  # fmt: skip

    def kpis(self) -> dict[tuple[str, str, str, str], Decimal]:
        """(month, member type, member, KPI) -> its value; those that can't be known are left out."""
        return {
            (month, member_type, member, kpi): Decimal(value)
            for month, types in self.document["kpis"].items()
            for member_type, members in types.items()
            for member, values in members.items()
            for kpi, value in values.items()
        }

    def plan_designs(self) -> dict[tuple[str, str, str], DesignMonth]:
        """(month, design, customer) -> its plan there, and what it would pay."""
        return {
            (month, design, customer): DesignMonth(plan, overage, _known_usd(revenue))
            for month, designs in self.document["plan_designs"].items()
            for design, customers in designs.items()
            for customer, (plan, overage, revenue) in customers.items()
        }

    def tag_findings(self) -> dict[tuple[str, str, str], TagUse]:
        """(finding, key, value, '' where all values are meant) -> attempts and their known cost."""
        return {
            (finding, key, value): TagUse(attempts, Decimal(cost))
            for finding, keys in self.document["tag_findings"].items()
            for key, values in keys.items()
            for value, (attempts, cost) in values.items()
        }


def _known_usd(amount: str | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)


def _measures(cell: list[Any]) -> Measures:
    values = dict(zip(MEASURES, cell, strict=True))
    for name in ("cost_usd", "gateway_reported_usd"):
        if values[name] is not None:
            values[name] = Decimal(values[name])
    return Measures(**values)


def document(ledger: Ledger, rules: tuple[Rule, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The truth file as JSON-ready values, sorted."""
    members = {name: _nested(ledger.members[name]) for name in DIMENSIONS}
    return {
        "format": FORMAT,
        "parameters": dict(parameters),
        "columns": list(MEASURES),
        "total": _cell(ledger.totals()),
        "by_date": {day: _cell(cell) for day, cell in sorted(ledger.by_date.items())},
        "sources": _sources(ledger),
        "members": members,
        "cost_center_months": _months(ledger.members["cost_center"]),
        "tags": _tags(ledger),
        "price_status": _pairs(ledger.price_status),
        "status": _pairs(ledger.status),
        "attribution": _pairs(ledger.attribution),
        "outcomes": _pairs(ledger.outcomes),
        "deliveries": _pairs(ledger.deliveries),
        "quotas": {
            "rules": [rule.to_config() for rule in rules],
            "breaches": sorted(
                ledger.breaches,
                key=lambda breach: (breach["window_start"], breach["rule_id"], breach["subject"]),
            ),
        },
        "chargeback": _chargeback(ledger),
    }


def write(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":"), indent=None) + "\n", encoding="utf-8"
    )


def _cell(cell: Cell) -> list[int | str | None]:
    values: dict[str, int | str | None] = dict(zip(COLUMNS, cell, strict=True))
    values["cost_usd"] = _usd(cell[9], cell[10])
    values["gateway_reported_usd"] = _usd(cell[11], cell[12])
    return [values[name] for name in MEASURES]


def _usd(units: int, rows: int) -> str | None:
    return usd_text(units) if rows else None


def _nested(cells: Mapping[tuple[str, str], Cell]) -> dict[str, dict[str, list[int | str | None]]]:
    nested: dict[str, dict[str, list[int | str | None]]] = {}
    for (day, member), cell in sorted(cells.items()):
        nested.setdefault(day, {})[member] = _cell(cell)
    return nested


def _months(cells: Mapping[tuple[str, str], Cell]) -> dict[str, dict[str, list[int | str | None]]]:
    months: dict[tuple[str, str], Cell] = {}
    for (day, member), cell in cells.items():
        known = months.get((day[:7], member), [0] * len(COLUMNS))
        months[day[:7], member] = [one + two for one, two in zip(known, cell, strict=True)]
    return _nested(months)


def _tags(ledger: Ledger) -> dict[str, dict[str, dict[str, list[int | str | None]]]]:
    tags: dict[str, dict[str, dict[str, list[int | str | None]]]] = {}
    for (key, day, value), (attempts, units, priced) in sorted(ledger.tags.items()):
        tags.setdefault(key, {}).setdefault(day, {})[value] = [attempts, _usd(units, priced)]
    return tags


def _sources(ledger: Ledger) -> dict[str, dict[str, Any]]:
    sources: dict[str, dict[str, Any]] = {}
    for (source, instance), cell in sorted(ledger.sources.items()):
        quarantined = {
            reason: count
            for (of_source, of_instance, reason), count in sorted(ledger.quarantined.items())
            if (of_source, of_instance) == (source, instance)
        }
        sources.setdefault(source, {})[instance] = {
            "request_rows": cell[0],
            "quarantined": quarantined,
            "measures": _cell(cell),
        }
    return sources


def _pairs(counter: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    pairs: dict[str, dict[str, int]] = {}
    for (outer, inner), count in sorted(counter.items()):
        pairs.setdefault(outer, {})[inner] = count
    return pairs


def _chargeback(ledger: Ledger) -> dict[str, dict[str, Any]]:
    amounts: dict[tuple[str, str], dict[tuple[str, str, str], int]] = {}
    for (month, provider, cost_center, team, model), units in ledger.lines.items():
        amounts.setdefault((month, provider), {})[cost_center, team, model] = units
    months: dict[str, dict[str, Any]] = {}
    for (month, provider), lines in sorted(amounts.items()):
        total = sum(lines.values())
        months.setdefault(month, {})[provider] = {
            "exact_usd": usd_text(total),
            "amount_usd": _cents(rounded_cents(total)),
            "lines": [[*line.key, usd_text(line.exact_units), _cents(line.cents)] for line in statement(lines)],
        }
    return months


def _cents(cents: int) -> str:
    return usd_text(cents * UNITS_PER_CENT)
