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

{#
    Columns of a select: a line of a bill that nobody's API or file gave, in provider_cost_columns(). given: SQL by column;
    what a line of its kind does not have is NULL, and it is final, paid and of the primary profile.
#}
{% macro provider_cost_line(given) -%}
{%- set defaults = {
    'profile': "'primary'", 'grouped_by': "''", 'occurrence': '0', 'is_cash': 'true', 'is_final': 'true'
} %}
{%- set types = {
    'dimensions': llm_spend.type_json(), 'quantity': llm_spend.type_money(), 'requests': dbt.type_bigint(),
    'list_usd': llm_spend.type_money()
} %}
{%- for column in llm_spend.provider_cost_columns() %}
{{ given.get(column) or defaults.get(column) or 'cast(null as ' ~ types.get(column, dbt.type_string()) ~ ')' }} as {{ column }}
{{- ',' if not loop.last }}
{%- endfor %}
{%- endmacro %}
