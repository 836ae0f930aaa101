with days as (
    select * from {{ ref('int_requests_daily') }}
    where unpriced_requests > 0
),

final as (
    select
        source_system,
        coalesce(provider, '(unknown)') as provider,
        coalesce(resolved_model, '(unknown)') as resolved_model,
        coalesce(model_id, '(unresolved)') as model_id,
        price_status,
        cast(sum(unpriced_requests) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(sum(unpriced_tokens) as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(sum(unpriced_gateway_usd) as {{ type_money() }}) as gateway_reported_usd,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from days
    group by 1, 2, 3, 4, 5
)

select * from final
