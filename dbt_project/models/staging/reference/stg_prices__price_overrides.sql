with

source as (

    select * from {{ ref('price_overrides') }}

),

final as (

    {{ llm_spend.price_cell_columns('source', reason="nullif(reason, '')", source_url="nullif(source_url, '')") }}

)

select * from final
