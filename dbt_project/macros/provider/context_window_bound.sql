{#
    The tokens at one end of a range of context as a provider writes it: `200k-1M` is from 200000 (end 1) to 1000000
    (end 2). NULL for another text.
#}
{% macro context_window_bound(context_window, end) -%}
{%- set text = "lower(trim(" ~ dbt.split_part(context_window, "'-'", end) ~ "))" -%}
{{ llm_spend.try_cast("regexp_replace(" ~ text ~ ", '[km]$', '')", dbt.type_bigint()) }}
* case when {{ text }} like '%m' then 1000000 when {{ text }} like '%k' then 1000 else 1 end
{%- endmacro %}
