with days as (
    select * from {{ ref('int_requests_daily') }}
),

arrived as (
    select
        source_system,
        source_instance,
        sum(rows_loaded) as rows_loaded
    from {{ ref('int_load_contents') }}
    where
        source_system is not null
        and load_id in (select load_id from {{ ref('int_loads') }})
    group by source_system, source_instance
),

quarantined as (
    select
        source as source_system,
        source_instance,
        count(*) as lines_quarantined
    from {{ ref('stg_loads__quarantine') }}
    where load_id in (select load_id from {{ ref('int_loads') }})
    group by source, source_instance
),

sources as (
    select source_system, source_instance from arrived
    {{ llm_spend.union_distinct() }}
    select source_system, source_instance from quarantined
),

measured as (
    select
        source_system,
        source_instance,
        sum(attempts) as attempts,
        sum(attempts_without_usage) as attempts_without_usage,
        sum(attempts_with_unreadable_metadata) as attempts_with_unreadable_metadata,
        sum(attempts_of_unknown_cache_status) as attempts_of_unknown_cache_status,
        sum(unpriced_requests) as unpriced_attempts,
        sum(case when team_id = {{ unallocated() }} then attempts else 0 end) as attempts_without_team,
        min(first_seen_at) as first_event_at,
        max(last_seen_at) as last_event_at,
        max(last_loaded_at) as last_loaded_at
    from days
    group by source_system, source_instance
),

final as (
    select
        sources.source_system,
        sources.source_instance,
        {% for column in [
            'attempts', 'attempts_without_usage', 'attempts_with_unreadable_metadata',
            'attempts_of_unknown_cache_status', 'unpriced_attempts', 'attempts_without_team'
        ] -%}
        cast(coalesce(measured.{{ column }}, 0) as {{ dbt.type_bigint() }}) as {{ column }},
        {% endfor -%}
        cast(coalesce(arrived.rows_loaded, 0) - coalesce(measured.attempts, 0) as {{ dbt.type_bigint() }})
            as duplicate_rows,
        cast(coalesce(quarantined.lines_quarantined, 0) as {{ dbt.type_bigint() }}) as lines_quarantined,
        measured.first_event_at,
        measured.last_event_at,
        measured.last_loaded_at
    from sources
    left join measured
        on sources.source_system = measured.source_system and sources.source_instance = measured.source_instance
    left join arrived
        on sources.source_system = arrived.source_system and sources.source_instance = arrived.source_instance
    left join quarantined
        on
            sources.source_system = quarantined.source_system
            and sources.source_instance = quarantined.source_instance
)

select * from final
