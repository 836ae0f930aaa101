with

seed_rows as (

    select * from {{ ref('alias_overrides') }}

),

final as (

    select
        nullif(trim(provider), '') as provider,
        lower(trim(channel)) as channel,
        trim(model_id) as model_id,
        lower(trim(match_type)) as match_type,
        lower(trim(pattern)) as pattern,
        {{ llm_spend.seed_instant('valid_from', when_empty='1970-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        nullif(trim(reason), '') as reason,
        nullif(trim(source_url), '') as source_url
    from seed_rows

)

select * from final
