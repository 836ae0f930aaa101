with requests as (
    select
        source_system,
        coalesce(provider, '(unknown)') as provider,
        coalesce(resolved_model, '(unknown)') as resolved_model,
        coalesce(model_id, '(unresolved)') as model_id,
        price_status,
        total_tokens,
        gateway_reported_usd,
        started_at
    from {{ ref('fct_llm_requests') }}
    where cost_usd is null
),

final as (
    select
        source_system,
        provider,
        resolved_model,
        model_id,
        price_status,
        cast(count(*) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(sum(coalesce(total_tokens, 0)) as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(sum(gateway_reported_usd) as {{ type_money() }}) as gateway_reported_usd,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from requests
    group by source_system, provider, resolved_model, model_id, price_status
)

select * from final
