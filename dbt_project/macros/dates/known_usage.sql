{#
    A SELECT of one row: as_of, the last UTC date with requests, and known_to, up to when usage is known (exclusive). None
    without requests. What a log dates after its loading is a clock that is wrong, and of a day that was loaded while it
    ran the rest is not known: neither is after the newest load of requests.
#}
{% macro known_usage() -%}
    select
        dated.as_of,
        least(
            cast({{ dbt.dateadd('day', 1, 'dated.as_of') }} as {{ llm_spend.type_timestamp() }}), dated.newest_load_at
        ) as known_to
    from (
        select
            newest.loaded_at as newest_load_at,
            coalesce(
                max(case when days.usage_date <= cast(newest.loaded_at as date) then days.usage_date end),
                cast(newest.loaded_at as date)
            ) as as_of
        from {{ ref('int_requests_daily') }} as days
        cross join (select max(last_loaded_at) as loaded_at from {{ ref('int_requests_daily') }}) as newest
        group by newest.loaded_at
    ) as dated
{%- endmacro %}
