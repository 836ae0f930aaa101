create table llm_spend.llm_quota_rules as
select
    rule_set || '|' || rule_id || '|' || valid_from as rule_key,
    rule_set,
    rule_id,
    cast(rule_order as bigint) as rule_order,
    evaluation,
    subject_type,
    subject,
    nullif(models, '') as models,
    nullif(metadata_key, '') as metadata_key,
    nullif(metadata_value, '') as metadata_value,
    nullif(conditions, '') as conditions,
    nullif(applies_per, '') as applies_per,
    coalesce(nullif(applies_per, ''), subject_type) as counter_subject_type,
    if(nullif(applies_per, '') is null, subject, null) as counter_subject,
    unit,
    split_part(unit, '_per_', 1) as measure,
    split_part(unit, '_per_', 2) as window_unit,
    cast(null as bigint) as window_days,
    cast(limit_to as decimal(38, 12)) as limit_to,
    nullif(overrides, '') as overrides,
    nullif(time_zone, '') as time_zone,
    coalesce(nullif(enforcement, ''), 'enforce') as enforcement,
    coalesce(nullif(alert_thresholds, ''), '80') as alert_thresholds,
    cast(if(rule_set = 'budgets', 50, 80) as bigint) as warning_at,
    cast(valid_from as date) as valid_from,
    cast(nullif(valid_to, '') as date) as valid_to
from source.llm_spend_seeds.quota_rules;

-- What the rules of either set count. In the first set the first rule that matches a request takes it; the second set
-- counts every request by user and minute, by team and hour, and by user and day.
create temp view counted as
with requests as (
    select
        *,
        if(is_final_attempt, 1, null) as counted_requests,
        if(is_gateway_cache_hit, null, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) as counted_tokens,
        is_final_attempt and status = 'blocked_rate_limit' as is_blocked,
        price_status in ('no_usage', 'unmeasured') as is_unmeasured
    from llm_spend.fct_llm_requests
),

ruled as (
    select
        *,
        case
            when virtual_account = 'nightly-batch' then 'nightly-batch-hourly'
            when metadata ->> '$.plan' = 'free' then 'free-plan-daily-tokens'
            when team_id = 'support-emea' then 'support-emea-daily'
            when team_id = 'data-science' then 'data-science-daily-tokens'
            else 'everyone-daily'
        end as rule_id
    from requests
)

select
    rule_id,
    case rule_id
        when 'nightly-batch-hourly' then virtual_account
        when 'free-plan-daily-tokens' then nullif(metadata ->> '$.customer_id', '')
        when 'everyone-daily' then nullif(user_id, '(unallocated)')
        else team_id
    end as subject,
    nullif(user_id, '(unallocated)') as user_id,
    nullif(team_id, '(unallocated)') as team_id,
    if(rule_id like '%tokens', counted_tokens, counted_requests) as quantity,
    counted_requests,
    counted_tokens,
    is_blocked,
    is_unmeasured,
    usage_date,
    started_at,
    loaded_at,
    request_key
from ruled;

create temp table windows as
with a_minute as (
    select
        date_trunc('minute', started_at) as window_start,
        user_id,
        team_id,
        cast(sum(counted_requests) as bigint) as requests,
        cast(sum(counted_tokens) as bigint) as tokens,
        count(*) filter (is_blocked) as blocked_requests,
        count(*) filter (is_blocked and counted_tokens is not null) as blocked_token_requests,
        count(*) filter (is_unmeasured and counted_requests is not null) as unmeasured_requests,
        count(*) filter (is_unmeasured and counted_tokens is not null) as unmeasured_token_requests
    from counted
    group by date_trunc('minute', started_at), user_id, team_id
)

select
    'user-minute' as rule_id,
    user_id as subject,
    window_start,
    cast(sum(requests) as bigint) as used,
    cast(sum(blocked_requests) as bigint) as observed_blocks,
    cast(sum(unmeasured_requests) as bigint) as unmeasured_requests
from a_minute
where user_id is not null and requests is not null
group by user_id, window_start
union all
select
    'team-hour',
    team_id,
    date_trunc('hour', window_start),
    cast(sum(tokens) as bigint),
    cast(sum(blocked_token_requests) as bigint),
    cast(sum(unmeasured_token_requests) as bigint)
from a_minute
where team_id is not null and tokens is not null
group by team_id, date_trunc('hour', window_start)
union all
select
    'user-day',
    user_id,
    date_trunc('day', window_start),
    cast(sum(tokens) as bigint),
    cast(sum(blocked_token_requests) as bigint),
    cast(sum(unmeasured_token_requests) as bigint)
