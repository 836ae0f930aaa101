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

-- What the API of a source has besides requests: lists of members and limits, totals, feedback.
listed as (
    select
        files.source as source_system,
        files.source_instance,
        max(packages.loaded_at) as last_listed_at
    from {{ ref('stg_loads__files') }} as files
    inner join {{ ref('stg_loads__packages') }} as packages on files.load_id = packages.load_id
    where files.entity <> 'requests'
    group by files.source, files.source_instance
),

known as (
    select * from {{ ref('int_known_sources') }}
),

sources as (
    select source_system, source_instance from arrived
    {{ llm_spend.union_distinct() }}
    select source_system, source_instance from quarantined
    {{ llm_spend.union_distinct() }}
    select source_system, source_instance from listed
),

measured as (
    select
        source_system,
        source_instance,
        sum(attempts) as attempts,
        sum(case when is_of_record then 0 else attempts end) as attempts_counted_elsewhere,
        sum(case when is_of_record then attempts_without_usage else 0 end) as attempts_without_usage,
        sum(case when is_of_record then attempts_with_unreadable_metadata else 0 end)
            as attempts_with_unreadable_metadata,
        sum(case when is_of_record then attempts_of_unknown_cache_status else 0 end)
            as attempts_of_unknown_cache_status,
        sum(case when is_of_record then unpriced_requests else 0 end) as unpriced_attempts,
        sum(case when is_of_record and team_id = {{ unallocated() }} then attempts else 0 end)
            as attempts_without_team,
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
            'attempts', 'attempts_counted_elsewhere', 'attempts_without_usage', 'attempts_with_unreadable_metadata',
            'attempts_of_unknown_cache_status', 'unpriced_attempts', 'attempts_without_team'
        ] -%}
        cast(coalesce(measured.{{ column }}, 0) as {{ dbt.type_bigint() }}) as {{ column }},
        {% endfor -%}
        cast(coalesce(arrived.rows_loaded, 0) - coalesce(measured.attempts, 0) as {{ dbt.type_bigint() }})
            as duplicate_rows,
        cast(coalesce(quarantined.lines_quarantined, 0) as {{ dbt.type_bigint() }}) as lines_quarantined,
        measured.first_event_at,
        measured.last_event_at,
        measured.last_loaded_at,
        listed.last_listed_at,
        known.known_to,
        coalesce(known.is_waited_for, false) as is_waited_for
    from sources
    left join measured
        on sources.source_system = measured.source_system and sources.source_instance = measured.source_instance
    left join arrived
        on sources.source_system = arrived.source_system and sources.source_instance = arrived.source_instance
    left join quarantined
        on
            sources.source_system = quarantined.source_system
            and sources.source_instance = quarantined.source_instance
    left join known
        on sources.source_system = known.source_system and sources.source_instance = known.source_instance
    left join listed
        on sources.source_system = listed.source_system and sources.source_instance = listed.source_instance
)

select * from final
