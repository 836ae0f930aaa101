-- Teams, features, customers, models and users each are all usage of a day, and the total is that of the usage marts.
{{ config(severity='error') }}

with members as (
    select
        usage_date,
        member_type,
        sum(attempts) as attempts,
        sum(unpriced_tokens) as unpriced_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd
    from {{ ref('int_member_days') }}
    where member_type <> 'api_key' and {{ recently_built() }}
    group by usage_date, member_type
),

days as (
    select
        usage_date,
        sum(attempts) as attempts,
        sum(unpriced_tokens) as unpriced_tokens,
        coalesce(sum(cost_usd), 0) as cost_usd
    from {{ ref('int_requests_daily') }}
    where is_of_record and {{ recently_built() }}
    group by usage_date
),

final as (
    select
        coalesce(days.usage_date, members.usage_date) as usage_date,
        members.member_type
    from days
    full outer join members on days.usage_date = members.usage_date
    where
        coalesce(
            days.attempts <> members.attempts
            or days.unpriced_tokens <> members.unpriced_tokens
            or days.cost_usd <> members.cost_usd,
            true
        )
)

select * from final
