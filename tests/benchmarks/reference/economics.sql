-- A quotient with 12 decimals, rounded half-up.
create macro exact_ratio(part, whole) as case
    when whole > 0
        then cast(
            sign(part) * (
                (cast(abs(part) * 1000000000000 as hugeint) * 2000000000000 + cast(whole * 1000000000000 as hugeint))
                // (cast(whole * 1000000000000 as hugeint) * 2)
            ) * cast('0.000000000001' as decimal(13, 12)) as decimal(38, 12)
        )
end;

create table llm_spend.dim_llm_features as
with used as (
    select
        feature_id,
        team_id,
        coalesce(sum(total_tokens) filter (is_gateway_cache_hit is not true), 0) as tokens,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from llm_spend.fct_llm_requests
    where feature_id <> '(unallocated)'
    group by all
),

seen as (
    select
        feature_id,
        arg_min(team_id, (-tokens, team_id)) as main_team_id,
        count(*) filter (team_id <> '(unallocated)') as teams,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from used
    group by feature_id
)

select
    feature_id,
    registered.feature_name,
    registered.description,
    registered."owner",
    seen.main_team_id,
    coalesce(seen.teams, 0) as teams,
    seen.first_seen_at,
    seen.last_seen_at,
    registered.feature_id is not null as is_registered
from source.llm_spend_seeds.features as registered
full join seen using (feature_id);

create table llm_spend.dim_llm_models as
with seen as (
    select
        coalesce(channel, '(unknown)') as channel,
        coalesce(model_id, '(unresolved)') as model_id,
        min(provider) as maker,
        string_agg(distinct coalesce(resolved_model, '(unknown)'), ', ' order by coalesce(resolved_model, '(unknown)'))
            as names_seen,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from llm_spend.fct_llm_requests
    group by all
),

known as (
    select max(usage_date) + interval 1 day as known_to from llm_spend.fct_llm_requests
),

listed as (
    select
        channel,
        model_id,
        min(provider) as maker,
        arg_max(
            book, (coalesce(input_price, -1), coalesce(output_price, -1), -minute_from)
        ) filter (
            valid_from < known_to and valid_to >= known_to
            and service_tier = 'standard' and region = '*' and input_tokens_gt = -1
        ) as price
    from source.llm_spend_internal.int_price_book as book
    cross join known
    group by all
)

select
    channel,
    model_id,
    coalesce(listed.maker, seen.maker, '(unknown)') as provider,
    seen.names_seen,
    cast(price.input_price * 1000000 as decimal(38, 12)) as input_usd_per_million,
    cast(price.cache_read_price * 1000000 as decimal(38, 12)) as cache_read_usd_per_million,
    cast(price.output_price * 1000000 as decimal(38, 12)) as output_usd_per_million,
    cast(price.contract_input_price * 1000000 as decimal(38, 12)) as contract_input_usd_per_million,
    cast(price.contract_cache_read_price * 1000000 as decimal(38, 12)) as contract_cache_read_usd_per_million,
    cast(price.contract_output_price * 1000000 as decimal(38, 12)) as contract_output_usd_per_million,
    price is not null as is_priced,
    seen.channel is not null as is_used,
    seen.first_seen_at,
    seen.last_seen_at,
    'USD' as currency
from seen
full join listed using (channel, model_id);

create temp table business_events as
select
    cast(event_date as date) as event_date,
    cast(date_trunc('month', cast(event_date as date)) as date) as billing_period,
    event_type,
    starts_with(event_type, 'active_') as is_level,
    feature_id,
    customer_id,
    cast(round(
        cast(quantity as decimal(38, 12)) * case
            when currency is null or currency = 'USD' then 1
            else cast(usd_per_unit as decimal(18, 12))
        end,
        12
    ) as decimal(38, 12)) as quantity,
    coalesce(covers, 'day') = 'month' as covers_month
from source.llm_spend_seeds.business_events;