from a_minute
where user_id is not null and tokens is not null
group by user_id, date_trunc('day', window_start)
union all
select
    rule_id,
    subject,
    if(rule_id like '%hourly', date_trunc('hour', started_at), usage_date),
    cast(sum(quantity) as bigint),
    count(*) filter (is_blocked),
    count(*) filter (is_unmeasured)
from counted
where subject is not null and quantity is not null
group by rule_id, subject, if(rule_id like '%hourly', date_trunc('hour', started_at), usage_date);

-- What teams spend in a month.
create temp table months as
select
    team_id as subject,
    date_trunc('month', usage_date) as window_start,
    cast(coalesce(sum(cost_usd), 0) as decimal(38, 12)) as used,
    count(*) filter (is_final_attempt and status = 'blocked_rate_limit') as observed_blocks,
    count(*) filter (price_status in ('no_usage', 'unmeasured')) as unmeasured_requests,
    count(*) filter (cost_usd is null) as unpriced_requests,
    cast(coalesce(sum(total_tokens) filter (cost_usd is null), 0) as bigint) as unpriced_tokens
from llm_spend.fct_llm_requests
where team_id <> '(unallocated)'
group by team_id, date_trunc('month', usage_date);

create table llm_spend.llm_quota_usage as
select
    rules.rule_set,
    rules.rule_id,
    rules.counter_subject_type as subject_type,
    windows.subject,
    rules.unit,
    rules.measure,
    rules.window_unit,
    rules.enforcement,
    rules.limit_to,
    cast(windows.window_start as date) as usage_date,
    windows.window_start,
    case rules.window_unit
        when 'minute' then windows.window_start + interval 1 minute
        when 'hour' then windows.window_start + interval 1 hour
        when 'day' then windows.window_start + interval 1 day
    end as window_end,
    cast(windows.used as decimal(38, 12)) as used,
    whole_ratio(windows.used, cast(rules.limit_to as bigint)) as used_ratio,
    case
        when windows.used > rules.limit_to then 'breached'
        when windows.used > 0 and windows.used * 10 >= rules.limit_to * 8 then 'warning'
        else 'ok'
    end as status,
    cast(if(windows.used > 0 and windows.used * 10 >= rules.limit_to * 8, 80, null) as bigint) as threshold_reached,
    windows.observed_blocks,
    windows.unmeasured_requests,
    cast(0 as bigint) as unpriced_requests,
    cast(0 as bigint) as unpriced_tokens,
    rules.measure = 'requests' or windows.unmeasured_requests = 0 as is_reliable,
    rules.rule_key
from windows
inner join llm_spend.llm_quota_rules as rules on windows.rule_id = rules.rule_id
union all by name
select
    rules.rule_set,
    rules.rule_id,
    'team' as subject_type,
    months.subject,
    rules.unit,
    rules.measure,
    rules.window_unit,
    rules.enforcement,
    rules.limit_to,
    cast(months.window_start as date) as usage_date,
    cast(months.window_start as timestamp) as window_start,
    months.window_start + interval 1 month as window_end,
    months.used,
    whole_ratio(cast(months.used * 1000000000 as hugeint), cast(rules.limit_to * 1000000000 as hugeint)) as used_ratio,
    case
        when months.used > rules.limit_to then 'breached'
        when months.used > 0 and months.used * 2 >= rules.limit_to then 'warning'
        else 'ok'
    end as status,
    case
        when months.used >= rules.limit_to then 100
        when months.used * 10 >= rules.limit_to * 8 then 80
        when months.used * 2 >= rules.limit_to then 50
    end as threshold_reached,
    months.observed_blocks,
    months.unmeasured_requests,
    months.unpriced_requests,
    months.unpriced_tokens,
    months.unpriced_requests = 0 as is_reliable,
    rules.rule_key
from months
inner join llm_spend.llm_quota_rules as rules on rules.rule_id = 'team-month';

create table llm_spend.llm_budget_status as
with last_date as (
    select max(usage_date) as as_of from llm_spend.fct_llm_requests
)

