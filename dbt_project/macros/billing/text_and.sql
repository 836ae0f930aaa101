{# A text, a whole number and a full stop; or an empty text. #}
{% macro text_and(text, number, is_left_out_at_0=false) -%}
{%- set sentence = dbt.concat([text, 'cast(' ~ number ~ ' as ' ~ dbt.type_string() ~ ')', "'.'"]) -%}
{%- if is_left_out_at_0 -%}
case when {{ number }} > 0 then {{ sentence }} else '' end
{%- else -%}
{{ sentence }}
{%- endif -%}
{%- endmacro %}
