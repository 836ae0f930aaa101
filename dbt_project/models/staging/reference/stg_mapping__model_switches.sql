with

seed_rows as (

    select * from {{ ref('model_switches') }}

),

typed as (

    select
        nullif(trim(from_model_id), '') as from_model_id,
        nullif(lower(trim(to_channel)), '') as to_channel,
        nullif(trim(to_model_id), '') as to_model_id,
        {{ llm_spend.seed_number('token_factor', llm_spend.type_decimal(12, 6), when_empty='1') }} as token_factor,
        nullif(trim(note), '') as note,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-31') }} as valid_to
    from seed_rows

),

final as (

    select
        from_model_id,
        to_channel,
        to_model_id,
        token_factor,
        note,
        valid_from,
        -- A pair has one factor on a day: the later row counts from its first day on.
        least(
            valid_to,
            lead(valid_from, 1, cast('9999-12-31' as date)) over (
                partition by from_model_id, to_channel, to_model_id
                order by valid_from
            )
        ) as valid_to
    from typed
    where
        from_model_id is not null
        and to_model_id is not null
        and token_factor > 0
        and valid_from < valid_to

)

select * from final
