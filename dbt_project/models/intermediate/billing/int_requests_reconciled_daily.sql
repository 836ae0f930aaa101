{{ config(**llm_spend.by_usage_date()) }}

{% set buckets = llm_spend.token_buckets() | map(attribute='quantity') | list %}
{% set members = [
    'source_system', 'source_instance', 'channel', 'model', 'service_tier', 'region', 'estimate_basis'
] %}

with dates_to_build as (
    {{ dates_to_build() }}
),

-- What reached a provider, or may have, and counts.
requests as (
    select
        usage_date,
        source_system,
        source_instance,
        coalesce(channel, provider, '(unknown)') as channel,
        coalesce(model_id, lower(resolved_model), '(unknown)') as model,
        {{ tier_name('service_tier') }} as service_tier,
        coalesce(lower(region), '(none)') as region,
        case
            when contract_cost_usd is null and gateway_reported_usd is null then 'unknown'
            when contract_cost_usd is null then 'unpriced'
            when gateway_reported_usd is null then 'contract'
            when gateway_reported_usd = 0 and contract_cost_usd <> 0 then 'zero'
            else 'reported'
        end as estimate_basis,
        gateway_reported_usd,
        contract_cost_usd,
        price_status in ('unmeasured', 'no_usage', 'usage_conflict') or status = 'cancelled' as is_unmeasured,
        price_status = 'unpriced' as is_unpriced,
        {{ buckets | join(',\n        ') }}
    from {{ ref('fct_llm_requests') }}
    where
        {{ is_to_build() }}
        and is_of_record
        and not coalesce(is_gateway_cache_hit, false)
),

measured as (
    select
        usage_date,
        {{ members | join(',\n        ') }},
        count(*) as attempts,
        sum(case when is_unmeasured then 1 else 0 end) as unmeasured_attempts,
        sum(case when is_unpriced then 1 else 0 end) as unpriced_attempts,
        {% for bucket in buckets -%}
        sum(case when contract_cost_usd is null then 0 else coalesce({{ bucket }}, 0) end) as {{ bucket }},
        {% endfor -%}
        sum(coalesce(gateway_reported_usd, contract_cost_usd, 0)) as gateway_usd,
        sum(coalesce(contract_cost_usd, gateway_reported_usd, 0)) as contract_usd
    from requests
    group by usage_date, {{ members | join(', ') }}
),

final as (
    select
        measured.usage_date,
        {{ members | join(',\n        ') }},
        {% for count in ['attempts', 'unmeasured_attempts', 'unpriced_attempts'] + buckets -%}
        cast({{ count }} as {{ dbt.type_bigint() }}) as {{ count }},
        {% endfor -%}
        cast(gateway_usd as {{ type_money() }}) as gateway_usd,
        cast(contract_usd as {{ type_money() }}) as contract_usd,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
