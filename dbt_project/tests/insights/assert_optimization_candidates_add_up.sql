-- What was paid for nothing adds up to what the days say of it, to the last digit; and no finding saves more than was spent,
-- or has its saving outside of its range.
{{ config(severity='error') }}

{% set kinds = {
    'paid_failures': 'failed', 'paid_retries': 'retried', 'paid_fallbacks': 'replaced', 'duplicate_prompts': 'repeated'
} %}

with request_groups as (
    select * from {{ ref('int_request_groups_daily') }}
),

candidates as (
    select * from {{ ref('llm_optimization_candidates') }}
),

expected as (
    {% for kind, finding in kinds.items() -%}
    select
        '{{ kind }}' as kind,
        {{ month_start('usage_date') }} as billing_period,
        sum({{ finding }}_requests) as requests,
        coalesce(sum({{ finding }}_cost_usd), 0) as spend_usd
    from request_groups
    group by {{ month_start('usage_date') }}
    having sum({{ finding }}_requests) > 0
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

found as (
    select
        kind,
        billing_period,
        sum(requests) as requests,
        coalesce(sum(spend_usd), 0) as spend_usd
    from candidates
    where kind in ('{{ kinds | join("', '") }}')
    group by kind, billing_period
),

problems as (
    select
        coalesce(expected.kind, found.kind) as kind,
        coalesce(expected.billing_period, found.billing_period) as billing_period,
        'the rows do not add up to the days' as problem
    from expected
    full outer join found
        on expected.kind = found.kind and expected.billing_period = found.billing_period
    where
        coalesce(expected.requests <> found.requests, true)
        or coalesce(expected.spend_usd <> found.spend_usd, true)
    union all
    select
        kind,
        billing_period,
        'the saving is outside of its range' as problem
    from candidates
    where
        saving_low_usd < 0
        or saving_low_usd > saving_usd
        or saving_usd > saving_high_usd
        or saving_high_usd > spend_usd
)

select * from problems