-- Each member's part of a date's events; is_said: a row names just the member.
create temp table event_days as
with said as (
    select
        unnest([
            {
                'member_type': 'total',
                'member_id': '(all)',
                'is_said': feature_id is null and customer_id is null
            },
            {
                'member_type': 'feature',
                'member_id': coalesce(feature_id, '(unallocated)'),
                'is_said': customer_id is null
            },
            {
                'member_type': 'customer',
                'member_id': coalesce(customer_id, '(unallocated)'),
                'is_said': feature_id is null
            }
        ], recursive := true),
        business_events.*
    from business_events
)

select
    billing_period,
    member_type,
    member_id,
    event_date,
    event_type,
    is_level,
    covers_month,
    bool_or(is_said) as is_said,
    if(bool_or(is_level and is_said), sum(quantity) filter (is_said), sum(quantity)) as quantity
from said
where not is_level or member_id <> '(unallocated)'
group by all;

create temp table used_days as
select
    usage_date,
    cast(date_trunc('month', usage_date) as date) as billing_period,
    member_type,
    case member_type
        when 'total' then '(all)' when 'feature' then feature_id when 'customer' then customer_id
    end as member_id,
    sum(cost_usd) as cost_usd,
    coalesce(sum(total_tokens) filter (is_gateway_cache_hit is not true), 0) as total_tokens,
    coalesce(sum(input_tokens) filter (is_gateway_cache_hit is not true), 0) as input_tokens,
    coalesce(sum(output_tokens) filter (is_gateway_cache_hit is not true), 0) as output_tokens,
    count(*) filter (is_final_attempt) as requests,
    coalesce(sum(total_tokens) filter (cost_usd is null), 0) as unpriced_tokens,
    count(*) filter (cost_usd is null) as unpriced_requests
from llm_spend.fct_llm_requests
cross join (values ('total'), ('feature'), ('customer')) as member_types (member_type)
group by all;

create table llm_spend.llm_unit_economics as
with kpis as (
    select
        kpi_id,
        kpi_name,
        unit,
        numerator,
        denominator,
        cast(per as bigint) as per,
        list_distinct(list_filter(
            [
                if(side in ('revenue_usd', 'margin_usd'), 'revenue', side)
                for side in [numerator, denominator]
                if side not in ('cost_usd', 'total_tokens', 'input_tokens', 'output_tokens', 'requests')
            ],
            lambda event: event is not null
        )) as events
    from source.llm_spend_seeds.kpis
),

months as (
    select
        billing_period,
        max(usage_date) as last_usage_date,
        max(max(usage_date)) over () >= last_day(max(usage_date)) as is_whole_month
    from used_days
    group by billing_period
),

quantities as (
    select
        billing_period,
        member_type,
        member_id,
        event_type,
        case
            when not is_level then sum(quantity)
            when bool_or(covers_month) then max(quantity) filter (covers_month)
            else exact_ratio(cast(sum(quantity) as decimal(38, 12)), cast(count(*) as decimal(38, 12)))
        end as quantity
    from event_days
    inner join months using (billing_period)
    group by billing_period, member_type, member_id, event_type, is_level
),

shown as (
    select distinct
        billing_period,
        member_type,
        kpi_id
    from quantities
    inner join kpis on list_contains(events, event_type)
    where member_id <> '(unallocated)'
),

used as (
    select
        billing_period,
        member_type,
        member_id,
        sum(cost_usd) as cost_usd,
        sum(total_tokens) as total_tokens,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(requests) as requests,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(unpriced_requests) as unpriced_requests,
        count(*) as days
    from used_days
    group by all
),

event_maps as (
    select
        billing_period,
        member_type,
        member_id,
        map(list(event_type), list(quantity)) as events
    from quantities
    group by all
),

members as (
    select
        billing_period,
        member_type,
        member_id,
        if(used.days is null, 0, used.cost_usd) as cost_usd,
        coalesce(used.total_tokens, 0) as total_tokens,
        coalesce(used.input_tokens, 0) as input_tokens,
        coalesce(used.output_tokens, 0) as output_tokens,
        coalesce(used.requests, 0) as requests,
        coalesce(used.unpriced_tokens, 0) as unpriced_tokens,
        coalesce(used.unpriced_requests, 0) as unpriced_requests,
        coalesce(used.days, 0) as days_with_usage,
        event_maps.events as events,
        event_maps.events['revenue'] as revenue_usd,
        revenue_usd - if(used.days is null, 0, used.cost_usd) as margin_usd
    from used
    full join event_maps using (billing_period, member_type, member_id)
),

