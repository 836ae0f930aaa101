with staged as (
    select * from {{ ref('stg_provider__costs') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

newest as (
    {{ newest_answers(
        'staged',
        provider_row_key(['line_item', 'cost_type', 'token_type', 'charge_category', 'quantity_unit', 'billing_currency']),
        ['billed_amount', 'coalesce(list_amount, 0)', 'coalesce(quantity, 0)', 'coalesce(requests, 0)', 'is_cash']
    ) }}
),

rated as (
    select
        newest.*,
        {{ usd_rate('newest.billing_currency', 'fx_rates') }} as usd_per_unit
    from newest
    left join fx_rates
        on {{ rate_holds('fx_rates', 'newest.billing_currency', 'cast(newest.bucket_start as date)') }}
),

final as (
    select
        row_key,
        source_system,
        source_instance,
        provider,
        profile,
        grouped_by,
        bucket_start,
        bucket_end,
        project_id,
        api_key_id,
        user_id,
        customer_id,
        raw_model,
        service_tier,
        region,
        context_window,
        dimensions,
        occurrence,
        line_item,
        cost_type,
        token_type,
        charge_category,
        quantity,
        quantity_unit,
        requests,
        billed_amount,
        billing_currency,
        usd_per_unit,
        {{ in_usd('billed_amount', 'billing_currency', 'usd_per_unit') }} as billed_usd,
        {{ in_usd('list_amount', 'billing_currency', 'usd_per_unit') }} as list_usd,
        is_cash,
        origin,
        asked_at >= coalesce(settles_at, bucket_end) as is_final,
        asked_at,
        load_id,
        cast(null as {{ dbt.type_string() }}) as team_id,
        cast(null as {{ dbt.type_string() }}) as cost_center_id
    from rated
)

select * from final
