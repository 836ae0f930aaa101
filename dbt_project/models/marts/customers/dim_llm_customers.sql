with usage_daily as (
    select * from {{ ref('llm_usage_by_customer_daily') }}
),

customers as (
    select * from {{ ref('stg_rules__customers') }}
),

seen as (
    select
        customer_id,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from usage_daily
    where customer_id <> {{ unallocated() }}
    group by customer_id
),

today as (
    select cast({{ llm_spend.build_started_at() }} as date) as today
),

-- The row that holds; else the last that held, else the first that will.
ranked as (
    select
        customers.*,
        today.today,
        row_number() over (
            partition by customers.customer_id
            order by
                case when customers.valid_from <= today.today then 0 else 1 end,
                case when customers.valid_from <= today.today then customers.valid_from end desc,
                customers.valid_from
        ) as place
    from customers
    cross join today
),

named as (
    select
        customer_id,
        customer_name,
        account_owner,
        case when valid_from <= today and valid_to > today then plan_id end as plan_id
    from ranked
    where place = 1
),

final as (
    select
        coalesce(named.customer_id, seen.customer_id) as customer_id,
        named.customer_name,
        named.plan_id,
        named.account_owner,
        seen.first_seen_at,
        seen.last_seen_at,
        named.customer_id is not null as is_known
    from named
    full outer join seen on named.customer_id = seen.customer_id
)

select * from final
