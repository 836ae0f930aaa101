"""What a file of a bill has, told by its fields, and what of it becomes which column of `provider__focus`.

AWS, Azure and Google Cloud export FOCUS, and besides tables of their own; of these the columns are found here under the
names that FOCUS has for them. Amounts are added up as the export has them: rows of an export sum to what it bills.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llm_spend.errors import UserError
from llm_spend.readers.records import Unnest
from llm_spend.readers.sql import cast_text, flat_object, identifier, json_text, object_or_text, quote, utc_timestamp
from llm_spend.readers.sql import field as field_sql
from llm_spend.schema import Column
from llm_spend.sources.expressions import first_told
from llm_spend.sources.focus_table import FOCUS

_NOTHING = "NULL"


@dataclass
class Fields:
    """The fields of a file by name, whatever their case and what stands between their words; notes which are read.

    `types`: DuckDB type of each field. `read`: those that were asked for. `documents`: those of them that are no text.
    """

    types: Mapping[str, str]
    read: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._names = {plain(name): name for name in self.types}

    def __contains__(self, name: str) -> bool:
        return plain(name) in self._names

    def given(self, *names: str) -> list[str]:
        """The fields that are there, of these."""
        found = [self._names[plain(name)] for name in names if name in self]
        self.read.update(found)
        return found

    def text(self, *names: str) -> str:
        """The first text that is not empty, of fields; `a.b` is b inside of a, or a column of that name."""
        texts = []
        for name in names:
            outer, _, inner = name.partition(".")
            if found := self.given(name):
                texts.append(field_sql(found[0]))
            elif inner and outer in self:
                texts.append(json_text(self.document(outer), inner))
        return first_told(*texts) if texts else _NOTHING

    def document(self, *names: str) -> str:
        """The first of fields that is there, as a JSON document; NULL where it is none."""
        for name in self.given(*names):
            if self.types[name] == "VARCHAR":
                return f"try_cast({field_sql(name)} AS JSON)"
            self.documents.add(name)
            return field_sql(name)
        return "CAST(NULL AS JSON)"

    def others(self) -> str:
        """The fields that were not asked for, as one JSON object without those that are empty."""
        names = [name for name in self.types if name not in self.read]
        if not names:
            return "CAST(NULL AS JSON)"
        # What is neither a text nor a number stays what it is; a decimal would become a double.
        pairs = ", ".join(f"{quote(name)}, {self._value(name)}" for name in names)
        return f"nullif(json_merge_patch('{{}}', json_object({pairs})), CAST('{{}}' AS JSON))"

    def _value(self, name: str) -> str:
        is_number = re.match("DECIMAL|DOUBLE|FLOAT", self.types[name])
        return f"CAST({field_sql(name)} AS VARCHAR)" if is_number else field_sql(name)


def plain(name: str) -> str:
    """A name to compare: `line_item_usage_type`, `lineItem/UsageType` and `LineItemUsageType` are one."""
    return re.sub("[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Export:
    """A kind of file. `signs`: fields that tell it, one of each line. `columns`: what its fields become.

    `unnest`: where a record holds several charges.
    """

    name: str
    title: str
    signs: Sequence[Sequence[str]]
    columns: Callable[[Fields], Mapping[str, Column]]
    unnest: Callable[[Fields], Unnest | None] = lambda fields: None

    def is_of(self, fields: Fields) -> bool:
        """Whether a file with these fields is one."""
        return all(any(name in fields for name in names) for names in self.signs)


def export_of(url: str, fields: Fields) -> Export:
    """What a file is. Raises UserError that says what was looked for."""
    found = next((export for export in EXPORTS if export.is_of(fields)), None)
    if found is None:
        shown = ", ".join(list(fields.types)[:12])
        looked_for = "; ".join(
            f"{each.title}: {', '.join(' or '.join(sign) for sign in each.signs)}" for each in EXPORTS
        )
        raise UserError(
            f"{url} is no bill that can be read: its columns begin with {shown}.",
            f"Looked for columns of {looked_for}. Leave other files out with a narrower --path. See docs/bills.md.",
        )
    return AZURE_AMORTIZED if found is AZURE and re.search("amorti[sz]", url, re.IGNORECASE) else found


def money(text: str) -> Column:
    """An amount or a quantity. The text of a double is the shortest one that is read as it."""
    return Column("money", cast_text(text, "money"), text)


def moment(text: str) -> Column:
    """A time: ISO text, also without seconds, or a day as it is written in the United States (`09/30/2026`)."""
    return Column("timestamp", _moment(text), text)


def _moment(text: str) -> str:
    return f"coalesce({utc_timestamp(text)}, try_strptime({text}, ['%Y-%m-%dT%H:%MZ', '%m/%d/%Y']))"


def _text(sql: str) -> Column:
    return Column("text", sql)


def _constant(value: str) -> Column:
    return Column("text", quote(value))


def _document(sql: str) -> Column:
    return Column("json", sql)


def _tags(document: str) -> Column:
    """Tags are an object, or a list of keys with values."""
    pairs = [f"to_json(json_extract({document}, '$[*].{name}'))" for name in ("key", "value")]
    lists = [f"from_json({pair}, '[\"VARCHAR\"]')" for pair in pairs]
    of_list = f"to_json(TRY(map({lists[0]}, {lists[1]})))"
    return _document(f"CASE WHEN json_type({document}) = 'ARRAY' THEN {of_list} ELSE {object_or_text(document)} END")


def _translated(text: str, words: Mapping[str, str], otherwise: str) -> Column:
    cases = " ".join(f"WHEN {quote(word)} THEN {quote(value)}" for word, value in words.items())
    lower = f"replace(lower({text}), '_', '')"
    return _text(f"CASE WHEN {text} IS NOT NULL THEN CASE {lower} {cases} ELSE {quote(otherwise)} END END")


def _billing_period(start: str, begins: str, ends: str) -> dict[str, Column]:
    """The period of a charge that starts at `start`: its month, where the bill does not say. All are SQL of times."""
    first = f"coalesce({begins}, date_trunc('month', {start}))"
    return {
        "billing_period_start": Column("timestamp", first),
        "billing_period_end": Column("timestamp", f"coalesce({ends}, {first} + INTERVAL 1 MONTH)"),
    }


def _focus(fields: Fields) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for name, kind in FOCUS.items():
        match kind:
            case "money":
                columns[name] = money(fields.text(name))
            case "timestamp":
                columns[name] = moment(fields.text(name))
            case "json":
                columns[name] = _document(fields.document(name))
            case _:
                columns[name] = _text(fields.text(name))
    if "sku_meter" not in fields:
        # What Azure and AWS call it in FOCUS before version 1.1.
        columns["sku_meter"] = _text(fields.text("x_SkuMeterName", "x_UsageType"))
    columns["tags"] = _tags(fields.document("tags"))
    in_price = json_text(fields.document("sku_price_details"), "x_Model")
    columns["model"] = _text(f"coalesce({fields.text('x_model')}, {in_price})")
    columns["principal_id"] = _text(fields.text("principal_id", "x_principal_id"))
    times = [columns[name].sql for name in ("charge_period_start", "billing_period_start", "billing_period_end")]
    return columns | _billing_period(*times)


_AWS_CATEGORIES = {
    **dict.fromkeys(("usage", "discountedusage", "savingsplancoveredusage", "savingsplannegation"), "Usage"),
    # What a contract takes off the price of usage.
    **dict.fromkeys(("edpdiscount", "privateratediscount", "bundleddiscount", "sppdiscount"), "Usage"),
    **dict.fromkeys(("fee", "rifee", "savingsplanupfrontfee", "savingsplanrecurringfee"), "Purchase"),
    "tax": "Tax",
    "credit": "Credit",
}


def _aws(fields: Fields) -> dict[str, Column]:
    start = moment(fields.text("line_item_usage_start_date"))
    usage_type = fields.text("line_item_usage_type")
    unit = fields.text("pricing_unit")
    period = [_moment(fields.text(f"bill_billing_period_{end}_date")) for end in ("start", "end")]
    return {
        "charge_period_start": start,
        "charge_period_end": moment(fields.text("line_item_usage_end_date")),
        **_billing_period(start.sql, *period),
        "billed_cost": money(fields.text("line_item_unblended_cost")),
        "list_cost": money(fields.text("pricing_public_on_demand_cost")),
        "list_unit_price": money(fields.text("pricing_public_on_demand_rate")),
        "consumed_quantity": money(fields.text("line_item_usage_amount")),
        "consumed_unit": _text(unit),
        "pricing_quantity": money(fields.text("line_item_usage_amount")),
        "pricing_unit": _text(unit),
        "billing_currency": _text(fields.text("line_item_currency_code")),
        "billing_account_id": _text(fields.text("bill_payer_account_id")),
        "billing_account_name": _text(fields.text("bill_payer_account_name")),
        "sub_account_id": _text(fields.text("line_item_usage_account_id")),
        "sub_account_name": _text(fields.text("line_item_usage_account_name")),
        "charge_category": _translated(fields.text("line_item_line_item_type"), _AWS_CATEGORIES, "Adjustment"),
        "charge_description": _text(fields.text("line_item_line_item_description")),
        "invoice_id": _text(fields.text("bill_invoice_id")),
        "invoice_issuer_name": _text(fields.text("bill_invoicing_entity", "bill_billing_entity")),
        "provider_name": _constant("AWS"),
        "publisher_name": _text(fields.text("line_item_legal_entity")),
        "service_name": _text(
            fields.text("product_product_name", "product.product_name", "product_servicecode", "line_item_product_code")
        ),
        "sku_id": _text(fields.text("product_sku")),
        "sku_price_id": _text(fields.text("pricing_rate_code", "pricing_rate_id")),
        "sku_meter": _text(usage_type),
        "region_id": _text(fields.text("product_region_code", "product_region")),
        "availability_zone": _text(fields.text("line_item_availability_zone")),
        "resource_id": _text(fields.text("line_item_resource_id")),
        "tags": _tags(fields.document("tags", "resource_tags")),
        "principal_id": _text(fields.text("line_item_iam_principal")),
    }


_AZURE_CATEGORIES = {
    **dict.fromkeys(("usage", "unusedreservation", "unusedsavingsplan"), "Usage"),
    "purchase": "Purchase",
    "tax": "Tax",
    "credit": "Credit",
}


def _azure(fields: Fields) -> dict[str, Column]:
    start = moment(fields.text("date", "usage_date_time", "usage_date"))
    # What it calls the end is the last day.
    period = [_moment(fields.text(f"billing_period_{end}_date")) for end in ("start", "end")]
    tags = fields.text("tags")
    # Some exports leave out the braces.
    braced = f"CASE WHEN starts_with({tags}, '{{') THEN {tags} ELSE '{{' || {tags} || '}}' END"
    return {
        "charge_period_start": start,
        "charge_period_end": Column("timestamp", f"{start.sql} + INTERVAL 1 DAY"),
        **_billing_period(start.sql, period[0], f"{period[1]} + INTERVAL 1 DAY"),
        "billed_cost": money(fields.text("cost_in_billing_currency", "pre_tax_cost", "cost")),
        "list_cost": money(fields.text("payg_cost_in_billing_currency")),
        "list_unit_price": money(fields.text("payg_price")),
        "contracted_unit_price": money(fields.text("effective_price", "unit_price")),
        "consumed_quantity": money(fields.text("quantity", "usage_quantity")),
        "consumed_unit": _text(fields.text("unit_of_measure")),
        "billing_currency": _text(fields.text("billing_currency", "billing_currency_code", "currency")),
        "billing_account_id": _text(fields.text("billing_account_id")),
        "billing_account_name": _text(fields.text("billing_account_name")),
        "sub_account_id": _text(fields.text("subscription_id", "subscription_guid")),
        "sub_account_name": _text(fields.text("subscription_name")),
        "charge_category": _translated(fields.text("charge_type"), _AZURE_CATEGORIES, "Adjustment"),
        "charge_description": _text(fields.text("product_name", "product")),
        "charge_frequency": _text(fields.text("frequency")),
        "pricing_category": _text(fields.text("pricing_model")),
        "commitment_discount_id": _text(fields.text("benefit_id", "reservation_id")),
        "commitment_discount_name": _text(fields.text("benefit_name", "reservation_name")),
        "invoice_id": _text(fields.text("invoice_id")),
        "provider_name": _constant("Microsoft"),
        "publisher_name": _text(fields.text("publisher_name")),
        "service_category": _text(fields.text("service_family")),
        "service_name": _text(fields.text("meter_category", "consumed_service")),
        "service_subcategory": _text(fields.text("meter_sub_category")),
        "sku_id": _text(fields.text("meter_id")),
        "sku_meter": _text(fields.text("meter_name", "meter")),
        "sku_price_id": _text(fields.text("part_number")),
        "region_id": _text(fields.text("resource_location", "location", "meter_region")),
        "resource_id": _text(fields.text("resource_id", "instance_id")),
        "resource_name": _text(fields.text("resource_name")),
        "resource_type": _text(fields.text("consumed_service")),
        "tags": _document(flat_object(f"try_cast({braced} AS JSON)")),
    }


def _azure_amortized(fields: Fields) -> dict[str, Column]:
    """What was paid in advance is spread over its use: another view of the money, that nobody is billed so."""
    columns = _azure(fields)
    return {**columns, "effective_cost": columns["billed_cost"], "billed_cost": Column("money", _NOTHING)}


_GOOGLE_CATEGORIES = {"regular": "Usage", "tax": "Tax"}
# Of a record with its credits, which are charges of their own.
_AMOUNT, _CREDIT, _CREDIT_NAME = "charge amount", "charge credit", "charge credit name"
# What a contract takes off the price of usage.
_GOOGLE_DISCOUNTS = "discount|committed|sustained"


def _google(fields: Fields) -> dict[str, Column]:
    start = moment(fields.text("usage_start_time"))
    month = f"try_strptime({fields.text('invoice.month')}, '%Y%m')"
    category = _translated(fields.text("cost_type"), _GOOGLE_CATEGORIES, "Adjustment").sql
    amount, credit, is_charge = fields.text("cost"), _NOTHING, "TRUE"
    if "credits" in fields:
        amount, credit = field_sql(_AMOUNT), field_sql(_CREDIT)
        is_charge = f"{credit} IS NULL"
        in_words = f"regexp_matches(lower({credit}), {quote(_GOOGLE_DISCOUNTS)})"
        category = f"CASE WHEN {is_charge} THEN {category} WHEN {in_words} THEN 'Usage' ELSE 'Credit' END"

    def of_charge(text: str) -> str:
        return f"CASE WHEN {is_charge} THEN {text} END"

    sku = fields.text("sku.description")
    return {
        "charge_period_start": start,
        "charge_period_end": moment(fields.text("usage_end_time")),
        **_billing_period(start.sql, month, _NOTHING),
        "billed_cost": money(amount),
        "list_cost": money(of_charge(fields.text("cost_at_list"))),
        "contracted_unit_price": money(of_charge(fields.text("price.effective_price"))),
        "consumed_quantity": money(of_charge(fields.text("usage.amount"))),
        "consumed_unit": _text(of_charge(fields.text("usage.unit"))),
        "pricing_quantity": money(of_charge(fields.text("usage.amount_in_pricing_units"))),
        "pricing_unit": _text(of_charge(fields.text("usage.pricing_unit"))),
        "billing_currency": _text(fields.text("currency")),
        "billing_account_id": _text(fields.text("billing_account_id")),
        "sub_account_id": _text(fields.text("project.id")),
        "sub_account_name": _text(fields.text("project.name")),
        "charge_category": _text(category),
        "charge_description": _text(
            f"coalesce({field_sql(_CREDIT_NAME)}, {credit}, {sku})" if "credits" in fields else sku
        ),
        "provider_name": _constant("Google Cloud"),
        "publisher_name": _text(fields.text("seller_name")),
        "service_name": _text(fields.text("service.description")),
        "sku_id": _text(fields.text("sku.id")),
        "sku_meter": _text(sku),
        "region_id": _text(fields.text("location.region", "location.location")),
        "resource_id": _text(fields.text("resource.global_name")),
        "resource_name": _text(fields.text("resource.name")),
        "tags": _tags(fields.document("labels")),
    }


def _google_credits(fields: Fields) -> Unnest | None:
    if "credits" not in fields:
        return None
    names = (_AMOUNT, _CREDIT, _CREDIT_NAME)

    def record(values: Iterable[str]) -> str:
        pairs = zip(names, values, strict=True)
        return f"struct_pack({', '.join(f'{identifier(name)} := CAST({value} AS VARCHAR)' for name, value in pairs)})"

    # Without its credits the charge would be too high.
    (given,) = fields.given("credits")
    is_unreadable = f"{field_sql(given)} IS NOT NULL AND {fields.document('credits')} IS NULL"
    amount = f"CASE WHEN {is_unreadable} THEN 'its credits are no JSON' ELSE {fields.text('cost')} END"
    own = record((amount, _NOTHING, _NOTHING))
    credit = record(
        (
            "json_extract_string(c, '$.amount')",
            "coalesce(json_extract_string(c, '$.type'), 'credit')",
            "json_extract_string(c, '$.name')",
        )
    )
    documents = f"coalesce(json_extract({fields.document('credits')}, '$[*]'), [])"
    known = fields.text("cost", "currency", "usage_start_time")
    records = f"list_prepend({own}, list_transform({documents}, c -> {credit}))"
    return Unnest(f"CASE WHEN {known} IS NOT NULL THEN {records} END", names)


FOCUS_EXPORT = Export(
    "focus", "FOCUS", (("BilledCost",), ("BillingCurrency",), ("ChargePeriodStart",), ("ChargePeriodEnd",)), _focus
)
AWS = Export(
    "aws_cur", "an AWS cost and usage report", (("line_item_unblended_cost",), ("line_item_usage_start_date",)), _aws
)
AZURE = Export(
    "azure_cost",
    "an Azure cost export",
    (
        ("CostInBillingCurrency", "PreTaxCost", "Cost"),
        ("Date", "UsageDateTime", "UsageDate"),
        ("MeterCategory", "ConsumedService"),
    ),
    _azure,
)
AZURE_AMORTIZED = Export("azure_amortized_cost", AZURE.title, AZURE.signs, _azure_amortized)
GOOGLE = Export(
    "google_billing",
    "a Google Cloud billing export",
    (("cost",), ("currency",), ("usage_start_time",), ("service", "service.description")),
    _google,
    _google_credits,
)
EXPORTS: Sequence[Export] = (FOCUS_EXPORT, AWS, AZURE, GOOGLE)
"""Every kind of file. A table of FOCUS may have columns of its vendor besides, so it is looked for first."""
