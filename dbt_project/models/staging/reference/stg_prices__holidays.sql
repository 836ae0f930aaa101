{% set holiday_date = llm_spend.seed_number('holiday_date', 'date') %}
with

seed_rows as (

    select * from {{ ref('holidays') }}

),

final as (

    select
        lower(trim(holiday_calendar)) as holiday_calendar,
        {{ holiday_date }} as holiday_date,
        cast({{ dbt.dateadd('day', 1, holiday_date) }} as date) as next_date,
        nullif(trim(reason), '') as reason
    from seed_rows

)

select * from final
