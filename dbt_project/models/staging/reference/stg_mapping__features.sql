with

seed_rows as (

    select * from {{ ref('features') }}

),

final as (

    select
        trim(feature_id) as feature_id,
        nullif(trim(feature_name), '') as feature_name,
        nullif(trim(description), '') as description,
        nullif(trim(owner), '') as owner
    from seed_rows

)

select * from final