-- The days on which each member has records of all that a KPI needs.
records as (
    select
        billing_period,
        member_type,
        member_id,
        event_date as usage_date,
        event_type,
        is_said
    from event_days
    where not covers_month
    union all
    select
        billing_period,
        member_type,
        member_id,
        usage_date,
        event_type,
        is_said
    from event_days
    inner join used_days using (billing_period, member_type, member_id)
    where covers_month
),

recorded as (
    select
        billing_period,
        member_type,
        member_id,
        usage_date,
        event_type,
        bool_or(is_said) as is_said
    from records
    group by all
),

covered_days as (
    select
        recorded.billing_period,
        recorded.member_type,
        recorded.member_id,
        recorded.usage_date,
        kpis.kpi_id,
        bool_and(is_said) as is_said,
        coalesce(any_value(used_days.cost_usd), 0) as cost_usd
    from recorded
    inner join kpis on list_contains(kpis.events, recorded.event_type)
    left join used_days using (member_type, member_id, usage_date)
    group by all
    having count(*) = any_value(len(kpis.events))
),

covered as (
    select
        billing_period,
        member_type,
        member_id,
        kpi_id,
        count(*) as days,
        sum(cost_usd) as cost_usd
    from covered_days
    where member_type <> 'total'
    group by all
    union all
    select
        billing_period,
        'total' as member_type,
        '(all)' as member_id,
        kpi_id,
        count(*) as days,
        sum(greatest(
            coalesce(whole, 0), coalesce(of_features, 0), coalesce(of_customers, 0)
        )) as cost_usd
    from (
        select
            billing_period,
            usage_date,
            kpi_id,
            sum(cost_usd) filter (member_type = 'total' and is_said) as whole,
            sum(cost_usd) filter (member_type = 'feature' and member_id <> '(unallocated)') as of_features,
            sum(cost_usd) filter (member_type = 'customer' and member_id <> '(unallocated)') as of_customers
        from covered_days
        group by all
    ) as days
    group by billing_period, kpi_id
),

sides as (
    select
        members.*,
        kpis.* exclude (events),
        cast(case numerator
            when 'cost_usd' then members.cost_usd
            when 'total_tokens' then total_tokens
            when 'revenue_usd' then revenue_usd
            when 'margin_usd' then margin_usd
        end as decimal(38, 12)) as numerator_value,
        cast(case denominator
            when 'total_tokens' then total_tokens
            when 'revenue_usd' then revenue_usd
            else members.events[denominator]
        end as decimal(38, 12)) as denominator_value,
        coalesce(covered.days, 0) as days_with_events,
        coalesce(covered.cost_usd, 0) as covered_usd
    from members
    inner join shown using (billing_period, member_type)
    inner join kpis using (kpi_id)
    left join covered using (billing_period, member_type, member_id, kpi_id)
)

select
    billing_period,
    member_type,
    member_id,
    kpi_id,
    kpi_name,
    exact_ratio(cast(numerator_value * per as decimal(38, 12)), denominator_value) as kpi_value,
    unit,
    numerator as numerator_name,
    numerator_value,
    denominator as denominator_name,
    denominator_value,
    per,
    cast(cost_usd as decimal(38, 12)) as cost_usd,
    cast(total_tokens as bigint) as total_tokens,
    cast(requests as bigint) as requests,
    cast(revenue_usd as decimal(38, 12)) as revenue_usd,
    cast(margin_usd as decimal(38, 12)) as margin_usd,
    days_with_usage,
    days_with_events,
    cast(round(
        exact_ratio(cast(covered_usd as decimal(38, 12)), cast(cost_usd as decimal(38, 12))), 6
    ) as decimal(18, 6)) as coverage_ratio,
    cast(unpriced_tokens as bigint) as unpriced_tokens,
    cast(unpriced_requests as bigint) as unpriced_requests,
    unpriced_requests > 0 as has_unpriced_usage,
    'USD' as currency,
    months.last_usage_date,
    months.is_whole_month
from sides
inner join months using (billing_period);

