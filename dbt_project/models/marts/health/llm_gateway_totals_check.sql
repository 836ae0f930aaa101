{% set measures = ['requests', 'tokens', 'cost_usd'] %}

-- Buckets that lie within one UTC day; of others nobody knows which part is on which.
with gateway_days as (
    select
        source_system,
        source_instance,
        usage_date,
        sum(requests) as requests,
        sum(coalesce(total_tokens, input_tokens + output_tokens)) as tokens,
        sum(cost_usd) as cost_usd
    from {{ ref('llm_gateway_totals') }}
    where
        dimension = 'all'
        and cast({{ minutes_before('bucket_end', 1) }} as date) = usage_date
    group by source_system, source_instance, usage_date
),

-- As the gateway counts: every record of its log, with what it says of it.
counted_days as (
    select
        source_system,
        source_instance,
        usage_date,
        sum(attempts) as requests,
        sum(logged_tokens) as tokens,
        sum(gateway_reported_usd) as cost_usd
    from {{ ref('int_requests_daily') }}
    group by source_system, source_instance, usage_date
),

logs as (
    select
        source_system,
        source_instance,
        min(usage_date) as first_usage_date
    from counted_days
    group by source_system, source_instance
),

compared as (
    select
        gateway_days.source_system,
        gateway_days.source_instance,
        gateway_days.usage_date,
        coalesce(logs.first_usage_date <= gateway_days.usage_date, false) as is_log_loaded,
        -- Before its log begins nobody knows what a day had; since then a day without records had none.
        coalesce(counted_days.requests, case when logs.first_usage_date <= gateway_days.usage_date then 0 end)
            as counted_requests,
        case
            when counted_days.requests is not null then counted_days.tokens
            when logs.first_usage_date <= gateway_days.usage_date then 0
        end as counted_tokens,
        counted_days.cost_usd as counted_cost_usd,
        gateway_days.requests as gateway_requests,
        gateway_days.tokens as gateway_tokens,
        gateway_days.cost_usd as gateway_cost_usd
    from gateway_days
    left join counted_days
        on
            gateway_days.source_system = counted_days.source_system
            and gateway_days.source_instance = counted_days.source_instance
            and gateway_days.usage_date = counted_days.usage_date
    left join logs
        on
            gateway_days.source_system = logs.source_system
            and gateway_days.source_instance = logs.source_instance
),

differing as (
    select
        *,
        counted_requests - gateway_requests as requests_difference,
        counted_tokens - gateway_tokens as tokens_difference,
        counted_cost_usd - gateway_cost_usd as cost_usd_difference
    from compared
),

final as (
    select
        usage_date,
        source_system,
        source_instance,
        {%- for measure in measures %}
        {%- set type = type_money() if measure == 'cost_usd' else dbt.type_bigint() %}
        {%- set factor = ' * 1000000' if measure == 'cost_usd' else '' %}
        cast(counted_{{ measure }} as {{ type }}) as counted_{{ measure }},
        cast(gateway_{{ measure }} as {{ type }}) as gateway_{{ measure }},
        cast({{ measure }}_difference as {{ type }}) as {{ measure }}_difference,
        {{ whole_ratio(
            'cast(' ~ measure ~ '_difference' ~ factor ~ ' as ' ~ dbt.type_bigint() ~ ')',
            'cast(greatest(counted_' ~ measure ~ ', gateway_' ~ measure ~ ')' ~ factor ~ ' as ' ~ dbt.type_bigint() ~ ')'
        ) }} as {{ measure }}_difference_ratio,
        {%- endfor %}
        is_log_loaded,
        -- More than a late row or two, and more than one in fifty.
        is_log_loaded
        and coalesce(requests_difference < -5 and requests_difference * -50 > gateway_requests, false)
            as is_partial_suspected
    from differing
)

select * from final
