{% set no_text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}

with

source as (

    select * from {{ ref('model_prices') }}

),

final as (

    {{ llm_spend.price_cell_columns('source', reason=no_text, source_url=no_text) }}

)

select * from final