create table llm_spend.llm_plan_design_customers as
with stated as (
    select
        design_id,
        design_name,
        coalesce(assignment, 'cheapest') as assignment,
        plan_id,
        plan_name,
        cast(monthly_fee as decimal(38, 12)) as fee,
        coalesce(cast(usd_per_unit as decimal(18, 12)), if(currency = 'USD', cast(1 as decimal(18, 12)), null)) as rate,
        cast(included_tokens as bigint) as included_tokens,
        coalesce(cast(tier_from_tokens as bigint), 0) as tier_from,
        lead(tier_from) over (partition by design_id, plan_id order by tier_from) as tier_to,
        cast(price_per_million_tokens as decimal(18, 6)) as price
    from source.llm_spend_seeds.plan_designs
),

tiers as (
    select
        customers.*,
        stated.* exclude (plan_id, plan_name, included_tokens),
        stated.plan_id as design_plan_id,
        stated.plan_name as design_plan_name,
        stated.included_tokens as plan_tokens,
        greatest(used_tokens - coalesce(plan_tokens, used_tokens), 0) as above,
        greatest(least(above, coalesce(tier_to, above)) - tier_from, 0) as tier_tokens
    from llm_spend.llm_customer_plan_usage as customers
    cross join stated
    where customers.customer_id <> '(unallocated)'
),

charges as (
    select
        billing_period,
        customer_id,
        design_id,
        assignment,
        design_plan_id,
        design_plan_name,
        plan_tokens,
        above,
        cast(round(any_value(fee * rate) * 100, 0) as bigint) as fee_cents,
        case
            when bool_or(tier_tokens > 0 and price is null) then null
            else cast(round(
                sum(if(
                    tier_tokens > 0,
                    cast(
                        round(tier_tokens * (price * cast('0.000001' as decimal(6, 6))) * rate, 12) as decimal(38, 12)
                    ),
                    0
                )) * 100,
                0
            ) as bigint)
        end as above_cents
    from tiers
    group by all
),

chosen as (
    select
        billing_period,
        customer_id,
        design_id,
        arg_min(
            charges,
            if(
                assignment = 'by_usage',
                (
                    cast(above > 0 as bigint),
                    if(above > 0, -plan_tokens, coalesce(plan_tokens, 9223372036854775807)),
                    design_plan_id
                ),
                (0, fee_cents + above_cents, design_plan_id)
            )
        ) filter (assignment = 'by_usage' or fee_cents + above_cents is not null) as charge
    from charges
    group by all
)

select
    customers.billing_period,
    designs.design_id,
    designs.design_name,
    designs.assignment,
    customers.customer_id,
    customers.customer_name,
    charge.design_plan_id as plan_id,
    charge.design_plan_name as plan_name,
    charge.plan_tokens as included_tokens,
    customers.used_tokens,
    charge.above as overage_tokens,
    cast(charge.fee_cents * cast('0.01' as decimal(3, 2)) as decimal(38, 2)) as fee_usd,
    cast(charge.above_cents * cast('0.01' as decimal(3, 2)) as decimal(38, 2)) as overage_usd,
    cast((charge.fee_cents + charge.above_cents) * cast('0.01' as decimal(3, 2)) as decimal(38, 2)) as revenue_usd,
    customers.cost_usd,
    cast(
        cast((charge.fee_cents + charge.above_cents) * cast('0.01' as decimal(3, 2)) as decimal(38, 2))
        - customers.cost_usd as decimal(38, 12)
    ) as margin_usd,
    cast(null as decimal(18, 6)) as margin_ratio,
    customers.plan_id as current_plan_id,
    customers.revenue_usd as current_revenue_usd,
    cast(
        (charge.fee_cents + charge.above_cents) * cast('0.01' as decimal(3, 2)) - customers.revenue_usd
        as decimal(38, 2)
    ) as revenue_change_usd,
    customers.unpriced_tokens,
    customers.unpriced_requests,
    customers.has_unpriced_usage,
    'USD' as currency,
    customers.last_usage_date,
    customers.is_whole_month
from llm_spend.llm_customer_plan_usage as customers
cross join (select distinct design_id, design_name, assignment from stated) as designs
left join chosen using (billing_period, customer_id, design_id);

