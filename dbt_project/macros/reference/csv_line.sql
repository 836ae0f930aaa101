{# Columns as one line of a CSV file: those that hold a comma or a quote are quoted, those that are NULL empty. #}
{% macro csv_line(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- if not loop.first -%}{%- do parts.append("','") -%}{%- endif -%}
        {%- if column.startswith("'") -%}
            {%- do parts.append(column) -%}
        {%- else -%}
            {%- do parts.append(csv_field(column)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ dbt.concat(parts) }}
{%- endmacro %}

{% macro csv_field(column) -%}
case
    when {{ dbt.position("','", column) }} > 0 or {{ dbt.position("'\"'", column) }} > 0
        then {{ dbt.concat(["'\"'", "replace(" ~ column ~ ", '\"', '\"\"')", "'\"'"]) }}
    else coalesce({{ column }}, '')
end
{%- endmacro %}

{# A line of price_overrides.csv for what is to be priced since it was first seen; what only people know is FILL_IN. #}
{% macro override_line(model, usage_unit, unit_size) -%}
{{ llm_spend.csv_line([
    dbt.concat(["'override-'", "coalesce(" ~ model ~ ", '')", "'-'", usage_unit]),
    'provider',
    "coalesce(channel, 'FILL_IN')",
    model,
    usage_unit,
    unit_size,
    "'FILL_IN'",
    "'USD'", "'-1'", "'standard'", "'*'", "''", "''", "''", "''",
    llm_spend.date_text('cast(first_seen_at as date)'),
    "''", "'documented'", "'override'", "'1'", "'FILL_IN'", "'FILL_IN'"
]) }}
{%- endmacro %}
