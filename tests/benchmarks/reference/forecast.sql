create macro signed_ratio(part, whole) as sign(part) * whole_ratio(abs(cast(part as hugeint)), cast(whole as hugeint));
create macro millionths(amount) as cast(round((amount) * 1000000, 0) as bigint);

-- An amount by a whole number, by a ratio of 12 digits that is cut off.
create macro parted(amount, parts) as cast(
    round((amount) * cast(cast(1000000000000 // parts as decimal(13, 0)) * cast('0.000000000001' as decimal(12, 12)) as decimal(14, 12)), 12)
    as decimal(38, 12)
);

create macro growth(recent, earlier, is_known) as case
    when earlier <= 0 or not is_known then cast(0 as decimal(18, 6))
    when recent * 2 >= earlier * 3 then cast('0.5' as decimal(18, 6))
    when recent * 2 <= earlier then cast('-0.5' as decimal(18, 6))
    else signed_ratio(recent - earlier, earlier)
end;

create temp table member_days as
select
    usage_date,
    case grouping(team_id, feature_id, customer_id, model_id, user_id, api_key_id)
        when 63 then 'total' when 31 then 'team' when 47 then 'feature' when 55 then 'customer' when 59 then 'model'
        when 61 then 'user' else 'api_key'
    end as member_type,
    coalesce(team_id, feature_id, customer_id, model_id, user_id, api_key_id, '(all)') as member_id,
    count(*) as attempts,
    count(*) filter (status = 'error') as failed_attempts,
    coalesce(cast(sum(input_tokens) filter (is_provided) as bigint), 0) as input_tokens,
    coalesce(cast(sum(cache_read_tokens) filter (is_provided) as bigint), 0) as cache_read_tokens,
    coalesce(cast(sum(total_tokens) filter (is_provided and cost_usd is not null) as bigint), 0) as priced_tokens,
    sum(cost_usd) as cost_usd,
    count(*) filter (cost_usd is null) as unpriced_requests,
    coalesce(cast(sum(total_tokens) filter (cost_usd is null) as bigint), 0) as unpriced_tokens
from (
    select
        * replace (coalesce(model_id, '(unresolved)') as model_id, coalesce(api_key_id, virtual_account) as api_key_id),
        is_gateway_cache_hit is not true as is_provided
    from llm_spend.fct_llm_requests
)
group by grouping sets (
    (usage_date), (usage_date, team_id), (usage_date, feature_id), (usage_date, customer_id), (usage_date, model_id),
    (usage_date, user_id), (usage_date, api_key_id)
)
having grouping(api_key_id) = 1 or api_key_id is not null;

-- One cost of each day and member since it was first seen: the days of the window, however few of them have usage.
create temp table forecast_origins as
with firsts as (
    select
        member_type,
        member_id,
        min(usage_date) as first_date
    from member_days
    where member_type in ('total', 'team', 'feature', 'customer', 'model')
    group by all
),

origins as (
    select
        0 as held_back,
        max(usage_date) + 1 as first_day
    from member_days
    union all
    select
        back as held_back,
        cast(date_trunc('month', max(usage_date) + 1) - to_months(cast(back as integer)) as date) as first_day
    from member_days, range(1, 4) as months (back)
    group by back
),

based as (
    select
        firsts.*,
        origins.*,
        date_trunc('month', first_day) as billing_period,
        first_day - first_date as history_days,
        if(first_day - first_date >= 56, 28, 21) as part_days
    from firsts
    inner join origins on first_date < first_day
)

select
    based.* exclude (first_date),
    coalesce(sum(cost_usd) filter (usage_date >= billing_period), 0) as month_usd,
    coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days), 0) as recent_usd,
    coalesce(sum(cost_usd) filter (first_day - usage_date between part_days + 1 and part_days * 2), 0) as earlier_usd,
    [
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 1), 0),
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 2), 0),
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 3), 0),
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 4), 0),
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 5), 0),
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 6), 0),
        coalesce(sum(cost_usd) filter (first_day - usage_date between 1 and part_days and isodow(usage_date) = 7), 0)
    ] as weekdays_usd,
    coalesce(cast(sum(attempts) filter (first_day - usage_date between 1 and part_days) as bigint), 0) as recent_attempts,
    coalesce(cast(sum(unpriced_requests) filter (first_day - usage_date between 1 and part_days) as bigint), 0)
        as recent_unpriced,
    coalesce(cast(sum(unpriced_tokens) filter (first_day - usage_date between 1 and part_days * 2) as bigint), 0)
        as unpriced_tokens,
    coalesce(
        sum(priced_tokens) filter (first_day - usage_date between 1 and part_days) // 10
        >= sum(unpriced_tokens) filter (first_day - usage_date between 1 and part_days),
        true
    ) and coalesce(
        sum(priced_tokens) filter (first_day - usage_date between part_days + 1 and part_days * 2) // 10
        >= sum(unpriced_tokens) filter (first_day - usage_date between part_days + 1 and part_days * 2),
        true
    ) as is_known
