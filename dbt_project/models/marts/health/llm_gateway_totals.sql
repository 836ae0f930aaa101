{% set measures = [
    'requests', 'errors', 'cache_hits', 'input_tokens', 'output_tokens', 'total_tokens', 'cost_usd',
    'weighted_feedback_sum', 'requests_with_feedback', 'first_seen_at', 'last_seen_at'
] %}

with totals as (
    select * from {{ ref('stg_gateway__totals') }}
    where load_id in (select load_id from {{ ref('int_loads') }})
),

-- Windows may overlap without one lying within the other: the newest answer counts.
ranked as (
    select
        *,
        row_number() over (
            partition by source_system, source_instance, bucket_start, bucket_end, dimension, member
            order by
                load_id desc, coalesce(requests, -1) desc, coalesce(cost_usd, -1) desc, coalesce(total_tokens, -1) desc,
                coalesce(input_tokens, -1) desc, coalesce(output_tokens, -1) desc, coalesce(errors, -1) desc
        ) as choice
    from totals
),

final as (
    select
        source_system,
        source_instance,
        cast(bucket_start as date) as usage_date,
        bucket_start,
        bucket_end,
        dimension,
        member,
        {{ measures | join(',\n        ') }}
    from ranked
    where choice = 1
)

select * from final
