{% set pair = ['source_system', 'source_instance', 'other_source_system', 'other_source_instance', 'matched_by'] %}

with pairs as (
    select
        {{ pair | join(',\n        ') }},
        sum(calls_in_common) as calls_in_common,
        sum(calls_counted_twice) as calls_counted_twice,
        sum(calls_counted_nowhere) as calls_counted_nowhere,
        sum(cost_counted_twice_usd) as cost_counted_twice_usd,
        min(usage_date) as first_usage_date,
        max(usage_date) as last_usage_date
    from {{ ref('int_source_overlaps') }}
    where calls_in_common > 0
    group by {{ pair | join(', ') }}
),

source_days as (
    select
        usage_date,
        source_system,
        source_instance,
        sum(attempts) as attempts
    from {{ ref('int_requests_daily') }}
    group by usage_date, source_system, source_instance
),

-- Of both sources what they have from the first to the last day with a call in common.
sizes as (
    select
        pairs.{{ pair | join(',\n        pairs.') }},
        sum(
            case
                when
                    source_days.source_system = pairs.source_system
                    and source_days.source_instance = pairs.source_instance
                    then source_days.attempts
                else 0
            end
        ) as attempts,
        sum(
            case
                when
                    source_days.source_system = pairs.other_source_system
                    and source_days.source_instance = pairs.other_source_instance
                    then source_days.attempts
                else 0
            end
        ) as other_attempts
    from pairs
    inner join source_days
        on pairs.first_usage_date <= source_days.usage_date and pairs.last_usage_date >= source_days.usage_date
    group by pairs.{{ pair | join(', pairs.') }}
),

final as (
    select
        pairs.{{ pair | join(',\n        pairs.') }},
        cast(pairs.calls_in_common as {{ dbt.type_bigint() }}) as calls_in_common,
        cast(pairs.calls_counted_twice as {{ dbt.type_bigint() }}) as calls_counted_twice,
        cast(pairs.calls_counted_nowhere as {{ dbt.type_bigint() }}) as calls_counted_nowhere,
        cast(pairs.cost_counted_twice_usd as {{ type_money() }}) as cost_counted_twice_usd,
        {{ whole_ratio(
            'cast(pairs.calls_counted_twice as ' ~ dbt.type_bigint() ~ ')',
            'cast(least(sizes.attempts, sizes.other_attempts) as ' ~ dbt.type_bigint() ~ ')'
        ) }} as share_counted_twice,
        pairs.calls_counted_twice = 0 and pairs.calls_counted_nowhere = 0 as is_covered,
        pairs.first_usage_date,
        pairs.last_usage_date
    from pairs
    inner join sizes
        on
            pairs.source_system = sizes.source_system
            and pairs.source_instance = sizes.source_instance
            and pairs.other_source_system = sizes.other_source_system
            and pairs.other_source_instance = sizes.other_source_instance
            and pairs.matched_by = sizes.matched_by
)

select * from final
