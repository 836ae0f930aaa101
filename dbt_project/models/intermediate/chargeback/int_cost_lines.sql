{% set key_columns = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}

with days as (
    select
        billing_period,
        coalesce(provider, '(unknown)') as provider,
        cost_center_id,
        team_id,
        coalesce(model_id, '(unresolved)') as model_id,
        attempts,
        total_tokens,
        unpriced_tokens,
        unpriced_requests,
        cost_usd,
        first_cost_basis,
        last_cost_basis
    from {{ ref('int_requests_daily') }}
    where is_of_record
),

exact as (
    select
        billing_period,
        {{ key_columns | join(',\n        ') }},
        cast(sum(attempts) as {{ dbt.type_bigint() }}) as attempts,
        cast(sum(total_tokens) as {{ dbt.type_bigint() }}) as quantity_tokens,
        cast(sum(unpriced_tokens) as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(sum(unpriced_requests) as {{ dbt.type_bigint() }}) as unpriced_requests,
        sum(cost_usd) as exact_cost_usd,
        case when min(first_cost_basis) <> max(last_cost_basis) then 'mixed' else min(first_cost_basis) end
            as cost_basis
    from days
    group by billing_period, {{ key_columns | join(', ') }}
),

-- Of models in closed months whose prices are others today. Where a bill covers the day, it says what the usage costs.
restated_days as (
    select
        restated_daily.*,
        coalesce(restated_daily.provider, '(unknown)') as known_provider
    from {{ ref('int_restated_daily') }} as restated_daily
    left join {{ ref('int_billed_days') }} as billed_days
        on {{ llm_spend.is_billed_day('restated_daily', 'billed_days') }}
    where restated_daily.attempts is not null and billed_days.usage_date is null
),

restated as (
    select
        billing_period,
        known_provider as provider,
        cost_center_id,
        team_id,
        model_id,
        coalesce(sum(cost_usd), 0) as cost_usd,
        coalesce(sum(restated_cost_usd), 0) as restated_cost_usd,
        sum(restated_unpriced_requests) - sum(unpriced_requests) as unpriced_requests_more,
        sum(restated_unpriced_tokens) - sum(unpriced_tokens) as unpriced_tokens_more
    from restated_days
    group by billing_period, known_provider, cost_center_id, team_id, model_id
),

recosted as (
    select
        exact.*,
        case when exact.team_id = {{ unallocated() }} then 'unallocated' else 'direct' end as line_type,
        'own_usage' as allocation_method,
        coalesce(exact.exact_cost_usd, 0) - coalesce(restated.cost_usd, 0) + coalesce(restated.restated_cost_usd, 0)
            as restated_usd,
        cast(exact.unpriced_requests + coalesce(restated.unpriced_requests_more, 0) as {{ dbt.type_bigint() }})
            as restated_unpriced_requests,
        cast(exact.unpriced_tokens + coalesce(restated.unpriced_tokens_more, 0) as {{ dbt.type_bigint() }})
            as restated_unpriced_tokens
    from exact
    left join restated
        on
            exact.billing_period = restated.billing_period
            and exact.provider = restated.provider
            and exact.cost_center_id = restated.cost_center_id
            and exact.team_id = restated.team_id
            and exact.model_id = restated.model_id
),

-- What the bill says beside them. It has no usage of its own: that is in the lines that it corrects.
final as (
    select
        billing_period,
        {{ key_columns | join(',\n        ') }},
        line_type,
        allocation_method,
        attempts,
        quantity_tokens,
        unpriced_tokens,
        unpriced_requests,
        exact_cost_usd,
        cost_basis,
        case when restated_unpriced_requests < attempts then restated_usd end as restated_cost_usd,
        restated_unpriced_tokens,
        restated_unpriced_requests
    from recosted
    union all
    select
        billing_period,
        {{ key_columns | join(',\n        ') }},
        line_type,
        allocation_method,
        0 as attempts,
        0 as quantity_tokens,
        0 as unpriced_tokens,
        0 as unpriced_requests,
        exact_cost_usd,
        'bill' as cost_basis,
        exact_cost_usd as restated_cost_usd,
        0 as restated_unpriced_tokens,
        0 as restated_unpriced_requests
    from {{ ref('int_true_up_lines') }}
)

select * from final
