-- Of every key and month, teams add up to all requests and to all of the cost; and what has the key is what
-- llm_usage_by_tag_daily says, but for months with a date on which some of many keys were left out.
{{ config(severity='error') }}

with coverage as (
    select
        billing_period,
        tag_key,
        sum(requests) as requests,
        sum(requests_with_tag) as requests_with_tag,
        coalesce(sum(cost_usd), 0) as cost_usd,
        coalesce(sum(cost_with_tag_usd), 0) as cost_with_tag_usd,
        sum(unpriced_requests) as unpriced_requests
    from {{ ref('llm_tag_coverage') }}
    group by billing_period, tag_key
),

totals as (
    select
        {{ month_start('usage_date') }} as billing_period,
        sum(requests) as requests,
        coalesce(sum(cost_usd), 0) as cost_usd,
        sum(unpriced_requests) as unpriced_requests
    from {{ ref('llm_usage_by_team_daily') }}
    group by {{ month_start('usage_date') }}
),

tagged as (
    select
        {{ month_start('usage_date') }} as billing_period,
        tag_key,
        sum(requests) as requests,
        coalesce(sum(cost_usd), 0) as cost_usd
    from {{ ref('llm_usage_by_tag_daily') }}
    where substr(tag_key, 1, 1) <> '('
    group by {{ month_start('usage_date') }}, tag_key
),

months_of_many_keys as (
    select {{ month_start('usage_date') }} as billing_period
    from (
        select usage_date
        from {{ ref('llm_usage_by_tag_daily') }}
        group by usage_date
        having count(distinct tag_key) > {{ most_tag_keys() }}
    ) as dates
    group by {{ month_start('usage_date') }}
),

final as (
    select
        coverage.billing_period,
        coverage.tag_key,
        coverage.requests,
        totals.requests as all_requests,
        coverage.cost_usd,
        totals.cost_usd as all_cost_usd,
        coverage.requests_with_tag,
        tagged.requests as tagged_requests,
        coverage.cost_with_tag_usd,
        tagged.cost_usd as tagged_cost_usd
    from coverage
    left join totals on coverage.billing_period = totals.billing_period
    left join tagged on coverage.billing_period = tagged.billing_period and coverage.tag_key = tagged.tag_key
    where
        totals.billing_period is null
        or coverage.requests <> totals.requests
        or coverage.cost_usd <> totals.cost_usd
        or coverage.unpriced_requests <> totals.unpriced_requests
        or coverage.requests_with_tag > coverage.requests
        or (
            (coverage.requests_with_tag <> tagged.requests or coverage.cost_with_tag_usd <> tagged.cost_usd)
            and coverage.billing_period not in (select billing_period from months_of_many_keys)
        )
)

select * from final
