{#
    The columns in which bills of all kinds are put under each other: what APIs and files say, invoices and seats. Times
    and money are typed; billed_amount and list_amount are in billing_currency. row_key names the line.
#}
{% macro provider_cost_columns() %}
    {{ return([
        'row_key', 'source_system', 'source_instance', 'provider', 'profile', 'grouped_by', 'bucket_start', 'bucket_end',
        'project_id', 'api_key_id', 'user_id', 'customer_id', 'raw_model', 'service_tier', 'region', 'context_window',
        'dimensions', 'occurrence', 'line_item', 'cost_type', 'token_type', 'charge_category', 'quantity', 'quantity_unit',
        'requests', 'billed_amount', 'billing_currency', 'usd_per_unit', 'billed_usd', 'list_usd', 'is_cash', 'origin',
        'is_final', 'asked_at', 'load_id', 'team_id', 'cost_center_id'
    ]) }}
{% endmacro %}
