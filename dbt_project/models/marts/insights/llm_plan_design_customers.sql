{% set offer = ['billing_period', 'customer_id', 'design_id', 'plan_id'] %}

with members as (
    select * from {{ ref('llm_customer_plan_usage') }}
),

plans as (
    select * from {{ ref('stg_rules__plan_designs') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

months as (
    select distinct billing_period from members
),

designs as (
    select distinct
        design_id,
        design_name,
        assignment
    from plans
),

tiers as (
    select
        months.billing_period,
        plans.*,
        coalesce(plans.usd_per_unit, {{ usd_rate('plans.currency', 'fx_rates') }}) as usd_rate
    from months
    cross join plans
    left join fx_rates
        on {{ rate_holds('fx_rates', 'plans.currency', 'months.billing_period') }}
),

-- What the usage would be under each plan of each design.
offers as (
    select
        members.billing_period,
        members.customer_id,
        tiers.design_id,
        tiers.assignment,
        tiers.plan_id,
        tiers.plan_name,
        tiers.included_tokens,
        {{ fee_in_cents('tiers') }} as fee_cents,
        {{ tokens_above('members.used_tokens', 'tiers.included_tokens') }} as overage_tokens
    from members
    inner join tiers on members.billing_period = tiers.billing_period
    where tiers.tier_from_tokens = 0 and members.customer_id <> {{ unallocated() }}
),

charges as (
    {{ plan_charges('offers', 'tiers', offer) }}
),

-- By usage a plan is taken whatever it costs; the cheapest is one whose price is known.
ranked as (
    select
        *,
        row_number() over (
            partition by billing_period, customer_id, design_id
            order by
                case when assignment = 'by_usage' and overage_tokens > 0 then 1 else 0 end,
                case
                    when assignment <> 'by_usage' then fee_cents + overage_cents
                    when overage_tokens > 0 then -included_tokens
                    else coalesce(included_tokens, 9223372036854775807)
                end,
                plan_id
        ) as place
    from charges
    where assignment = 'by_usage' or fee_cents + overage_cents is not null
),

amounts as (
    select
        members.billing_period,
        designs.design_id,
        designs.design_name,
        designs.assignment,
        members.customer_id,
        members.customer_name,
        ranked.plan_id,
        ranked.plan_name,
        ranked.included_tokens,
        members.used_tokens,
        ranked.overage_tokens,
        ranked.fee_cents,
        ranked.overage_cents,
        ranked.fee_cents + ranked.overage_cents as revenue_cents,
        members.cost_usd,
        members.plan_id as current_plan_id,
        members.revenue_usd as current_revenue_usd,
        members.unpriced_tokens,
        members.unpriced_requests,
        members.has_unpriced_usage,
        members.currency,
        members.last_usage_date,
        members.is_whole_month
    from members
    cross join designs
    left join ranked
        on
            members.billing_period = ranked.billing_period
            and members.customer_id = ranked.customer_id
            and designs.design_id = ranked.design_id
            and ranked.place = 1
),

final as (
    select
        billing_period,
        design_id,
        design_name,
        assignment,
        customer_id,
        customer_name,
        plan_id,
        plan_name,
        included_tokens,
        used_tokens,
        overage_tokens,
        {{ whole_cents_to_usd('fee_cents') }} as fee_usd,
        {{ whole_cents_to_usd('overage_cents') }} as overage_usd,
        {{ whole_cents_to_usd('revenue_cents') }} as revenue_usd,
        cost_usd,
        cast({{ whole_cents_to_usd('revenue_cents') }} - cost_usd as {{ type_money() }}) as margin_usd,
        {{ margin_ratio('revenue_cents', 'cost_usd') }} as margin_ratio,
        current_plan_id,
        current_revenue_usd,
        cast({{ whole_cents_to_usd('revenue_cents') }} - current_revenue_usd as {{ type_decimal(38, 2) }})
            as revenue_change_usd,
        unpriced_tokens,
        unpriced_requests,
        has_unpriced_usage,
        currency,
        last_usage_date,
        is_whole_month
    from amounts
)

select * from final
