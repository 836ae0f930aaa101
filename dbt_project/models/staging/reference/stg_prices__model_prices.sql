with

source as (

    select * from {{ ref('model_prices') }}

),

final as (

    {{ llm_spend.price_cell_columns('source', reason='cast(null as ' ~ dbt.type_string() ~ ')', source_url='cast(null as ' ~ dbt.type_string() ~ ')') }}

)

select * from final
