with cost_lines as (
    select * from {{ source('provider', 'provider__costs') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        lower(provider) as provider,
        lower(profile) as profile,
        coalesce(cost_lines.grouping, '') as grouped_by,
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
        line_item,
        cost_type,
        token_type,
        coalesce(charge_category, 'Usage') as charge_category,
        quantity,
        quantity_unit,
        requests,
        case when lower(cost_unit) = 'cent' then {{ cents_to_usd('amount') }} else amount end as billed_amount,
        case when lower(cost_unit) = 'cent' then {{ cents_to_usd('list_amount') }} else list_amount end as list_amount,
        upper(currency) as billing_currency,
        coalesce(is_cash, true) as is_cash,
        data_refreshed_at,
        _file as path,
        _dlt_load_id as load_id
    from cost_lines
    where _problem is null
)

select * from final
