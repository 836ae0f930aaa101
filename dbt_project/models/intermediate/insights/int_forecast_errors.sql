{# The last weeks that are forecast from the weeks before each, and the most weeks that one of them is made from. #}
{% set judged_weeks, based_weeks = 9, 8 %}
{% set weeks = judged_weeks + based_weeks %}

with days as (
    select * from {{ ref('int_member_days') }}
    where {{ is_forecast() }}
),

known as (
    {{ known_usage() }}
),

counted as (
    select
        days.member_type,
        days.member_id,
        coalesce(days.cost_usd, 0) as cost_usd,
        -- Below 0 where more than a tenth of the tokens with a price is without one.
        days.priced_tokens - 10 * days.unpriced_tokens as known_tokens,
        {{ dbt.datediff('days.usage_date', 'cast(known.known_to as date)', 'day') }} as days_before
    from days
    cross join known
    where days.usage_date < cast(known.known_to as date)
),

-- week_1 is the last whole week.
members as (
    select
        member_type,
        member_id,
        {% for week in range(1, weeks + 1) -%}
        sum(case when days_before between {{ week * 7 - 6 }} and {{ week * 7 }} then cost_usd else 0 end)
            as week_{{ week }}_usd,
        sum(case when days_before between {{ week * 7 - 6 }} and {{ week * 7 }} then known_tokens else 0 end)
            as week_{{ week }}_known_tokens,
        {% endfor -%}
        max(days_before) as history_days
    from counted
    group by member_type, member_id
),

-- The weeks before each judged week, in two parts; less than six weeks say nothing of it.
judged as (
    {% for week in range(1, judged_weeks + 1) -%}
    {% set has_eight = 'history_days >= ' ~ (week + 8) * 7 -%}
    select
        member_type,
        member_id,
        case when {{ has_eight }} then 4 else 3 end as part_weeks,
        {% for name, first in {'recent': [1, 1], 'earlier': [5, 4]}.items() -%}
        case
            when {{ has_eight }}
                then {{ millionths(sum_of_weeks(week + first[0], 4)) }}
            else {{ millionths(sum_of_weeks(week + first[1], 3)) }}
        end as {{ name }},
        case
            when {{ has_eight }}
                then {{ sum_of_weeks(week + first[0], 4, 'known_tokens') }}
            else {{ sum_of_weeks(week + first[1], 3, 'known_tokens') }}
        end as {{ name }}_known_tokens,
        {% endfor -%}
        {{ millionths('week_' ~ week ~ '_usd') }} as actual
    from members
    where history_days >= {{ (week + 6) * 7 }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

grown as (
    select
        judged.*,
        {{ growth_ratio(
            'recent', 'earlier', 'recent_known_tokens >= 0 and earlier_known_tokens >= 0'
        ) }} as growth_ratio
    from judged
),

expected as (
    select
        grown.*,
        cast(round(recent * (1 + growth_ratio), 0) as {{ dbt.type_bigint() }}) as expected_of_part
    from grown
),

-- A forecast of nothing for a week in which something was used is wrong by all of it.
missed as (
    select
        member_type,
        member_id,
        case
            when expected_of_part > 0
                then {{ whole_ratio('abs(actual * part_weeks - expected_of_part)', 'expected_of_part') }}
            when actual = 0 then {{ exact('0') }}
            else {{ exact('1') }}
        end as error_ratio
    from expected
),

ranked as (
    select
        member_type,
        member_id,
        error_ratio,
        row_number() over (partition by member_type, member_id order by error_ratio) as place,
        count(*) over (partition by member_type, member_id) as weeks
    from missed
),

-- Of 9 errors the 8th, of fewer the largest: a next one is as large or smaller in place of weeks + 1 cases.
final as (
    select
        member_type,
        member_id,
        error_ratio,
        {{ whole_ratio('place', 'weeks + 1') }} as interval_level,
        cast(weeks as {{ dbt.type_bigint() }}) as back_test_weeks
    from ranked
    where place = case when weeks = {{ judged_weeks }} then {{ judged_weeks - 1 }} else weeks end
)

select * from final