update llm_spend.llm_plan_design_customers
set margin_ratio = sign(margin_usd) * whole_ratio(
    cast(abs(margin_usd) * 1000000 as bigint), cast(revenue_usd * 1000000 as bigint)
);

create table llm_spend.llm_plan_designs as
with summed as (
    select
        billing_period,
        design_id,
        coalesce(plan_id, '(none)') as plan_id,
        count(*) filter (customer_id <> '(unallocated)') as customers,
        count(*) filter (overage_tokens > 0) as customers_above,
        count(*) filter (customer_id <> '(unallocated)' and revenue_usd is null) as customers_without_amount,
        sum(used_tokens) as used_tokens,
        coalesce(sum(overage_tokens), 0) as overage_tokens,
        sum(fee_usd) as fee_usd,
        sum(overage_usd) as overage_usd,
        sum(revenue_usd) as revenue_usd,
        sum(cost_usd) as cost_usd,
        sum(margin_usd) as margin_usd,
        sum(revenue_usd) filter (margin_usd is not null) as compared_usd,
        count(revenue_change_usd) as customers_compared,
        sum(current_revenue_usd) as current_revenue_usd,
        sum(revenue_change_usd) as revenue_change_usd,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(unpriced_requests) as unpriced_requests
    from llm_spend.llm_plan_design_customers
    group by all
),

months as (
    select distinct
        billing_period,
        last_usage_date,
        is_whole_month
    from llm_spend.llm_plan_design_customers
),

plans as (
    select distinct
        design_id,
        design_name,
        coalesce(assignment, 'cheapest') as assignment,
        plan_id,
        plan_name,
        cast(included_tokens as bigint) as included_tokens
    from source.llm_spend_seeds.plan_designs
    union all
    select distinct
        design_id,
        design_name,
        coalesce(assignment, 'cheapest') as assignment,
        '(none)' as plan_id,
        null as plan_name,
        null as included_tokens
    from source.llm_spend_seeds.plan_designs
)

select
    months.billing_period,
    plans.design_id,
    plans.plan_id,
    plans.design_name,
    plans.assignment,
    plans.plan_name,
    plans.included_tokens,
    coalesce(summed.customers, 0) as customers,
    coalesce(summed.customers_above, 0) as customers_above,
    coalesce(summed.customers_without_amount, 0) as customers_without_amount,
    cast(coalesce(summed.used_tokens, 0) as bigint) as used_tokens,
    cast(coalesce(summed.overage_tokens, 0) as bigint) as overage_tokens,
    cast(if(summed.plan_id is null, 0, summed.fee_usd) as decimal(38, 2)) as fee_usd,
    cast(if(summed.plan_id is null, 0, summed.overage_usd) as decimal(38, 2)) as overage_usd,
    cast(if(summed.plan_id is null, 0, summed.revenue_usd) as decimal(38, 2)) as revenue_usd,
    cast(if(summed.plan_id is null, 0, summed.cost_usd) as decimal(38, 12)) as cost_usd,
    cast(if(summed.plan_id is null, 0, summed.margin_usd) as decimal(38, 12)) as margin_usd,
    sign(margin_usd) * whole_ratio(
        cast(abs(summed.margin_usd) * 1000000 as bigint), cast(summed.compared_usd * 1000000 as bigint)
    ) as margin_ratio,
    coalesce(summed.customers_compared, 0) as customers_compared,
    cast(if(summed.plan_id is null, 0, summed.current_revenue_usd) as decimal(38, 2)) as current_revenue_usd,
    cast(if(summed.plan_id is null, 0, summed.revenue_change_usd) as decimal(38, 2)) as revenue_change_usd,
    cast(coalesce(summed.unpriced_tokens, 0) as bigint) as unpriced_tokens,
    cast(coalesce(summed.unpriced_requests, 0) as bigint) as unpriced_requests,
    coalesce(summed.unpriced_requests, 0) > 0 as has_unpriced_usage,
    'USD' as currency,
    months.last_usage_date,
    months.is_whole_month
from months
cross join plans
left join summed using (billing_period, design_id, plan_id)
where plans.plan_id <> '(none)' or summed.plan_id is not null;
