{# Why a bill differs from what gateways estimate, as llm_reconciliation names it; `unexplained` is the rest. #}
{% macro reconciliation_causes() %}
    {{ return([
        'outside_gateway', 'tier_or_batch', 'regional_uplift', 'cache', 'unmeasured_attempts', 'gateway_prices',
        'price_changes', 'not_billed', 'charges_besides_usage', 'invoice_difference', 'late_data', 'no_bill'
    ]) }}
{% endmacro %}
