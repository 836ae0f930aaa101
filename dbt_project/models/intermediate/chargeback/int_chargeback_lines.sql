{% set key_columns = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}

with days as (
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
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

-- Of models in closed months whose prices are others today.
restated_days as (
    select
        *,
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(provider, '(unknown)') as known_provider
    from {{ ref('int_restated_daily') }}
    where attempts is not null
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

floored as (
    select
        exact.*,
        {{ llm_spend.floor_to_cents('exact_cost_usd') }} as floor_cents,
        coalesce({{ llm_spend.cents_left('exact_cost_usd') }}, 0) as fraction_of_cent
    from exact
),

-- The month of one provider is rounded once; its lines share the cents that their floors leave.
provider_months as (
    select
        billing_period,
        provider,
        {{ llm_spend.round_to_cents('sum(exact_cost_usd)') }} - cast(sum(floor_cents) as bigint) as cents_to_share
    from floored
    group by billing_period, provider
),

ranked as (
    select
        floored.*,
        row_number() over (
            partition by billing_period, provider
            order by fraction_of_cent desc, cost_center_id, team_id, model_id
        ) as share_rank
    from floored
),

-- Fewer cents are left than lines have a fraction, so a line with no fraction (or no cost) never gets one.
cents as (
    select
        ranked.*,
        ranked.floor_cents + case when ranked.share_rank <= provider_months.cents_to_share then 1 else 0 end
            as amount_cents
    from ranked
    inner join provider_months
        on
            ranked.billing_period = provider_months.billing_period
            and ranked.provider = provider_months.provider
),

recosted as (
    select
        cents.*,
        coalesce(cents.exact_cost_usd, 0) - coalesce(restated.cost_usd, 0) + coalesce(restated.restated_cost_usd, 0)
            as restated_usd,
        cast(cents.unpriced_requests + coalesce(restated.unpriced_requests_more, 0) as {{ dbt.type_bigint() }})
            as restated_unpriced_requests,
        cast(cents.unpriced_tokens + coalesce(restated.unpriced_tokens_more, 0) as {{ dbt.type_bigint() }})
            as restated_unpriced_tokens
    from cents
    left join restated
        on
            cents.billing_period = restated.billing_period
            and cents.provider = restated.provider
            and cents.cost_center_id = restated.cost_center_id
            and cents.team_id = restated.team_id
            and cents.model_id = restated.model_id
),

final as (
    select
        billing_period,
        {{ llm_spend.chargeback_line_id('billing_period', key_columns) }} as line_id,
        case when team_id = {{ unallocated() }} then 'unallocated' else 'direct' end as line_type,
        cost_center_id,
        team_id,
        provider,
        model_id,
        attempts,
        quantity_tokens,
        cast(exact_cost_usd as {{ llm_spend.type_money() }}) as exact_cost_usd,
        {{ llm_spend.whole_cents_to_usd('amount_cents') }} as amount_usd,
        cost_basis,
        unpriced_tokens,
        unpriced_requests,
        cast(case when restated_unpriced_requests < attempts then restated_usd end as {{ llm_spend.type_money() }})
            as restated_cost_usd,
        restated_unpriced_tokens,
        restated_unpriced_requests
    from recosted
)

select * from final
