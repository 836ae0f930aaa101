create table llm_spend.dim_llm_customers as
with stated as (
    select
        customer_id,
        customer_name,
        plan_id,
        account_owner as account_owner,
        cast(valid_from as date) as valid_from,
        coalesce(cast(valid_to as date), date '9999-12-31') as valid_to
    from source.llm_spend_seeds.customers
),

-- Of rows that have begun the last one; of those that are to come, the first one.
listed as (
    select
        customer_id,
        coalesce(
            arg_max(stated, valid_from) filter (valid_from <= current_date), arg_min(stated, valid_from)
        ) as said
    from stated
    group by customer_id
),

seen as (
    select
        customer_id,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from llm_spend.fct_llm_requests
    where customer_id <> '(unallocated)'
    group by customer_id
)

select
    coalesce(listed.customer_id, seen.customer_id) as customer_id,
    said.customer_name,
    if(current_date between said.valid_from and said.valid_to - 1, said.plan_id, null) as plan_id,
    said.account_owner,
    seen.first_seen_at,
    seen.last_seen_at,
    listed.customer_id is not null as is_known
from listed
full join seen on listed.customer_id = seen.customer_id;

create temp table plan_tiers as
with stated as (
    select
        plan_id,
        plan_name,
        upper(currency) as plan_currency,
        cast(usd_per_unit as decimal(18, 12)) as stated_rate,
        cast(monthly_fee as decimal(38, 12)) as fee,
        cast(included_tokens as bigint) as included_tokens,
        coalesce(cast(tier_from_tokens as bigint), 0) as tier_from_tokens,
        cast(price_per_million_tokens as decimal(18, 6)) as price,
        is_offered is distinct from 'false' as is_offered,
        cast(valid_from as date) as valid_from,
        coalesce(cast(valid_to as date), date '9999-12-31') as valid_to
    from source.llm_spend_seeds.customer_plans
),

months as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        max(usage_date) as last_usage_date
    from llm_spend.fct_llm_requests
    group by all
)

select
    months.*,
    stated.*,
    coalesce(
        stated_rate,
        if(plan_currency = 'USD', cast(1 as decimal(18, 12)), null),
        (
            select any_value(cast(rates.usd_per_unit as decimal(18, 12)))
            from source.llm_spend_seeds.fx_rates as rates
            where
                rates.currency = plan_currency
                and billing_period >= cast(rates.valid_from as date)
                and billing_period < coalesce(cast(rates.valid_to as date), date '9999-12-31')
        )
    ) as usd_per_unit,
    lead(tier_from_tokens) over (
        partition by months.billing_period, plan_id
        order by tier_from_tokens
    ) as tier_to_tokens
from months
left join stated on months.billing_period >= valid_from and months.billing_period < valid_to;

create temp table customer_months as
with stated as (
    select distinct
        months.billing_period,
        customers.customer_id,
        customers.customer_name,
        customers.plan_id
    from source.llm_spend_seeds.customers as customers
    inner join plan_tiers as months
        on
            months.billing_period >= cast(customers.valid_from as date)
            and (customers.valid_to is null or months.billing_period < cast(customers.valid_to as date))
),

