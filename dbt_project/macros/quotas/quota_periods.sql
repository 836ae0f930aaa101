{# When a day begins, as a UTC timestamp; time_zone: SQL, NULL for UTC. #}
{% macro quota_midnight(day, time_zone) -%}
case
    when {{ time_zone }} is null then cast({{ day }} as {{ llm_spend.type_timestamp() }})
    else {{ llm_spend.local_midnight(day, time_zone) }}
end
{%- endmacro %}

{# The day on which a timestamp is in the zone of the rule. usage_date: its UTC date. #}
{% macro quota_day(timestamp, usage_date, time_zone) -%}
case when {{ time_zone }} is null then {{ usage_date }} else {{ llm_spend.local_date(timestamp, time_zone) }} end
{%- endmacro %}

{# The first day of the window that a day is in; rules: the relation with the columns of the rule. #}
{% macro quota_first_day(day, rules) -%}
    {%- set days = "mod(" ~ dbt.datediff(rules ~ '.valid_from', day, 'day') ~ ", " ~ rules ~ ".window_days)" -%}
case {{ rules }}.window_unit
    when 'day' then {{ day }}
    when 'week' then cast({{ dbt.dateadd('day', '(1 - ' ~ llm_spend.iso_weekday(day) ~ ')', day) }} as date)
    when 'month' then cast({{ dbt.date_trunc('month', day) }} as date)
    when 'quarter' then cast({{ dbt.date_trunc('quarter', day) }} as date)
    when 'lifetime' then {{ rules }}.valid_from
    else cast({{ dbt.dateadd('day', '(0 - ' ~ days ~ ')', day) }} as date)
end
{%- endmacro %}

{# The first day of the next window; NULL when there is none. #}
{% macro quota_next_first_day(first_day, rules) -%}
case {{ rules }}.window_unit
    {%- for unit, step in {'day': ('day', 1), 'week': ('day', 7), 'month': ('month', 1), 'quarter': ('month', 3)}.items() %}
    when '{{ unit }}' then cast({{ dbt.dateadd(step[0], step[1], first_day) }} as date)
    {%- endfor %}
    when 'lifetime' then {{ rules }}.valid_to
    else cast({{ dbt.dateadd('day', rules ~ '.window_days', first_day) }} as date)
end
{%- endmacro %}