select
    usage.rule_set,
    usage.rule_id,
    usage.subject_type,
    usage.subject,
    usage.unit,
    usage.enforcement,
    usage.window_start as period_start,
    usage.window_end as period_end,
    usage.limit_to as budget_usd,
    usage.used as spent_usd,
    usage.limit_to - usage.used as remaining_usd,
    usage.used_ratio,
    case
        when usage.window_end <= last_date.as_of + 1 then usage.used
        -- In units of 10^-12 USD; a day of the month with data counts as a whole one.
        else cast(
            cast(
                (
                    cast(replace(cast(usage.used as varchar), '.', '') as hugeint) * day(last_day(last_date.as_of)) * 2
                    + day(last_date.as_of) * 10000000000
                ) // (day(last_date.as_of) * 20000000000) as decimal(24, 0)
            ) * cast(0.01 as decimal(3, 2)) as decimal(38, 12)
        )
    end as forecast_usd,
    usage.status,
    if(usage.unpriced_requests = 0, 'exact', 'unreliable') as reliability,
    usage.unpriced_tokens,
    usage.unpriced_requests,
    last_date.as_of between usage.window_start and usage.window_end - interval 1 day as is_current,
    last_date.as_of,
    -- The log was loaded after its last day.
    cast(last_date.as_of + 1 as timestamp) as known_to,
    usage.rule_key
from llm_spend.llm_quota_usage as usage
cross join last_date
where usage.rule_id = 'team-month';

create temp table breached as
select * from llm_spend.llm_quota_usage
where status = 'breached';

-- The requests of breached windows, in the order in which they were made and in the order in which they arrived.
create temp table moves as
select
    breached.rule_id, breached.subject, breached.window_start, breached.limit_to,
    counted.started_at, counted.loaded_at, counted.request_key, counted.counted_requests as quantity
from counted
inner join breached
    on
        breached.rule_id = 'user-minute'
        and counted.user_id = breached.subject
        and date_trunc('minute', counted.started_at) = breached.window_start
where counted.counted_requests is not null
union all
select
    breached.rule_id, breached.subject, breached.window_start, breached.limit_to,
    counted.started_at, counted.loaded_at, counted.request_key, counted.counted_tokens
from counted
inner join breached
    on
        breached.rule_id = 'team-hour'
        and counted.team_id = breached.subject
        and date_trunc('hour', counted.started_at) = breached.window_start
where counted.counted_tokens is not null
union all
select
    breached.rule_id, breached.subject, breached.window_start, breached.limit_to,
    counted.started_at, counted.loaded_at, counted.request_key, counted.counted_tokens
from counted
inner join breached
    on
        breached.rule_id = 'user-day'
        and counted.user_id = breached.subject
        and counted.usage_date = breached.window_start
where counted.counted_tokens is not null
union all
select
    breached.rule_id, breached.subject, breached.window_start, breached.limit_to,
    counted.started_at, counted.loaded_at, counted.request_key, counted.quantity
from counted
inner join breached
    on
        counted.rule_id = breached.rule_id
        and counted.subject = breached.subject
        and if(counted.rule_id like '%hourly', date_trunc('hour', counted.started_at), counted.usage_date)
        = breached.window_start
where
    counted.quantity is not null
    and counted.usage_date in (
        select cast(window_start as date) from breached where rule_set not in ('windows', 'budgets')
    )
union all
select
    breached.rule_id, breached.subject, breached.window_start, breached.limit_to,
    requests.started_at, requests.loaded_at, requests.request_key, requests.cost_usd
from llm_spend.fct_llm_requests as requests
inner join breached
    on
        breached.rule_id = 'team-month'
        and requests.team_id = breached.subject
        and date_trunc('month', requests.usage_date) = breached.window_start
where requests.cost_usd > 0;

create table llm_spend.llm_quota_breaches as
with running as (
    select
        *,
        sum(quantity) over (
            partition by rule_id, subject, window_start
            order by started_at, request_key
            rows unbounded preceding
        ) as used_so_far,
        sum(quantity) over (
            partition by rule_id, subject, window_start
            order by loaded_at, started_at, request_key
            rows unbounded preceding
        ) as loaded_so_far
    from moves
),

crossings as (
    select
        rule_id,
        subject,
        window_start,
        min((started_at, request_key)) filter (used_so_far > limit_to) as crossing,
        min(loaded_at) filter (loaded_so_far > limit_to) as detected_at
    from running
    group by rule_id, subject, window_start
)

select
    breached.rule_set,
    breached.rule_id,
    breached.subject_type,
    breached.subject,
    breached.unit,
    breached.enforcement,
    breached.limit_to,
    breached.usage_date,
    breached.window_start,
    breached.window_end,
    crossings.crossing[1] as breached_at,
    crossings.crossing[2] as breach_request_key,
    breached.used,
    breached.used - breached.limit_to as overage,
    breached.observed_blocks,
    crossings.detected_at,
    cast(null as timestamp) as voided_at,
    breached.rule_key
from breached
inner join crossings using (rule_id, subject, window_start);
