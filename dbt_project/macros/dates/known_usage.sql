{#
    A SELECT of one row: as_of, the last UTC date with requests; newest_to, up to when usage is known by the source that
    was loaded last; known_to, up to when by every source that is waited for. Both are exclusive. None without requests.

    What a log dates after its loading is a clock that is wrong, and of a day that was loaded while it ran the rest is not
    known: neither is after the newest load of requests. Sources are not loaded in the same minute: one that is known to
    the same day as the newest is not late, and where one is late, its days count as a whole.
#}
{% macro known_usage() -%}
    select
        dated.as_of,
        dated.newest_to,
        case
            when dated.slowest_date < cast(dated.newest_to as date)
                then cast(dated.slowest_date as {{ llm_spend.type_timestamp() }})
            else dated.newest_to
        end as known_to
    from (
        select
            loaded.as_of,
            loaded.slowest_date,
            least(
                cast({{ dbt.dateadd('day', 1, 'loaded.as_of') }} as {{ llm_spend.type_timestamp() }}),
                loaded.newest_load_at
            ) as newest_to
        from (
            select
                coalesce(max(last_usage_date), cast(max(last_loaded_at) as date)) as as_of,
                max(last_loaded_at) as newest_load_at,
                min(case when is_waited_for then cast(known_to as date) end) as slowest_date
            from {{ ref('int_known_sources') }}
        ) as loaded
        where loaded.newest_load_at is not null
    ) as dated
{%- endmacro %}
