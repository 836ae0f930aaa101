{% set months_ahead = 3 %}
{% set least_days = 42 %}
{# Parts of 28 days up to the end of the last month. #}
{% set steps = 5 %}

with bases as (
    select
        *,
        -- Growth is per part of a history; a month ahead is told in parts of 28 days.
        {{ growth_ratio(
            millionths('recent_usd'), millionths('earlier_usd'),
            is_nearly_all_priced('recent_') ~ ' and ' ~ is_nearly_all_priced('earlier_')
        ) }} as growth_ratio
    from {{ ref('int_forecast_bases') }}
),

errors as (
    select * from {{ ref('int_forecast_errors') }}
),

known as (
    {{ known_usage() }}
),

numbers as (
    {{ numbers() }}
),

-- Each part of 28 days costs more than the one before: by the growth, then by half of it, by a quarter …
stepped as (
    select
        member_type,
        member_id,
        {% for step in range(steps) -%}
        1 + {{ times('growth_ratio', 0.5 ** step) }} as step_{{ step }},
        {% endfor -%}
        held_back
    from bases
),

factors as (
    {% for step in range(steps) -%}
    select
        member_type,
        member_id,
        held_back,
        {{ step }} as step,
        {{ product_of_steps(step) }} as factor
    from stepped
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

origins as (
    select
        held_back,
        first_day,
        billing_period
    from bases
    group by held_back, first_day, billing_period
),

-- The days that are forecast; of a month that is held back all of it, and nothing beyond.
dated as (
    select
        origins.held_back,
        origins.billing_period,
        numbers.number as days_ahead,
        cast({{ dbt.dateadd('day', 'numbers.number', 'origins.first_day') }} as date) as usage_date
    from origins
    cross join numbers
    where numbers.number < {{ steps * 28 }}
),

calendar_days as (
    select
        held_back,
        usage_date,
        {{ dbt.datediff('billing_period', month_start('usage_date'), 'month') }} as horizon_months,
        cast((days_ahead - mod(days_ahead, 28)) / 28 as {{ dbt.type_bigint() }}) as step
    from dated
),

calendar as (
    select
        held_back,
        {{ month_start('usage_date') }} as billing_period,
        {% for weekday in range(1, 8) -%}
        sum(case when {{ iso_weekday('usage_date') }} = {{ weekday }} then 1 else 0 end) as days_{{ weekday }},
        {% endfor -%}
        horizon_months,
        step
    from calendar_days
    group by held_back, {{ month_start('usage_date') }}, horizon_months, step
),

-- Sums of as many days of each weekday as a part has weeks: divided by these at the end.
rest as (
    select
        bases.member_type,
        bases.member_id,
        bases.held_back,
        calendar.billing_period,
        calendar.horizon_months,
        sum(
            (
                calendar.days_1 * bases.weekday_1_usd
                {%- for weekday in range(2, 8) %}
                + calendar.days_{{ weekday }} * bases.weekday_{{ weekday }}_usd
                {%- endfor %}
            ) * factors.factor
        ) as part_usd,
        max(bases.part_days) as part_days
    from bases
    inner join factors
        on
            bases.member_type = factors.member_type
            and bases.member_id = factors.member_id
            and bases.held_back = factors.held_back
    inner join calendar
        on
            factors.held_back = calendar.held_back
            and factors.step = calendar.step
    where
        calendar.horizon_months = 0
        or (calendar.held_back = 0 and calendar.horizon_months <= {{ months_ahead }})
    group by bases.member_type, bases.member_id, bases.held_back, calendar.billing_period, calendar.horizon_months
),

estimated as (
    select
        member_type,
        member_id,
        held_back,
        billing_period,
        horizon_months,
        case
            when part_days = 28 then {{ share_of('part_usd', '1', '4') }}
            else {{ share_of('part_usd', '1', '3') }}
        end as rest_usd
    from rest
),

-- Months of the past, each forecast as if it had just begun.
held_back_months as (
    select
        bases.member_type,
        bases.member_id,
        {{ whole_ratio(
            'abs(' ~ millionths('estimated.rest_usd') ~ ' - ' ~ millionths('bases.month_usd') ~ ')',
            millionths('bases.month_usd')
        ) }} as error_ratio
    from bases
    inner join estimated
        on
            bases.member_type = estimated.member_type
            and bases.member_id = estimated.member_id
            and bases.held_back = estimated.held_back
    where bases.held_back > 0 and bases.history_days >= {{ least_days }}
),

back_tests as (
    select
        member_type,
        member_id,
        cast(count(error_ratio) as {{ dbt.type_bigint() }}) as back_test_months,
        {{ whole_ratio(millionths('sum(error_ratio)'), 'count(error_ratio) * 1000000') }} as back_test_mape
    from held_back_months
    group by member_type, member_id
),

judged as (
    select
        bases.member_type,
        bases.member_id,
        estimated.billing_period,
        estimated.horizon_months,
        case when estimated.horizon_months = 0 then bases.month_usd else 0 end as actual_usd,
        estimated.rest_usd,
        bases.growth_ratio,
        bases.history_days,
        bases.part_days,
        -- The days of the month that are known are among these.
        cast(
            bases.recent_unpriced_tokens + bases.earlier_unpriced_tokens as {{ dbt.type_bigint() }}
        ) as unpriced_tokens,
        case
            when bases.history_days < {{ least_days }}
                then {{ dbt.concat([
                    count_text('bases.history_days'), "' days of usage are known, and ' || '" ~ least_days ~ "'", "' are needed'"
                ]) }}
            when bases.recent_attempts > 0 and bases.recent_attempts = bases.recent_unpriced_requests
                then {{ dbt.concat([
                    "'none of the '", count_text('bases.recent_attempts'), "' requests of the last '",
                    count_text('bases.part_days'), "' days has a known cost'"
                ]) }}
        end as reason
    from bases
    inner join estimated
        on
            bases.member_type = estimated.member_type
            and bases.member_id = estimated.member_id
            and bases.held_back = estimated.held_back
    where bases.held_back = 0
),

-- The further away, the wider: by half of the interval for each month ahead. An error that is a part of less
-- than half a cent says nothing: who used next to nothing of late has no interval, though past weeks could be judged.
bounded as (
    select
        judged.*,
        case when judged.part_days = 28 then '4' else '3' end as part_weeks,
        case when round(judged.rest_usd, 2) > 0 then errors.interval_level end as interval_level,
        back_tests.back_test_months,
        back_tests.back_test_mape,
        case
            when round(judged.rest_usd, 2) > 0
                then cast(
                    round(
                        cast(round(judged.rest_usd * errors.error_ratio, 12) as {{ type_money() }})
                        * (2 + judged.horizon_months) * {{ exact('0.5') }},
                        12
                    ) as {{ type_money() }}
                )
        end as half_width_usd
    from judged
    left join errors
        on
            judged.member_type = errors.member_type
            and judged.member_id = errors.member_id
    left join back_tests
        on
            judged.member_type = back_tests.member_type
            and judged.member_id = back_tests.member_id
),

final as (
    select
        known.as_of,
        known.known_to,
        bounded.member_type,
        bounded.member_id,
        bounded.billing_period,
        cast(bounded.horizon_months as {{ dbt.type_bigint() }}) as horizon_months,
        cast(bounded.actual_usd as {{ type_money() }}) as actual_usd,
        {%- for name, estimate in {
            'forecast_usd': 'bounded.rest_usd',
            'lower_usd':
                'case when bounded.half_width_usd < bounded.rest_usd then bounded.rest_usd - bounded.half_width_usd else '
                ~ 'bounded.half_width_usd * 0 end',
            'upper_usd': 'bounded.rest_usd + bounded.half_width_usd',
        }.items() %}
        case
            when bounded.reason is null then cast(round(bounded.actual_usd + {{ estimate }}, 2) as {{ type_money() }})
        end as {{ name }},
        {%- endfor %}
        case when bounded.reason is null then bounded.interval_level end as interval_level,
        case when bounded.reason is null then bounded.growth_ratio end as monthly_growth_ratio,
        case
            when bounded.reason is null
                then {{ dbt.concat([
                    "'mean of each weekday in the last '", 'bounded.part_weeks', "' weeks, and the growth over the '",
                    'bounded.part_weeks', "' weeks before, halved every 28 days'"
                ]) }}
        end as method,
        cast(bounded.history_days as {{ dbt.type_bigint() }}) as history_days,
        coalesce(bounded.back_test_months, 0) as back_test_months,
        bounded.back_test_mape,
        case when bounded.reason is null then 'forecast' else 'refused' end as status,
        bounded.reason,
        bounded.unpriced_tokens,
        bounded.unpriced_tokens > 0 as has_unpriced_usage,
        'USD' as currency
    from bounded
    cross join known
)

select * from final
