with

seed_rows as (

    select * from {{ ref('price_overrides') }}

),

final as (

    {{ llm_spend.price_cell_columns('seed_rows', {
        'reason': "nullif(trim(reason), '')",
        'source_url': "nullif(trim(source_url), '')"
    }) }}

)

select * from final
