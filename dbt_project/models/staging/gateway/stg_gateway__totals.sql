with totals as (
    select * from {{ source('gateway', 'gateway__totals') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        bucket_start,
        bucket_end,
        dimension,
        member,
        requests,
        errors,
        cache_hits,
        input_tokens,
        output_tokens,
        total_tokens,
        case
            when cost_unit = 'us_cent' then {{ cents_to_usd('cost_amount') }}
            when cost_unit = 'usd' then cost_amount
        end as cost_usd,
        weighted_feedback_sum,
        requests_with_feedback,
        first_seen_at,
        last_seen_at,
        _dlt_load_id as load_id
    from totals
    where _problem is null
)

select * from final
