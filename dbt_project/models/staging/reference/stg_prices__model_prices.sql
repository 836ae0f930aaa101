{% set no_text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}

with

seed_rows as (

    select * from {{ ref('model_prices') }}
    where coalesce(trim(retracted_at), '') = ''

),

final as (

    {{ llm_spend.price_cell_columns('seed_rows', {
        'recorded_at': "nullif(trim(recorded_at), '')",
        'reason': no_text,
        'source_url': no_text
    }) }}

)

select * from final
