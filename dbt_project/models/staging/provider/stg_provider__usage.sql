with usage_rows as (
    select * from {{ source('provider', 'provider__usage') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        lower(provider) as provider,
        lower(profile) as profile,
        coalesce(usage_rows.grouping, '') as grouped_by,
        lower(usage_type) as usage_type,
        bucket_start,
        bucket_end,
        settles_at,
        coalesce(occurrence, 0) as stated_occurrence,
        project_id,
        api_key_id,
        user_id,
        customer_id,
        model as raw_model,
        lower(service_tier) as service_tier,
        lower(region) as region,
        context_window,
        {{ stored_json('dimensions') }} as dimensions,
        requests,
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        reasoning_tokens,
        total_tokens,
        {{ stored_json('other_usage') }} as other_usage,
        case
            when lower(cost_unit) in ('us_cent', 'cent') then {{ cents_to_usd('estimated_amount') }}
            else estimated_amount
        end as estimated_amount,
        case when lower(cost_unit) in ('us_cent', 'usd') then 'USD' else upper(currency) end as estimate_currency,
        data_refreshed_at,
        _file as path,
        _dlt_load_id as load_id
    from usage_rows
    where _problem is null
)

select * from final
