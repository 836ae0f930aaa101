{#
    The quantity of one unit in other_usage, NULL when it says nothing of the unit, -1 when what it says is no number.

    map: what metadata_map(other_usage) gives. It is NULL for most requests, for which the CASE does nothing.
#}
{% macro other_quantity(map, unit) -%}
    {%- set text = llm_spend.map_value(map, "'" ~ unit ~ "'") -%}
    case
        when {{ map }} is not null
            then coalesce(
                {{ llm_spend.try_cast(text, llm_spend.type_decimal(18, 3)) }},
                case when {{ text }} is not null then -1 end
            )
    end
{%- endmacro %}
