with

seed_rows as (

    select * from {{ ref('seats') }}

),

final as (

    select
        lower(trim(provider)) as provider,
        coalesce(trim(provider_instance), '') as provider_instance,
        trim(product) as product,
        -- Some warehouses would round what is no whole number.
        case
            when {{ llm_spend.regex_found("trim(seats)", "'^[0-9]+$'") }}
                then {{ llm_spend.seed_number('seats', dbt.type_bigint()) }}
        end as seats,
        {{ llm_spend.seed_number('price_per_seat', llm_spend.type_price()) }} as price_per_seat,
        upper(nullif(trim(currency), '')) as currency,
        nullif(trim(team_id), '') as team_id,
        nullif(trim(cost_center_id), '') as cost_center_id,
        {{ llm_spend.seed_number('valid_from', 'date') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as valid_to
    from seed_rows

)

select * from final
