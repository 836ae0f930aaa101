-- Which row of the seeds of customers can't be read, or can't be meant, and why. One row per seed, row and problem.
with plan_rows as (
    select
        *,
        coalesce(lower(trim(is_offered)), '') as offered_text,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as parsed_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as parsed_to,
        {{ llm_spend.seed_line(['plan_id', 'tier_from_tokens', 'valid_from']) }} as seed_row
    from {{ ref('customer_plans') }}
),

plans as (
    select * from {{ ref('stg_rules__customer_plans') }}
),

plan_versions as (
    select
        plan_id,
        valid_from,
        max(valid_to) as valid_to,
        min(tier_from_tokens) as first_tier,
        count(*) as tiers,
        count(distinct tier_from_tokens) as distinct_tiers,
        case
            when
                {{ llm_spend.plan_rows_differ(['valid_to', 'is_offered']) }}
                then 1
            else 0
        end as contradicts
    from plans
    where tier_from_tokens is not null
    group by plan_id, valid_from
),

customer_rows as (
    select
        *,
        {{ llm_spend.seed_line(['customer_id', llm_spend.date_text('valid_from')]) }} as seed_row
    from {{ ref('stg_rules__customers') }}
),

problems as (
    select
        'customer_plans' as seed,
        seed_row,
        case
            {{ llm_spend.plan_problems() }}
            when offered_text not in ('', 'true', 'false') then 'is_offered is neither true nor false'
            when parsed_from is null or parsed_from <> {{ llm_spend.month_start('parsed_from') }}
                then 'valid_from is not the first of a month, written as YYYY-MM-01'
            when parsed_to is null or parsed_to <> {{ llm_spend.month_start('parsed_to') }}
                then 'valid_to is not the first of a month, written as YYYY-MM-01'
            when parsed_from >= parsed_to then 'valid_to is not after valid_from'
        end as problem
    from plan_rows
    union all
    select
        'customer_plans' as seed,
        {{ llm_spend.seed_line(['plan_id', llm_spend.date_text('valid_from')]) }} as seed_row,
        case
            when contradicts = 1 then 'its rows differ in more than tier and price'
            when tiers > distinct_tiers then 'two rows have the same tier_from_tokens'
            when first_tier > 0 then 'no tier begins with 0'
        end as problem
    from plan_versions
    union all
    select
        'customer_plans' as seed,
        {{ llm_spend.seed_line(['plan_versions.plan_id', llm_spend.date_text('plan_versions.valid_from')]) }}
            as seed_row,
        'it overlaps a later version of the plan: give it a valid_to' as problem
    from plan_versions
    inner join plan_versions as others
        on
            plan_versions.plan_id = others.plan_id
            and plan_versions.valid_from < others.valid_from
            and plan_versions.valid_to > others.valid_from
    union all
    select
        'customers' as seed,
        seed_row,
        case
            when coalesce(customer_id, '') = '' then 'customer_id is empty'
            when customer_id = {{ llm_spend.unallocated() }} then 'customer_id is the name of usage without a customer'
            when valid_from is null or valid_from <> {{ llm_spend.month_start('valid_from') }}
                then 'valid_from is not the first of a month, written as YYYY-MM-01'
            when valid_to is null or valid_to <> {{ llm_spend.month_start('valid_to') }}
                then 'valid_to is not the first of a month, written as YYYY-MM-01'
            when valid_from >= valid_to then 'valid_to is not after valid_from'
        end as problem
    from customer_rows
    union all
    select
        'customers' as seed,
        customer_rows.seed_row,
        'it overlaps a later row of the customer: give it a valid_to' as problem
    from customer_rows
    inner join customer_rows as others
        on
            customer_rows.customer_id = others.customer_id
            and customer_rows.valid_from < others.valid_from
            and customer_rows.valid_to > others.valid_from
    union all
    select
        'customers' as seed,
        seed_row,
        'two rows of one customer begin at the same time' as problem
    from customer_rows
    group by seed_row
    having count(*) > 1
    union all
    select
        'customers' as seed,
        seed_row,
        'customer_plans does not know its plan' as problem
    from customer_rows
    where plan_id is not null and plan_id not in (select plan_id from plans where plan_id is not null)
)

select *
from problems
where problem is not null
