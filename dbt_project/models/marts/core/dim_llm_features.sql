with registered as (
    select * from {{ ref('stg_mapping__features') }}
),

usage_daily as (
    select * from {{ ref('llm_usage_daily') }}
    where feature_id <> {{ unallocated() }}
),

teams as (
    select
        feature_id,
        team_id,
        sum(total_tokens) as total_tokens,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from usage_daily
    group by feature_id, team_id
),

ranked as (
    select
        *,
        case when team_id <> {{ unallocated() }} then 1 else 0 end as is_team,
        row_number() over (partition by feature_id order by total_tokens desc, team_id) as place
    from teams
),

seen as (
    select
        feature_id,
        max(case when place = 1 then team_id end) as main_team_id,
        cast(sum(is_team) as {{ dbt.type_bigint() }}) as teams,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from ranked
    group by feature_id
),

final as (
    select
        coalesce(registered.feature_id, seen.feature_id) as feature_id,
        registered.feature_name,
        registered.description,
        registered.owner,
        seen.main_team_id,
        coalesce(seen.teams, 0) as teams,
        seen.first_seen_at,
        seen.last_seen_at,
        registered.feature_id is not null as is_registered
    from registered
    full outer join seen on registered.feature_id = seen.feature_id
)

select * from final