used as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        customer_id,
        count(*) filter (is_final_attempt) as requests,
        coalesce(cast(sum(total_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as used_tokens,
        sum(cost_usd) as cost_usd,
        coalesce(cast(sum(total_tokens) filter (cost_usd is null) as bigint), 0) as unpriced_tokens,
        count(*) filter (cost_usd is null) as unpriced_requests,
        count(*) as attempts
    from llm_spend.fct_llm_requests
    group by all
)

select
    coalesce(used.billing_period, stated.billing_period) as billing_period,
    coalesce(used.customer_id, stated.customer_id) as customer_id,
    stated.customer_name,
    stated.plan_id,
    coalesce(used.requests, 0) as requests,
    coalesce(used.used_tokens, 0) as used_tokens,
    if(used.attempts is null, 0, used.cost_usd) as cost_usd,
    coalesce(used.unpriced_tokens, 0) as unpriced_tokens,
    coalesce(used.unpriced_requests, 0) as unpriced_requests
from used
full join stated using (billing_period, customer_id)
where used.attempts is not null or stated.plan_id is not null;

-- One row per customer, month, plan that it has or could have, and tier of the plan.
create temp table tier_charges as
with tokens as (
    select
        customers.billing_period,
        customers.customer_id,
        tiers.plan_id,
        tiers.plan_name,
        tiers.plan_currency,
        tiers.usd_per_unit,
        tiers.included_tokens,
        tiers.fee,
        tiers.price,
        tiers.tier_from_tokens,
        coalesce(customers.plan_id = tiers.plan_id, false) as is_own,
        greatest(used_tokens - coalesce(included_tokens, used_tokens), 0) as overage_tokens,
        least(overage_tokens, coalesce(tier_to_tokens, overage_tokens)) - tier_from_tokens as tier_tokens
    from customer_months as customers
    inner join plan_tiers as tiers on customers.billing_period = tiers.billing_period and tiers.plan_id is not null
    where customers.customer_id <> '(unallocated)' and (tiers.is_offered or customers.plan_id = tiers.plan_id)
)

select
    * replace (greatest(tier_tokens, 0) as tier_tokens),
    if(
        tier_tokens > 0,
        cast(round(tier_tokens * (price * cast('0.000001' as decimal(6, 6))) * usd_per_unit, 12) as decimal(38, 12)),
        0
    ) as tier_usd
from tokens;

create temp table plan_charges as
select
    *,
    fee_cents + overage_cents as total_cents
from (
    select
        billing_period,
        customer_id,
        plan_id,
        plan_name,
        plan_currency,
        usd_per_unit,
        included_tokens,
        is_own,
        overage_tokens,
        cast(round(fee * usd_per_unit * 100, 0) as bigint) as fee_cents,
        if(count(*) > count(tier_usd), null, cast(round(sum(tier_usd) * 100, 0) as bigint)) as overage_cents
    from tier_charges
    group by all
);

create table llm_spend.llm_customer_plan_usage as
with cheapest as (
    select
        billing_period,
        customer_id,
        arg_min(plan_id, (total_cents, not is_own, plan_id)) as plan_id,
        min(total_cents) as total_cents
    from plan_charges
    where total_cents is not null
    group by all
),

usd as (
    select
        *,
        cast(fee_cents * cast('0.01' as decimal(3, 2)) as decimal(38, 2)) as fee_usd,
        cast(overage_cents * cast('0.01' as decimal(3, 2)) as decimal(38, 2)) as overage_usd,
        cast(total_cents * cast('0.01' as decimal(3, 2)) as decimal(38, 2)) as revenue_usd
    from plan_charges
    where is_own
),

complete as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        max(usage_date) as last_usage_date,
        -- The log was loaded after its last day.
        max(max(usage_date)) over () >= last_day(max(usage_date)) as is_whole_month
    from llm_spend.fct_llm_requests
    group by all
)

select
    customers.billing_period,
    customers.customer_id,
    customers.customer_name,
    customers.plan_id,
    usd.plan_name,
    usd.plan_currency,
    usd.usd_per_unit,
    usd.included_tokens,
    customers.requests,
    customers.used_tokens,
    whole_ratio(customers.used_tokens, usd.included_tokens) as used_ratio,
    usd.overage_tokens,
    usd.fee_usd,
    usd.overage_usd,
    usd.revenue_usd,
    cast(customers.cost_usd as decimal(38, 12)) as cost_usd,
    customers.unpriced_tokens,
    customers.unpriced_requests,
    customers.unpriced_requests > 0 as has_unpriced_usage,
    cast(usd.revenue_usd - customers.cost_usd as decimal(38, 12)) as margin_usd,
    sign(usd.revenue_usd - customers.cost_usd) * whole_ratio(
        cast(abs(usd.revenue_usd - customers.cost_usd) * 1000000 as bigint),
        cast(usd.revenue_usd * 1000000 as bigint)
    ) as margin_ratio,
    cheapest.plan_id as recommended_plan,
    cast((usd.total_cents - cheapest.total_cents) * cast('0.01' as decimal(3, 2)) as decimal(38, 2))
        as recommended_saving_usd,
    'USD' as currency,
    complete.last_usage_date,
    complete.is_whole_month
from customer_months as customers
inner join complete using (billing_period)
left join usd using (billing_period, customer_id)
left join cheapest using (billing_period, customer_id);

create table llm_spend.llm_customer_statements as
with tiers as (
    select
        *,
        cast(floor(tier_usd * 100) as bigint) as cents,
        overage_cents - sum(cents) over (partition by billing_period, customer_id) as cents_left,
        row_number() over (
            partition by billing_period, customer_id
            order by tier_usd * 100 - floor(tier_usd * 100) desc, tier_from_tokens
        ) as place
    from tier_charges
    inner join plan_charges using (billing_period, customer_id, plan_id, is_own, overage_tokens)
    where is_own and tier_tokens > 0
),

lines as (
    select
        billing_period,
        customer_id,
        1 as place,
        'fee' as line_type,
        cast(null as bigint) as tier_from_tokens,
        cast(null as varchar) as model_id,
        cast(null as bigint) as quantity_tokens,
        cast(null as decimal(38, 12)) as price_per_million_usd,
        fee_usd as amount_usd
    from llm_spend.llm_customer_plan_usage
    where plan_id is not null and customer_id <> '(unallocated)'
    union all by name
    select
        billing_period,
        customer_id,
        2 as place,
        'included' as line_type,
        used_tokens - overage_tokens as quantity_tokens
    from llm_spend.llm_customer_plan_usage
    where overage_tokens is not null
    union all by name
    select
        billing_period,
        customer_id,
        3 as place,
        'overage' as line_type,
        tier_from_tokens,
        tier_tokens as quantity_tokens,
        cast(price * usd_per_unit as decimal(38, 12)) as price_per_million_usd,
        if(
            overage_cents is null,
            null,
            cast((cents + if(place <= cents_left, 1, 0)) * cast('0.01' as decimal(3, 2)) as decimal(38, 2))
        ) as amount_usd
    from tiers
    union all by name
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        customer_id,
        4 as place,
        'usage' as line_type,
        coalesce(model_id, '(unresolved)') as model_id,
        cast(sum(total_tokens) as bigint) as quantity_tokens
    from llm_spend.fct_llm_requests
    where is_gateway_cache_hit is not true and total_tokens > 0 and customer_id <> '(unallocated)'
    group by all
)

select
    lines.billing_period,
    lines.customer_id,
    months.customer_name,
    months.plan_id,
    months.plan_name,
    row_number() over (
        partition by lines.billing_period, lines.customer_id
        order by lines.place, lines.tier_from_tokens, lines.quantity_tokens desc, lines.model_id
    ) as line_number,
    lines.line_type,
    lines.tier_from_tokens,
    lines.model_id,
    lines.quantity_tokens,
    lines.price_per_million_usd,
    lines.line_type in ('fee', 'overage') as is_charged,
    cast(lines.amount_usd as decimal(38, 2)) as amount_usd,
    'USD' as currency,
    months.last_usage_date,
    months.is_whole_month
from lines
inner join llm_spend.llm_customer_plan_usage as months using (billing_period, customer_id);
