with events as (
    select * from {{ ref('int_business_events') }}
),

member_types as (
    select 'total' as member_type
    union all
    select 'feature' as member_type
    union all
    select 'customer' as member_type
),

-- Every event is one of the total, of its feature and of its customer.
parts as (
    select
        events.*,
        member_types.member_type,
        case member_types.member_type
            when 'total' then '(all)'
            when 'feature' then coalesce(events.feature_id, {{ unallocated() }})
            else coalesce(events.customer_id, {{ unallocated() }})
        end as member_id,
        -- Whether it names just this member, and is no part of what is said of it.
        (member_types.member_type = 'feature' or events.feature_id is null)
        and (member_types.member_type = 'customer' or events.customer_id is null) as is_of_member
    from events
    cross join member_types
),

summed as (
    select
        member_type,
        member_id,
        event_date,
        billing_period,
        event_type,
        is_level,
        covers_month,
        sum(quantity) as all_quantity,
        sum(unknown_rows) as all_unknown_rows,
        sum(case when is_of_member then quantity end) as own_quantity,
        sum(case when is_of_member then unknown_rows else 0 end) as own_unknown_rows,
        max(case when is_of_member then 1 else 0 end) as has_own
    from parts
    -- Those who are there in no known feature may be counted in one.
    where not is_level or member_id <> {{ unallocated() }}
    group by member_type, member_id, event_date, billing_period, event_type, is_level, covers_month
),

final as (
    select
        member_type,
        member_id,
        event_date,
        billing_period,
        event_type,
        is_level,
        covers_month,
        has_own = 1 as is_said_of_member,
        cast(case
            when is_level and has_own = 1 then case when own_unknown_rows = 0 then own_quantity end
            when all_unknown_rows = 0 then all_quantity
        end as {{ type_money() }}) as quantity
    from summed
)

select * from final
