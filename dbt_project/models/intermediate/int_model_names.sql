with requests as (
    select * from {{ ref('int_requests_unioned') }}
),

final as (
    select distinct
        source_system,
        raw_provider,
        raw_model
    from requests
)

select * from final
