with usage_daily as (
    select * from {{ ref('llm_usage_by_customer_daily') }}
),

customers as (
    select * from {{ ref('stg_rules__customers') }}
),

plans as (
    select * from {{ ref('stg_rules__customer_plans') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

known as (
    {{ llm_spend.known_usage() }}
),

-- A month without requests of anybody is one that nothing is known of, not one in which all customers rested.
months as (
    select
        {{ month_start('usage_daily.usage_date') }} as billing_period,
        max(usage_daily.usage_date) as last_usage_date,
        max(known.known_to) as known_to
    from usage_daily
    cross join known
    group by {{ month_start('usage_daily.usage_date') }}
),

used as (
    select
        {{ month_start('usage_date') }} as billing_period,
        customer_id,
        cast(sum(requests) as {{ dbt.type_bigint() }}) as requests,
        cast(sum(total_tokens) as {{ dbt.type_bigint() }}) as used_tokens,
        sum(cost_usd) as cost_usd,
        cast(sum(unpriced_requests) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(sum(unpriced_tokens) as {{ dbt.type_bigint() }}) as unpriced_tokens
    from usage_daily
    group by {{ month_start('usage_date') }}, customer_id
),

named as (
    select
        months.billing_period,
        customers.customer_id,
        customers.customer_name,
        customers.plan_id
    from months
    inner join customers
        on months.billing_period >= customers.valid_from and months.billing_period < customers.valid_to
),

members as (
    select
        coalesce(used.billing_period, named.billing_period) as billing_period,
        coalesce(used.customer_id, named.customer_id) as customer_id,
        named.customer_name,
        named.plan_id,
        coalesce(used.requests, 0) as requests,
        coalesce(used.used_tokens, 0) as used_tokens,
        -- Who used nothing cost nothing; of who did, the cost may not be known.
        case when used.customer_id is null then 0 else used.cost_usd end as cost_usd,
        coalesce(used.unpriced_requests, 0) as unpriced_requests,
        coalesce(used.unpriced_tokens, 0) as unpriced_tokens
    from used
    full outer join named
        on used.billing_period = named.billing_period and used.customer_id = named.customer_id
    where used.customer_id is not null or named.plan_id is not null
),

tiers as (
    select
        months.billing_period,
        plans.plan_id,
        plans.plan_name,
        plans.monthly_fee,
        plans.currency,
        plans.included_tokens,
        plans.tier_from_tokens,
        plans.tier_to_tokens,
        plans.price_per_million,
        plans.is_offered,
        coalesce(plans.usd_per_unit, {{ usd_rate('plans.currency', 'fx_rates') }}) as usd_rate
    from months
    inner join plans
        on months.billing_period >= plans.valid_from and months.billing_period < plans.valid_to
    left join fx_rates
        on {{ rate_holds('fx_rates', 'plans.currency', 'months.billing_period') }}
),

-- What the usage would be under each plan that the customer has or could have.
offers as (
    select
        members.billing_period,
        members.customer_id,
        tiers.plan_id,
        tiers.plan_name,
        tiers.currency,
        tiers.usd_rate,
        tiers.included_tokens,
        {{ fee_in_cents('tiers') }} as fee_cents,
        {{ tokens_above('members.used_tokens', 'tiers.included_tokens') }} as overage_tokens,
        coalesce(members.plan_id = tiers.plan_id, false) as is_own
    from members
    inner join tiers on members.billing_period = tiers.billing_period
    where
        tiers.tier_from_tokens = 0
        and members.customer_id <> {{ unallocated() }}
        and (tiers.is_offered or members.plan_id = tiers.plan_id)
),

charges as (
    {{ plan_charges('offers', 'tiers', ['billing_period', 'customer_id', 'plan_id']) }}
),

ranked as (
    select
        billing_period,
        customer_id,
        plan_id,
        fee_cents + overage_cents as total_cents,
        row_number() over (
            partition by billing_period, customer_id
            order by fee_cents + overage_cents, case when is_own then 0 else 1 end, plan_id
        ) as place
    from charges
    where fee_cents + overage_cents is not null
),

amounts as (
    select
        members.billing_period,
        members.customer_id,
        members.customer_name,
        members.plan_id,
        charges.plan_name,
        charges.currency as plan_currency,
        charges.usd_rate as usd_per_unit,
        charges.included_tokens,
        members.requests,
        members.used_tokens,
        charges.overage_tokens,
        charges.fee_cents,
        charges.overage_cents,
        charges.fee_cents + charges.overage_cents as revenue_cents,
        members.cost_usd,
        members.unpriced_tokens,
        members.unpriced_requests,
        best.plan_id as recommended_plan,
        charges.fee_cents + charges.overage_cents - best.total_cents as saving_cents,
        months.last_usage_date,
        months.known_to >= cast({{ dbt.dateadd('month', 1, 'months.billing_period') }} as {{ type_timestamp() }})
            as is_whole_month
    from members
    inner join months on members.billing_period = months.billing_period
    left join charges
        on
            members.billing_period = charges.billing_period
            and members.customer_id = charges.customer_id
            and charges.is_own
    left join ranked as best
        on
            members.billing_period = best.billing_period
            and members.customer_id = best.customer_id
            and best.place = 1
),

final as (
    select
        billing_period,
        customer_id,
        customer_name,
        plan_id,
        plan_name,
        plan_currency,
        cast(usd_per_unit as {{ type_decimal(18, 12) }}) as usd_per_unit,
        included_tokens,
        requests,
        used_tokens,
        {{ whole_ratio('used_tokens', 'included_tokens') }} as used_ratio,
        overage_tokens,
        {{ whole_cents_to_usd('fee_cents') }} as fee_usd,
        {{ whole_cents_to_usd('overage_cents') }} as overage_usd,
        {{ whole_cents_to_usd('revenue_cents') }} as revenue_usd,
        cast(cost_usd as {{ type_money() }}) as cost_usd,
        unpriced_tokens,
        unpriced_requests,
        unpriced_requests > 0 as has_unpriced_usage,
        cast({{ whole_cents_to_usd('revenue_cents') }} - cost_usd as {{ type_money() }}) as margin_usd,
        {{ margin_ratio('revenue_cents', 'cost_usd') }} as margin_ratio,
        recommended_plan,
        {{ whole_cents_to_usd('saving_cents') }} as recommended_saving_usd,
        'USD' as currency,
        last_usage_date,
        is_whole_month
    from amounts
)

select * from final
