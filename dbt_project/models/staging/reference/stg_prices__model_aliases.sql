with

seed_rows as (

    select * from {{ ref('model_aliases') }}

),

final as (

    select
        nullif(trim(provider), '') as provider,
        lower(trim(channel)) as channel,
        trim(model_id) as model_id,
        lower(trim(match_type)) as match_type,
        lower(trim(pattern)) as pattern,
        nullif(lower(trim(excluded_pattern)), '') as excluded_pattern,
        {{ llm_spend.seed_number('catalogue_order', dbt.type_bigint()) }} as catalogue_order,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to
    from seed_rows

)

select * from final