from based
inner join member_days using (member_type, member_id)
where usage_date >= first_day - 56 and usage_date < billing_period + interval 1 month
group by all;

-- What is to come, day by day.
create temp table forecast_rests as
with days as (
    select
        * exclude (weekdays_usd),
        cast(first_day + to_days(cast(ahead as integer)) as date) as day,
        ahead // 28 as step,
        weekdays_usd[isodow(day)] as weekday_usd,
        growth(millionths(recent_usd), millionths(earlier_usd), is_known) as growth_ratio
    from forecast_origins, range(140) as days (ahead)
),

grown as (
    select
        *,
        [
            1 + growth_ratio,
            1 + cast(round(growth_ratio * cast('0.5' as decimal(18, 6)), 6) as decimal(18, 6)),
            1 + cast(round(growth_ratio * cast('0.25' as decimal(18, 6)), 6) as decimal(18, 6)),
            1 + cast(round(growth_ratio * cast('0.125' as decimal(18, 6)), 6) as decimal(18, 6)),
            1 + cast(round(growth_ratio * cast('0.0625' as decimal(18, 6)), 6) as decimal(18, 6))
        ] as steps
    from days
),

factored as (
    select
        *,
        cast(
            list_reduce(steps[: step + 1], lambda one, next: cast(round(one * next, 6) as decimal(19, 6))) as decimal(18, 6)
        ) as factor
    from grown
)

select
    member_type,
    member_id,
    held_back,
    cast(date_trunc('month', day) as date) as period,
    datediff('month', billing_period, day) as horizon_months,
    parted(sum(weekday_usd * factor), if(part_days = 28, 4, 3)) as rest_usd,
    any_value(growth_ratio) as growth_ratio
from factored
where datediff('month', billing_period, day) = 0 or (held_back = 0 and datediff('month', billing_period, day) <= 3)
group by member_type, member_id, held_back, period, horizon_months, part_days;

-- The last nine weeks, each from the weeks before.
create temp table forecast_errors as
with weeks as (
    select
        member_type,
        member_id,
        (last_day - usage_date) // 7 as week,
        coalesce(sum(cost_usd), 0) as cost,
        sum(priced_tokens) as priced,
        sum(unpriced_tokens) as unpriced
    from member_days, (select max(usage_date) as last_day from member_days)
    group by all
),

members as (
    select
        member_type,
        member_id,
        max(last_day - usage_date) + 1 as history_days
    from member_days, (select max(usage_date) as last_day from member_days)
    where member_type in ('total', 'team', 'feature', 'customer', 'model')
    group by all
),

