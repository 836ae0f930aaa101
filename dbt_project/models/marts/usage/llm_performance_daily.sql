{{ config(**llm_spend.by_usage_date()) }}

with dates_to_build as (
    {{ dates_to_build() }}
),

requests as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        coalesce(model_id, '(unresolved)') as model_id,
        coalesce(operation, '(unknown)') as operation,
        is_final_attempt,
        status,
        -- How long a provider takes is told by calls that it answered, not by cache hits or refusals.
        case when status = 'success' and not coalesce(is_gateway_cache_hit, false) then latency_ms end
            as answered_latency_ms,
        case when status = 'success' and not coalesce(is_gateway_cache_hit, false) then ttft_ms end as answered_ttft_ms
    from {{ ref('fct_llm_requests') }}
    where {{ is_to_build() }} and is_of_record
),

measured as (
    select
        usage_date,
        provider,
        model_id,
        operation,
        cast(count(*) as {{ dbt.type_bigint() }}) as attempts,
        cast(sum(case when is_final_attempt then 1 else 0 end) as {{ dbt.type_bigint() }}) as requests,
        cast(sum(case when status = 'error' then 1 else 0 end) as {{ dbt.type_bigint() }}) as failed_attempts,
        {% for measure in ['latency', 'ttft'] -%}
        {% for percent in [50, 90, 99] -%}
        {{ percentile('answered_' ~ measure ~ '_ms', percent) }} as p{{ percent }}_{{ measure }}_ms,
        {% endfor -%}
        {% endfor -%}
        cast(count(answered_latency_ms) as {{ dbt.type_bigint() }}) as attempts_with_latency
    from requests
    group by usage_date, provider, model_id, operation
),

final as (
    select
        measured.usage_date,
        provider,
        model_id,
        operation,
        requests,
        attempts,
        failed_attempts,
        {{ whole_ratio('failed_attempts', 'attempts') }} as error_rate,
        p50_latency_ms,
        p90_latency_ms,
        p99_latency_ms,
        p50_ttft_ms,
        p90_ttft_ms,
        p99_ttft_ms,
        attempts_with_latency,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
