with customers as (
    select
        *,
        coalesce(plan_id, '(none)') as plan_or_none,
        case when customer_id = {{ unallocated() }} then 0 else 1 end as is_customer,
        case when margin_usd is not null then revenue_usd end as compared_revenue_usd,
        case when margin_usd is not null then cost_usd end as compared_cost_usd
    from {{ ref('llm_plan_design_customers') }}
),

plans as (
    select * from {{ ref('stg_rules__plan_designs') }}
),

months as (
    select
        billing_period,
        max(last_usage_date) as last_usage_date,
        max(case when is_whole_month then 1 else 0 end) = 1 as is_whole_month
    from customers
    group by billing_period
),

summed as (
    select
        billing_period,
        design_id,
        plan_or_none as plan_id,
        sum(is_customer) as customers,
        sum(case when overage_tokens > 0 then 1 else 0 end) as customers_above,
        sum(case when is_customer = 1 and revenue_usd is null then 1 else 0 end) as customers_without_amount,
        sum(used_tokens) as used_tokens,
        sum(coalesce(overage_tokens, 0)) as overage_tokens,
        sum(fee_usd) as fee_usd,
        sum(overage_usd) as overage_usd,
        sum(revenue_usd) as revenue_usd,
        sum(cost_usd) as cost_usd,
        sum(margin_usd) as margin_usd,
        sum(compared_revenue_usd) as compared_revenue_usd,
        sum(compared_cost_usd) as compared_cost_usd,
        sum(current_revenue_usd) as current_revenue_usd,
        sum(revenue_change_usd) as revenue_change_usd,
        count(revenue_change_usd) as customers_compared,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(unpriced_requests) as unpriced_requests
    from customers
    group by billing_period, design_id, plan_or_none
),

-- A plan that nobody falls under is an answer, too.
listed as (
    select
        months.billing_period,
        plans.design_id,
        plans.design_name,
        plans.assignment,
        plans.plan_id,
        plans.plan_name,
        plans.included_tokens
    from months
    cross join plans
    where plans.tier_from_tokens = 0
    union all
    select distinct
        customers.billing_period,
        customers.design_id,
        customers.design_name,
        customers.assignment,
        customers.plan_or_none as plan_id,
        cast(null as {{ dbt.type_string() }}) as plan_name,
        cast(null as {{ dbt.type_bigint() }}) as included_tokens
    from customers
    where customers.plan_id is null
),

final as (
    select
        listed.billing_period,
        listed.design_id,
        listed.plan_id,
        listed.design_name,
        listed.assignment,
        listed.plan_name,
        listed.included_tokens,
        cast(coalesce(summed.customers, 0) as {{ dbt.type_bigint() }}) as customers,
        cast(coalesce(summed.customers_above, 0) as {{ dbt.type_bigint() }}) as customers_above,
        cast(coalesce(summed.customers_without_amount, 0) as {{ dbt.type_bigint() }}) as customers_without_amount,
        cast(coalesce(summed.used_tokens, 0) as {{ dbt.type_bigint() }}) as used_tokens,
        cast(coalesce(summed.overage_tokens, 0) as {{ dbt.type_bigint() }}) as overage_tokens,
        {%- for amount in ['fee_usd', 'overage_usd', 'revenue_usd'] %}
        cast(case when summed.plan_id is null then 0 else summed.{{ amount }} end as {{ type_decimal(38, 2) }})
            as {{ amount }},
        {%- endfor %}
        {%- for amount in ['cost_usd', 'margin_usd'] %}
        cast(case when summed.plan_id is null then 0 else summed.{{ amount }} end as {{ type_money() }})
            as {{ amount }},
        {%- endfor %}
        {{ margin_ratio(round_to_cents('summed.compared_revenue_usd'), 'summed.compared_cost_usd') }} as margin_ratio,
        cast(coalesce(summed.customers_compared, 0) as {{ dbt.type_bigint() }}) as customers_compared,
        {%- for amount in ['current_revenue_usd', 'revenue_change_usd'] %}
        cast(case when summed.plan_id is null then 0 else summed.{{ amount }} end as {{ type_decimal(38, 2) }})
            as {{ amount }},
        {%- endfor %}
        cast(coalesce(summed.unpriced_tokens, 0) as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(coalesce(summed.unpriced_requests, 0) as {{ dbt.type_bigint() }}) as unpriced_requests,
        coalesce(summed.unpriced_requests, 0) > 0 as has_unpriced_usage,
        'USD' as currency,
        months.last_usage_date,
        months.is_whole_month
    from listed
    inner join months on listed.billing_period = months.billing_period
    left join summed
        on
            listed.billing_period = summed.billing_period
            and listed.design_id = summed.design_id
            and listed.plan_id = summed.plan_id
)

select * from final
