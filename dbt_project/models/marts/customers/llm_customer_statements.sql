{% set no_text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}
{% set no_number = 'cast(null as ' ~ dbt.type_bigint() ~ ')' %}
{% set no_price = 'cast(null as ' ~ type_money() ~ ')' %}
{% set no_amount = 'cast(null as ' ~ type_decimal(38, 2) ~ ')' %}

with members as (
    select * from {{ ref('llm_customer_plan_usage') }}
    where customer_id <> {{ unallocated() }}
),

plans as (
    select * from {{ ref('stg_rules__customer_plans') }}
),

models_daily as (
    select * from {{ ref('int_customer_models_daily') }}
),

tiers as (
    select
        members.billing_period,
        members.customer_id,
        members.overage_tokens,
        members.overage_usd,
        members.usd_per_unit as usd_rate,
        plans.currency,
        plans.tier_from_tokens,
        plans.tier_to_tokens,
        plans.price_per_million
    from members
    inner join plans
        on
            members.plan_id = plans.plan_id
            and members.billing_period >= plans.valid_from
            and members.billing_period < plans.valid_to
            and members.overage_tokens > plans.tier_from_tokens
),

overages as (
    select
        billing_period,
        customer_id,
        overage_usd,
        tier_from_tokens,
        {{ overage_in_tier('tiers.overage_tokens', 'tiers') }} as quantity_tokens,
        {{ in_usd('cast(price_per_million as ' ~ type_money() ~ ')', 'currency', 'usd_rate') }}
            as price_per_million_usd,
        {{ overage_in_usd('tiers.overage_tokens', 'tiers') }} as exact_usd
    from tiers
),

-- The tiers add up to the overage, which is rounded once: cents that are left go to the largest fractions of a cent.
shared as (
    select
        billing_period,
        customer_id,
        tier_from_tokens,
        quantity_tokens,
        price_per_million_usd,
        {{ floor_to_cents('exact_usd') }} as floor_cents,
        {{ round_to_cents('overage_usd') }}
        - sum({{ floor_to_cents('exact_usd') }}) over (partition by billing_period, customer_id) as cents_to_share,
        row_number() over (
            partition by billing_period, customer_id
            order by {{ cents_left('exact_usd') }} desc, tier_from_tokens
        ) as share_rank
    from overages
),

-- Without the price of one tier the overage is not known, and so is no part of it.
priced as (
    select
        *,
        case when share_rank <= cents_to_share then 1 when cents_to_share is not null then 0 end as cents_of_rest
    from shared
),

model_usage as (
    select
        {{ month_start('usage_date') }} as billing_period,
        customer_id,
        model_id,
        sum(total_tokens) as quantity_tokens
    from models_daily
    group by {{ month_start('usage_date') }}, customer_id, model_id
),

lines as (
    select
        billing_period,
        customer_id,
        1 as line_order,
        'fee' as line_type,
        {{ no_number }} as tier_from_tokens,
        {{ no_text }} as model_id,
        {{ no_number }} as quantity_tokens,
        {{ no_price }} as price_per_million_usd,
        true as is_charged,
        fee_usd as amount_usd
    from members
    where plan_id is not null
    union all
    select
        billing_period,
        customer_id,
        2 as line_order,
        'included' as line_type,
        {{ no_number }} as tier_from_tokens,
        {{ no_text }} as model_id,
        used_tokens - overage_tokens as quantity_tokens,
        {{ no_price }} as price_per_million_usd,
        false as is_charged,
        {{ no_amount }} as amount_usd
    from members
    where overage_tokens is not null
    union all
    select
        billing_period,
        customer_id,
        3 as line_order,
        'overage' as line_type,
        tier_from_tokens,
        {{ no_text }} as model_id,
        quantity_tokens,
        price_per_million_usd,
        true as is_charged,
        {{ whole_cents_to_usd('(floor_cents + cents_of_rest)') }} as amount_usd
    from priced
    union all
    select
        billing_period,
        customer_id,
        4 as line_order,
        'usage' as line_type,
        {{ no_number }} as tier_from_tokens,
        model_id,
        quantity_tokens,
        {{ no_price }} as price_per_million_usd,
        false as is_charged,
        {{ no_amount }} as amount_usd
    from model_usage
),

final as (
    select
        lines.billing_period,
        lines.customer_id,
        members.customer_name,
        members.plan_id,
        members.plan_name,
        cast(
            row_number() over (
                partition by lines.billing_period, lines.customer_id
                order by
                    lines.line_order, lines.tier_from_tokens, lines.quantity_tokens desc, lines.model_id
            ) as {{ dbt.type_bigint() }}
        ) as line_number,
        lines.line_type,
        lines.tier_from_tokens,
        lines.model_id,
        cast(lines.quantity_tokens as {{ dbt.type_bigint() }}) as quantity_tokens,
        cast(lines.price_per_million_usd as {{ type_money() }}) as price_per_million_usd,
        lines.is_charged,
        cast(lines.amount_usd as {{ type_decimal(38, 2) }}) as amount_usd,
        'USD' as currency,
        members.last_usage_date,
        members.is_whole_month
    from lines
    inner join members
        on lines.billing_period = members.billing_period and lines.customer_id = members.customer_id
)

select * from final
