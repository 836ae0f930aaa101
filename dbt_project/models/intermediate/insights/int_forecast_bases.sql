{# Calendar months that are held back, and forecast from the days before them. #}
{% set held_back_months = 3 %}

with days as (
    select
        usage_date,
        member_type,
        member_id,
        coalesce(cost_usd, 0) as cost_usd,
        priced_tokens,
        unpriced_tokens,
        unpriced_requests,
        attempts
    from {{ ref('int_member_days') }}
    where {{ is_forecast() }}
),

known as (
    {{ known_usage() }}
),

-- The first day that is not wholly known, and the firsts of the months before it.
origins as (
    select
        0 as held_back,
        cast(known_to as date) as first_day,
        {{ month_start('cast(known_to as date)') }} as billing_period
    from known
    {% for back in range(1, held_back_months + 1) -%}
    {% set month = 'cast(' ~ dbt.dateadd('month', -back, month_start('cast(known_to as date)')) ~ ' as date)' -%}
    union all
    select
        {{ back }} as held_back,
        {{ month }} as first_day,
        {{ month }} as billing_period
    from known
    {% endfor -%}
),

members as (
    select
        days.member_type,
        days.member_id,
        min(days.usage_date) as first_usage_date
    from days
    group by days.member_type, days.member_id
),

-- As many weeks as the history allows: eight make two parts of four, six or seven two of three.
based as (
    select
        members.member_type,
        members.member_id,
        origins.held_back,
        origins.first_day,
        origins.billing_period,
        {{ dbt.datediff('members.first_usage_date', 'origins.first_day', 'day') }} as history_days,
        case
            when {{ dbt.datediff('members.first_usage_date', 'origins.first_day', 'day') }} >= 56 then 28
            else 21
        end as part_days
    from members
    cross join origins
    where members.first_usage_date < origins.first_day
),

placed as (
    select
        based.*,
        days.cost_usd,
        days.priced_tokens,
        days.unpriced_tokens,
        days.unpriced_requests,
        days.attempts,
        {{ iso_weekday('days.usage_date') }} as weekday,
        {{ dbt.datediff('days.usage_date', 'based.first_day', 'day') }} as days_before,
        days.usage_date >= based.billing_period as is_of_month
    from based
    inner join days
        on
            based.member_type = days.member_type
            and based.member_id = days.member_id
            and days.usage_date < {{ llm_spend.month_after('based.billing_period') }}
            and days.usage_date >= cast({{ dbt.dateadd('day', -56, 'based.first_day') }} as date)
    cross join known
    where days.usage_date < cast(known.known_to as date)
),

final as (
    select
        member_type,
        member_id,
        held_back,
        first_day,
        billing_period,
        history_days,
        part_days,
        cast(sum(case when is_of_month then cost_usd else 0 end) as {{ type_money() }}) as month_usd,
        cast(sum(case when days_before between 1 and part_days then cost_usd else 0 end) as {{ type_money() }})
            as recent_usd,
        cast(
            sum(case when days_before between part_days + 1 and 2 * part_days then cost_usd else 0 end)
            as {{ type_money() }}
        ) as earlier_usd,
        {% for weekday in range(1, 8) -%}
        cast(
            sum(case when weekday = {{ weekday }} and days_before between 1 and part_days then cost_usd else 0 end)
            as {{ type_money() }}
        ) as weekday_{{ weekday }}_usd,
        {% endfor -%}
        {% for each in ['attempts', 'unpriced_requests', 'priced_tokens', 'unpriced_tokens'] -%}
        cast(
            sum(case when days_before between 1 and part_days then {{ each }} else 0 end) as {{ dbt.type_bigint() }}
        ) as recent_{{ each }},
        {% endfor -%}
        cast(
            sum(case when days_before between part_days + 1 and 2 * part_days then priced_tokens else 0 end)
            as {{ dbt.type_bigint() }}
        ) as earlier_priced_tokens,
        cast(
            sum(case when days_before between part_days + 1 and 2 * part_days then unpriced_tokens else 0 end)
            as {{ dbt.type_bigint() }}
        ) as earlier_unpriced_tokens
    from placed
    group by member_type, member_id, held_back, first_day, billing_period, history_days, part_days
)

select * from final
