{# Money as text in whole cents, `12.30`: a cast drops zeros on one warehouse and not on the other. #}
{% macro usd_text(amount) -%}
{%- set cents = llm_spend.round_to_cents('abs(' ~ amount ~ ')') -%}
{{ dbt.concat([
    'cast(cast((' ~ cents ~ ' - mod(' ~ cents ~ ', 100)) / 100 as ' ~ dbt.type_bigint() ~ ') as ' ~ dbt.type_string() ~ ')',
    "'.'",
    'substr(cast(100 + mod(' ~ cents ~ ', 100) as ' ~ dbt.type_string() ~ '), 2)',
    "' USD'"
]) }}
{%- endmacro %}

{# A ratio as text in whole percent, `62 %`. #}
{% macro percent_text(ratio) -%}
{{ dbt.concat([llm_spend.count_text('round(' ~ ratio ~ ' * 100, 0)'), "' %'"]) }}
{%- endmacro %}

{# A whole number as text. #}
{% macro count_text(number) %}cast(cast({{ number }} as {{ dbt.type_bigint() }}) as {{ dbt.type_string() }}){% endmacro %}

{# A member as text, `team growth`; of a name as long as a hash the beginning. #}
{% macro member_text(member_type, member_id) -%}
{{ dbt.concat([
    "case " ~ member_type ~ " when 'total' then 'all usage' when 'api_key' then 'API key ' else "
    ~ dbt.concat([member_type, "' '"]) ~ " end",
    "case when " ~ member_type ~ " = 'total' then '' when length(" ~ member_id ~ ") > 48 then "
    ~ dbt.concat(["substr(" ~ member_id ~ ", 1, 12)", "'...'"]) ~ " else " ~ member_id ~ " end"
]) }}
{%- endmacro %}

{# A text as the beginning of a sentence. #}
{% macro capitalized(text) %}{{ dbt.concat(['upper(substr(' ~ text ~ ', 1, 1))', 'substr(' ~ text ~ ', 2)']) }}{% endmacro %}
