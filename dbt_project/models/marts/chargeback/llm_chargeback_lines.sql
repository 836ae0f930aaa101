{%- set key_columns = ['provider', 'cost_center_id', 'team_id', 'model_id'] -%}

with days as (
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(provider, '(unknown)') as provider,
        cost_center_id,
        team_id,
        coalesce(model_id, '(unresolved)') as model_id,
        total_tokens,
        unpriced_tokens,
        unpriced_requests,
        cost_usd,
        first_cost_basis,
        last_cost_basis
    from {{ ref('int_requests_daily') }}
),

exact as (
    select
        billing_period,
        {{ key_columns | join(',\n        ') }},
        cast(sum(total_tokens) as bigint) as quantity_tokens,
        cast(sum(unpriced_tokens) as bigint) as unpriced_tokens,
        cast(sum(unpriced_requests) as bigint) as unpriced_requests,
        sum(cost_usd) as exact_cost_usd,
        case when min(first_cost_basis) <> max(last_cost_basis) then 'mixed' else min(first_cost_basis) end
            as cost_basis
    from days
    group by billing_period, {{ key_columns | join(', ') }}
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

final as (
    select
        billing_period,
        {{ llm_spend.date_text('billing_period') }}
        {%- for column in key_columns %}
        || '|' || replace(replace({{ column }}, '%', '%25'), '|', '%7C')
        {%- endfor %} as line_id,
        case when team_id = '(unallocated)' then 'unallocated' else 'direct' end as line_type,
        cost_center_id,
        team_id,
        provider,
        model_id,
        quantity_tokens,
        cast(exact_cost_usd as {{ llm_spend.type_money() }}) as exact_cost_usd,
        {{ llm_spend.whole_cents_to_usd('amount_cents') }} as amount_usd,
        cost_basis,
        'USD' as currency,
        billing_period as original_period,
        false as is_closed,
        unpriced_tokens,
        unpriced_requests,
        unpriced_requests > 0 as has_unpriced_usage
    from cents
)

select * from final
