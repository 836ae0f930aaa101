{#
    SQL condition on files (stg_loads__files): a window that an API was asked for at least a day after its end. By then an
    answer without lines says that nothing was billed; before, that the provider had not got to it.
#}
{% macro is_asked_late_enough(files) -%}
{{ files }}.modified_at >= cast({{ dbt.dateadd('day', 1, files ~ '.window_end') }} as {{ llm_spend.type_timestamp() }})
{%- endmacro %}
