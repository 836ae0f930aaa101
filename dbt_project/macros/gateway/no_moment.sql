{# A timestamp that stands for NULL where times are compared. #}
{% macro no_moment() %}cast('1900-01-01' as {{ llm_spend.type_timestamp() }}){% endmacro %}
