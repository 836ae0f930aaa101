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
    nullif(applies_per, '') as applies_per,
    coalesce(nullif(applies_per, ''), subject_type) as counter_subject_type,
    if(nullif(applies_per, '') is null, subject, null) as counter_subject,
    unit,
    if(unit like 'tokens%', 'tokens', 'requests') as measure,
    split_part(unit, '_per_', 2) as window_unit,
    cast(limit_to as bigint) as limit_to,
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

create table llm_spend.llm_quota_usage as
select
    rules.rule_set,
    rules.rule_id,
    rules.counter_subject_type as subject_type,
    windows.subject,
    rules.unit,
    rules.limit_to,
    cast(windows.window_start as date) as usage_date,
    windows.window_start,
    case rules.window_unit
        when 'minute' then windows.window_start + interval 1 minute
        when 'hour' then windows.window_start + interval 1 hour
        when 'day' then windows.window_start + interval 1 day
    end as window_end,
    windows.used,
    whole_ratio(windows.used, rules.limit_to) as used_ratio,
    case
        when windows.used > rules.limit_to then 'breached'
        when windows.used > 0 and windows.used * 10 >= rules.limit_to * 8 then 'warning'
        else 'ok'
    end as status,
    windows.observed_blocks,
    windows.unmeasured_requests,
    rules.rule_key
from windows
inner join llm_spend.llm_quota_rules as rules on windows.rule_id = rules.rule_id;

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
    and counted.usage_date in (select cast(window_start as date) from breached where rule_set <> 'windows');

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
