-- Every attempt of a model with a candidate is priced on it, or counted among those that can't be; and what is not
-- comparable has its reason.
{{ config(severity='error') }}

with request_groups as (
    select
        usage_date,
        {{ month_start('usage_date') }} as billing_period,
        feature_id,
        model_id,
        sum(requests) as requests,
        sum(total_tokens) as total_tokens
    from {{ ref('int_request_groups_daily') }}
    where price_status not in ('cache_hit', 'not_billed')
    group by usage_date, feature_id, model_id
),

switches as (
    select * from {{ ref('stg_mapping__model_switches') }}
),

expected as (
    select
        request_groups.billing_period,
        request_groups.feature_id,
        request_groups.model_id,
        switches.to_model_id,
        sum(request_groups.requests) as requests,
        sum(request_groups.total_tokens) as total_tokens
    from request_groups
    inner join switches
        on
            request_groups.model_id = switches.from_model_id
            and request_groups.usage_date >= switches.valid_from
            and request_groups.usage_date < switches.valid_to
    group by request_groups.billing_period, request_groups.feature_id, request_groups.model_id, switches.to_model_id
),

found as (
    select
        billing_period,
        feature_id,
        model_id,
        to_model_id,
        sum(requests + not_comparable_requests) as requests,
        sum(total_tokens + not_comparable_tokens) as total_tokens,
        sum(case when requests > 0 and saving_usd is null then 1 else 0 end) as unknown_savings
    from {{ ref('llm_model_switch_savings') }}
    group by billing_period, feature_id, model_id, to_model_id
)

select
    coalesce(expected.billing_period, found.billing_period) as billing_period,
    coalesce(expected.feature_id, found.feature_id) as feature_id,
    coalesce(expected.model_id, found.model_id) as model_id,
    coalesce(expected.to_model_id, found.to_model_id) as to_model_id,
    expected.requests as expected_requests,
    found.requests as found_requests,
    expected.total_tokens as expected_tokens,
    found.total_tokens as found_tokens,
    found.unknown_savings
from expected
full outer join found
    on
        expected.billing_period = found.billing_period
        and expected.feature_id = found.feature_id
        and expected.model_id = found.model_id
        and expected.to_model_id = found.to_model_id
where
    coalesce(expected.requests <> found.requests, true)
    or coalesce(expected.total_tokens <> found.total_tokens, true)
    or found.unknown_savings > 0