judged as (
    select
        member_type,
        member_id,
        judged.week,
        part,
        millionths(coalesce(sum(cost) filter (weeks.week = judged.week), 0)) as actual,
        millionths(coalesce(sum(cost) filter (weeks.week - judged.week between 1 and part), 0)) as recent,
        millionths(coalesce(sum(cost) filter (weeks.week - judged.week between part + 1 and part * 2), 0)) as earlier,
        coalesce(
            sum(priced) filter (weeks.week - judged.week between 1 and part) // 10
            >= sum(unpriced) filter (weeks.week - judged.week between 1 and part),
            true
        ) and coalesce(
            sum(priced) filter (weeks.week - judged.week between part + 1 and part * 2) // 10
            >= sum(unpriced) filter (weeks.week - judged.week between part + 1 and part * 2),
            true
        ) as is_known
    from (
        select *, if(history_days >= (week + 9) * 7, 4, 3) as part
        from members, range(9) as weeks (week)
        where history_days >= (week + 7) * 7
    ) as judged
    left join weeks using (member_type, member_id)
    group by all
),

missed as (
    select
        member_type,
        member_id,
        cast(round(recent * (1 + growth(recent, earlier, is_known)), 0) as bigint) as expected,
        case
            when expected > 0 then signed_ratio(abs(actual * part - expected), expected)
            else cast(if(actual = 0, 0, 1) as decimal(18, 6))
        end as error
    from judged
)

select
    member_type,
    member_id,
    list_sort(list(error))[if(count(*) = 9, 8, count(*))] as error_ratio,
    whole_ratio(if(count(*) = 9, 8, count(*)), count(*) + 1) as interval_level
from missed
group by all;

create table llm_spend.llm_spend_forecast as
with back_tests as (
    select
        member_type,
        member_id,
        signed_ratio(abs(millionths(rest_usd) - millionths(month_usd)), millionths(month_usd)) as error
    from forecast_origins
    inner join forecast_rests using (member_type, member_id, held_back)
    where held_back > 0 and history_days >= 42
),

tested as (
    select
        member_type,
        member_id,
        count(error) as back_test_months,
        whole_ratio(millionths(sum(error)), count(error) * 1000000) as back_test_mape
    from back_tests
    group by all
),

told as (
    select
        *,
        case
            when history_days < 42 then history_days || ' days of usage are known, and 42 are needed'
            when recent_attempts > 0 and recent_attempts = recent_unpriced
                then
                    'none of the ' || recent_attempts || ' requests of the last ' || part_days || ' days has a known cost'
        end as reason,
        if(horizon_months = 0, month_usd, 0) as actual,
        if(round(rest_usd, 2) = 0, null, interval_level) as level,
        if(
            round(rest_usd, 2) = 0,
            null,
            cast(round(rest_usd * error_ratio * (2 + horizon_months) * cast('0.5' as decimal(18, 6)), 12) as decimal(38, 12))
        ) as half_width
    from forecast_origins
    inner join forecast_rests using (member_type, member_id, held_back)
    left join forecast_errors using (member_type, member_id)
    left join tested using (member_type, member_id)
    where held_back = 0
)

select
    first_day - 1 as as_of,
    cast(first_day as timestamp) as known_to,
    member_type,
    member_id,
    period as billing_period,
    horizon_months,
    cast(actual as decimal(38, 12)) as actual_usd,
    if(reason is null, cast(round(actual + rest_usd, 2) as decimal(38, 12)), null) as forecast_usd,
    if(reason is null and half_width is not null, cast(round(actual + greatest(rest_usd - half_width, 0), 2) as decimal(38, 12)), null)
        as lower_usd,
    if(reason is null, cast(round(actual + rest_usd + half_width, 2) as decimal(38, 12)), null) as upper_usd,
    if(reason is null, level, null) as interval_level,
    if(reason is null, growth_ratio, null) as monthly_growth_ratio,
    if(
        reason is null,
        'mean of each weekday in the last ' || part_days // 7 || ' weeks, and the growth over the ' || part_days // 7
        || ' weeks before, halved every 28 days',
        null
    ) as method,
    history_days,
    coalesce(back_test_months, 0) as back_test_months,
    back_test_mape,
    if(reason is null, 'forecast', 'refused') as status,
    reason,
    unpriced_tokens,
    unpriced_tokens > 0 as has_unpriced_usage,
    'USD' as currency
from told;
