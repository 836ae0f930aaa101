-- These marts share their measures: one pass over the requests, one set of groups for each.
create temp table usage as
with counted as (
    select
        grouping(user_id, team_id, feature_id, customer_id, resolved_model) as marts,
        usage_date,
        user_id,
        team_id,
        cost_center_id,
        feature_id,
        customer_id,
        provider,
        model_id,
        resolved_model,
        environment,
        count(*) filter (is_final_attempt) as requests,
        count(*) as attempts,
        count(*) filter (is_final_attempt and status = 'error') as errors,
        count(*) filter (is_final_attempt and status like 'blocked%') as blocked_requests,
        count(*) filter (is_gateway_cache_hit) as cache_hits,
        coalesce(cast(sum(input_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as input_tokens,
        coalesce(cast(sum(output_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as output_tokens,
        coalesce(cast(sum(cache_read_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as cache_read_tokens,
        coalesce(cast(sum(total_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as total_tokens,
        sum(cost_usd) as cost_usd,
        sum(gateway_reported_usd) as gateway_reported_usd,
        count(*) filter (cost_usd is null) as unpriced_requests,
        coalesce(cast(sum(total_tokens) filter (cost_usd is null) as bigint), 0) as unpriced_tokens,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from (
        select
            * replace (
                coalesce(provider, '(unknown)') as provider,
                coalesce(model_id, '(unresolved)') as model_id,
                coalesce(resolved_model, '(unknown)') as resolved_model
            )
        from llm_spend.fct_llm_requests
    )
    group by grouping sets (
        (usage_date, user_id),
        (usage_date, team_id, cost_center_id),
        (usage_date, feature_id),
        (usage_date, customer_id),
        (usage_date, provider, model_id, resolved_model),
        (
            usage_date, provider, model_id, resolved_model, user_id, team_id, cost_center_id, feature_id, customer_id,
            environment
        )
    )
)

select
    *,
    whole_ratio(total_tokens, requests) as avg_tokens,
    -- Portkey's exports hold no feedback.
    cast(null as decimal(18, 6)) as avg_weighted_feedback,
    cast(0 as bigint) as requests_with_feedback
from counted;

create table llm_spend.llm_usage_daily as
select
    * exclude (marts),
    cast(null as decimal(38, 6)) as feedback_score_sum
from usage
where marts = 0;

create table llm_spend.llm_usage_by_user_daily as
select * exclude (marts, environment, team_id, cost_center_id, feature_id, customer_id, provider, model_id, resolved_model)
from usage
where marts = 15;

create table llm_spend.llm_usage_by_team_daily as
select * exclude (marts, environment, user_id, feature_id, customer_id, provider, model_id, resolved_model)
from usage
where marts = 23;

create table llm_spend.llm_usage_by_feature_daily as
select * exclude (marts, environment, user_id, team_id, cost_center_id, customer_id, provider, model_id, resolved_model)
from usage
where marts = 27;

create table llm_spend.llm_usage_by_customer_daily as
select * exclude (marts, environment, user_id, team_id, cost_center_id, feature_id, provider, model_id, resolved_model)
from usage
where marts = 29;

create table llm_spend.llm_usage_by_model_daily as
with costs as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        coalesce(model_id, '(unresolved)') as model_id,
        coalesce(resolved_model, '(unknown)') as resolved_model,
        sum(uncached_input_cost_usd) as uncached_input_cost_usd,
        sum(cache_read_cost_usd) as cache_read_cost_usd,
        sum(cache_write_cost_usd) as cache_write_cost_usd,
        sum(output_cost_usd) as output_cost_usd,
        sum(other_cost_usd) as other_cost_usd
    from llm_spend.fct_llm_requests
    group by all
)

select * exclude (marts, environment, user_id, team_id, cost_center_id, feature_id, customer_id)
from usage
inner join costs using (usage_date, provider, model_id, resolved_model)
where marts = 30;

create table llm_spend.llm_usage_by_tag_daily as
with tags as (
    select
        usage_date,
        unnest(map_entries(cast(metadata as map(varchar, varchar)))) as tag,
        is_final_attempt,
        status,
        is_gateway_cache_hit,
        input_tokens,
        output_tokens,
        cache_read_tokens,
        total_tokens,
        cost_usd,
        gateway_reported_usd,
        started_at
    from llm_spend.fct_llm_requests
),

counted as (
    select
        usage_date,
        tag.key as tag_key,
        tag.value as tag_value,
        count(*) filter (is_final_attempt) as requests,
        count(*) as attempts,
        count(*) filter (is_final_attempt and status = 'error') as errors,
        count(*) filter (is_final_attempt and status like 'blocked%') as blocked_requests,
        count(*) filter (is_gateway_cache_hit) as cache_hits,
        coalesce(cast(sum(input_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as input_tokens,
        coalesce(cast(sum(output_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as output_tokens,
        coalesce(cast(sum(cache_read_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as cache_read_tokens,
        coalesce(cast(sum(total_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as total_tokens,
        sum(cost_usd) as cost_usd,
        sum(gateway_reported_usd) as gateway_reported_usd,
        count(*) filter (cost_usd is null) as unpriced_requests,
        coalesce(cast(sum(total_tokens) filter (cost_usd is null) as bigint), 0) as unpriced_tokens,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from tags
    where tag.value <> '' and substr(tag.value, 1, 1) not in ('{', '[')
    group by usage_date, tag.key, tag.value
),

bounded as (
    select
        usage_date,
        tag_key,
        if(values_of_key > 1000, '(too many values)', tag_value) as tag_value,
        max(values_of_key) as values_of_key,
        cast(sum(requests) as bigint) as requests,
        cast(sum(attempts) as bigint) as attempts,
        cast(sum(errors) as bigint) as errors,
        cast(sum(blocked_requests) as bigint) as blocked_requests,
        cast(sum(cache_hits) as bigint) as cache_hits,
        cast(sum(input_tokens) as bigint) as input_tokens,
        cast(sum(output_tokens) as bigint) as output_tokens,
        cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
        cast(sum(total_tokens) as bigint) as total_tokens,
        sum(cost_usd) as cost_usd,
        sum(gateway_reported_usd) as gateway_reported_usd,
        cast(sum(unpriced_requests) as bigint) as unpriced_requests,
        cast(sum(unpriced_tokens) as bigint) as unpriced_tokens,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from (select *, count(*) over (partition by usage_date, tag_key) as values_of_key from counted) as counted
    group by usage_date, tag_key, if(values_of_key > 1000, '(too many values)', tag_value)
)

select
    *,
    whole_ratio(total_tokens, requests) as avg_tokens,
    cast(null as decimal(18, 6)) as avg_weighted_feedback,
    cast(0 as bigint) as requests_with_feedback
from bounded;

create table llm_spend.llm_performance_daily as
with requests as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        coalesce(model_id, '(unresolved)') as model_id,
        coalesce(operation, '(unknown)') as operation,
        is_final_attempt,
        status,
        case when status = 'success' and is_gateway_cache_hit is not true then cast(latency_ms as double) end as latency,
        case when status = 'success' and is_gateway_cache_hit is not true then cast(ttft_ms as double) end as ttft
    from llm_spend.fct_llm_requests
),

measured as (
    select
        usage_date,
        provider,
        model_id,
        operation,
        count(*) filter (is_final_attempt) as requests,
        count(*) as attempts,
        count(*) filter (status = 'error') as failed_attempts,
        quantile_cont(latency, [0.5, 0.9, 0.99]) as latencies,
        quantile_cont(ttft, [0.5, 0.9, 0.99]) as ttfts,
        count(latency) as attempts_with_latency
    from requests
    group by usage_date, provider, model_id, operation
)

select
    usage_date,
    provider,
    model_id,
    operation,
    requests,
    attempts,
    failed_attempts,
    whole_ratio(failed_attempts, attempts) as error_rate,
    cast(latencies[1] as decimal(18, 3)) as p50_latency_ms,
    cast(latencies[2] as decimal(18, 3)) as p90_latency_ms,
    cast(latencies[3] as decimal(18, 3)) as p99_latency_ms,
    cast(ttfts[1] as decimal(18, 3)) as p50_ttft_ms,
    cast(ttfts[2] as decimal(18, 3)) as p90_ttft_ms,
    cast(ttfts[3] as decimal(18, 3)) as p99_ttft_ms,
    attempts_with_latency
from measured;
