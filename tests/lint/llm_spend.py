"""Stand-in for the package's own name: `llm_spend.macro(...)` is a call with its first argument, a type is a type."""

from typing import Any

UNITS = [
    {
        "unit": f"{name}_tokens",
        "name": name,
        "price": f"{name}_price",
        "quantity": f"{name}_tokens",
        "inside": inside,
        "parents": parents,
        "inherited": f"is_{name}_inherited",
    }
    for name, inside, parents in (("input", None, []), ("input_audio", "input", ["input"]))
]

CLASS = {"name": "output", "cost": "output_cost_usd", "buckets": UNITS}

LINE = ["billing_period", "line_id", "attempts", "original_period"]
COST_LINE = ["row_key", "provider", "billed_amount"]
BILL_SLICES = {
    "bill_by_day_model_and_class": {"span": "day", "has_model": True, "has_class": True},
    "bill_by_month": {"span": "month", "has_model": False, "has_class": False},
}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name.startswith("type_"):
        return lambda *arguments: "decimal(38, 12)"
    if name == "union_distinct":
        return lambda: "union distinct"
    if name in ("replace_by_key", "add_rows", "partition_by_date", "cluster_columns", "constant_dates", "constants"):
        return lambda *arguments: None
    if name in ("by_usage_date", "kept_by_date_in_part"):
        return lambda *arguments, **others: {}
    if name in ("is_to_build", "on_constant_dates"):
        return lambda *arguments, **others: "usage_date is not null"
    if name == "is_new_load":
        return lambda load_id="load_id": f"{load_id} is not null"
    if name == "place_hash":
        return lambda: "hash(load_id)"
    if name == "dates_to_build":
        return lambda *arguments: "select usage_date, date_version from int_usage_dates"
    if name == "version_of_every_build":
        return lambda: "'every build'"
    if name == "build_started_at":
        return lambda: "now()"
    if name == "request_key":
        return lambda: "source_record_id"
    if name == "is_billed_day":
        return lambda usage, days: f"{usage}.usage_date = {days}.usage_date"
    if name == "reconciliation_causes":
        return lambda: ["cache", "late_data"]
    if name == "price_cell_columns":
        return lambda relation, others: f"select price_id from {relation}"
    if name == "columns_of":
        return lambda relation, columns: ", ".join(f"{relation}.{column}" for column in columns)
    if name == "price_book_columns":
        return lambda: ["channel", "model_id", "input_price"]
    if name == "chargeback_line_columns":
        return lambda: LINE
    if name == "provider_cost_columns":
        return lambda: COST_LINE
    if name == "token_classes":
        return lambda: [CLASS]
    if name == "cost_columns":
        return lambda: [CLASS["cost"], "other_cost_usd"]
    if name == "other_quantities":
        return lambda: ["web_searches"]
    if name == "other_usage_quantities":
        return lambda buckets: {"inside": {count: ["web_searches"] for count in buckets}, "all": ["web_searches"]}
    if name == "bill_slices":
        return lambda: BILL_SLICES
    if name == "bill_slice_columns":
        return lambda: ["allocation_method", "slice_class"]
    if name == "bill_slice_owner":
        return lambda: ["team_id", "model_id"]
    if name == "is_called_by":
        return lambda charges, pools: f"{charges}.caller = {pools}.caller"
    if name == "shared_cost_methods":
        return lambda: {"even": "1", "headcount": "headcounts.people"}
    if name == "known_usage":
        return lambda: "select as_of, newest_to, known_to from int_known_sources"
    if name == "billing_time_zone":
        return lambda: "UTC"
    if name == "numbers":
        return lambda: "select 1 as number"
    if name == "quota_slots":
        return lambda: 2
    if name == "quota_attributes":
        return lambda: {"user": "user_id", "model": "requested_model"}
    if name == "quota_breach_columns":
        return lambda: ["rule_set", "rule_id", "limit_to", "window_start"]
    if name == "quota_subjects":
        return lambda relation: {"user": f"{relation}.user_id", "*": "'*'"}
    if name == "quota_rule_versions":
        return lambda: "select distinct * from llm_quota_rules"
    if name == "quota_match_rules":
        return lambda: "select * from llm_quota_rules"
    if name == "quota_match_rules_of":
        return lambda rules, asked: f"select * from {rules}, {asked}"
    if name == "quota_matches":
        return lambda rules, requests, contested=None: (
            f"select rule_key, request_key, quantity from {rules}, {requests}"
        )
    if name in ("quota_windows", "added_up_quota_windows"):
        return lambda windows, rules="", others=(): f"select * from {windows}" + (f", {rules}" if rules else "")
    if name == "plan_charges":
        return lambda offers, tiers, keys: f"select * from {offers}, {tiers}"
    if name == "plan_columns":
        return lambda: "plan_id"
    if name == "plan_problems":
        return lambda: "when plan_id is null then 'plan_id is empty'"
    if name == "plan_rows_differ":
        return lambda *arguments: "count(distinct plan_name) > 1"
    if name == "kpi_usage_measures":
        return lambda: ["cost_usd", "requests"]
    if name == "kpi_revenue_measures":
        return lambda: ["revenue_usd"]
    if name == "kpi_side":
        return lambda side, members, events: f"coalesce({side}, {members}.cost_usd, {events}.quantity)"
    if name == "own_lines":
        return lambda relation: f"select * from {relation}"
    if name == "restatement_lines":
        return lambda published, lines, booked_in: (
            f"select * from {lines} union all select * from {published}, {booked_in}"
        )
    if name in ("usage_units", "units_beside_tokens", "units_inside", "token_buckets"):
        return lambda *arguments: UNITS
    return lambda *arguments, **others: f"{name}({arguments[0]})"
