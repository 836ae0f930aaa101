{% set key_columns = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}

with costs as (
    select * from {{ ref('int_cost_lines') }}
),

-- What several shared costs give or take by one method is one line.
shares as (
    select
        billing_period,
        provider,
        cost_center_id,
        team_id,
        allocation_method,
        sum(exact_cost_usd) as exact_cost_usd,
        max(case when exact_cost_usd is null then 1 else 0 end) = 1 as has_unknown_share
    from {{ ref('int_shared_costs') }}
    group by billing_period, provider, cost_center_id, team_id, allocation_method
),

lines as (
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
        false as has_unknown_share,
        restated_cost_usd,
        restated_unpriced_tokens,
        restated_unpriced_requests
    from costs
    union all
    select
        billing_period,
        provider,
        cost_center_id,
        team_id,
        '(none)' as model_id,
        'shared' as line_type,
        allocation_method,
        0 as attempts,
        0 as quantity_tokens,
        0 as unpriced_tokens,
        0 as unpriced_requests,
        exact_cost_usd,
        'shared' as cost_basis,
        has_unknown_share,
        exact_cost_usd as restated_cost_usd,
        0 as restated_unpriced_tokens,
        0 as restated_unpriced_requests
    from shares
),

floored as (
    select
        lines.*,
        {{ llm_spend.floor_to_cents('exact_cost_usd') }} as floor_cents,
        coalesce({{ llm_spend.cents_left('exact_cost_usd') }}, 0) as fraction_of_cent
    from lines
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
            order by fraction_of_cent desc, cost_center_id, team_id, model_id, line_type, allocation_method
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

final as (
    select
        billing_period,
        {{ llm_spend.chargeback_line_id('billing_period', key_columns) }}
        || case when allocation_method = 'own_usage' then '' else '|' || line_type || '|' || allocation_method end
            as line_id,
        line_type,
        allocation_method,
        {{ key_columns | join(',\n        ') }},
        attempts,
        quantity_tokens,
        cast(exact_cost_usd as {{ llm_spend.type_money() }}) as exact_cost_usd,
        {{ llm_spend.whole_cents_to_usd('amount_cents') }} as amount_usd,
        cost_basis,
        unpriced_tokens,
        unpriced_requests,
        has_unknown_share,
        cast(restated_cost_usd as {{ llm_spend.type_money() }}) as restated_cost_usd,
        restated_unpriced_tokens,
        restated_unpriced_requests
    from cents
)

select * from final
