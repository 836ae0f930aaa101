{#
    SQL condition: the row came with the loads of the last day before the newest one. Tests that compare single rows
    look at those only, so that they cost what is new, not what is there; a full refresh looks at everything.

    relation: what holds the newest load (fct_llm_requests). When it is empty, everything is new.
#}
{% macro newly_loaded(relation) -%}
    {%- if flags.FULL_REFRESH -%}
        true
    {%- else -%}
        loaded_at >= (
            select coalesce({{ minutes_before('max(loaded_at)', 1440) }}, cast('1900-01-01' as {{ llm_spend.type_timestamp() }}))
            from {{ relation }}
        )
    {%- endif -%}
{%- endmacro %}
