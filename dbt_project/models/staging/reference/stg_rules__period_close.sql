with

seed_rows as (

    select * from {{ ref('period_close') }}

),

final as (

    select
        {{ llm_spend.seed_number('billing_period', 'date') }} as billing_period,
        coalesce(nullif(lower(trim(action)), ''), 'close') as action,
        {{ llm_spend.seed_instant('closed_at', when_empty='') }} as closed_at,
        trim(closed_at) as closing,
        nullif(trim(closed_by), '') as closed_by,
        nullif(trim(reason), '') as reason,
        coalesce(nullif(trim(time_zone), ''), 'UTC') as time_zone
    from seed_rows

)

select * from final
