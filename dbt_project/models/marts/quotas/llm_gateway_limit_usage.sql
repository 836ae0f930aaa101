with counters as (
    select * from {{ ref('stg_gateway__limit_usage') }}
    where load_id in (select load_id from {{ ref('int_loads') }})
),

judged as (
    select
        *,
        coalesce(status in ('exhausted', 'exceeded', 'blocked', 'breached'), false)
        or coalesce(used_value >= limit_value and limit_value > 0, false) as is_exhausted
    from counters
),

periods as (
    select
        source_system,
        source_instance,
        limit_id,
        entity,
        period_start,
        period_end,
        min(observed_at) as first_observed_at,
        min(case when is_exhausted then observed_at end) as first_exhausted_at
    from judged
    group by source_system, source_instance, limit_id, entity, period_start, period_end
),

ranked as (
    select
        *,
        row_number() over (
            partition by source_system, source_instance, limit_id, entity, period_start, period_end
            order by
                load_id desc, observed_at desc, coalesce(used_value, -1) desc, coalesce(limit_value, -1) desc,
                coalesce(status, '')
        ) as choice
    from judged
),

final as (
    select
        ranked.source_system,
        ranked.source_instance,
        ranked.limit_id,
        ranked.entity,
        ranked.period_start,
        ranked.period_end,
        cast(ranked.used_value as {{ type_money() }}) as used_value,
        ranked.used_unit,
        ranked.limit_value,
        {{ whole_ratio(
            'cast(ranked.used_value * 10000 as ' ~ dbt.type_bigint() ~ ')',
            'cast(ranked.limit_value * 10000 as ' ~ dbt.type_bigint() ~ ')'
        ) }} as used_ratio,
        ranked.status,
        ranked.is_exhausted,
        periods.first_exhausted_at,
        periods.first_observed_at,
        ranked.observed_at as last_observed_at
    from ranked
    inner join periods
        on
            ranked.source_system = periods.source_system
            and ranked.source_instance = periods.source_instance
            and ranked.limit_id = periods.limit_id
            and coalesce(ranked.entity, '') = coalesce(periods.entity, '')
            and coalesce(ranked.period_start, {{ no_moment() }}) = coalesce(periods.period_start, {{ no_moment() }})
            and coalesce(ranked.period_end, {{ no_moment() }}) = coalesce(periods.period_end, {{ no_moment() }})
    where ranked.choice = 1
)

select * from final
