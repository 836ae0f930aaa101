with

seed_rows as (

    select * from {{ ref('kpis') }}

),

final as (

    select
        trim(kpi_id) as kpi_id,
        coalesce(nullif(trim(kpi_name), ''), trim(kpi_id)) as kpi_name,
        nullif(trim(meaning), '') as meaning,
        trim(numerator) as numerator,
        trim(denominator) as denominator,
        {{ llm_spend.kpi_event('trim(numerator)') }} as numerator_event,
        {{ llm_spend.kpi_event('trim(denominator)') }} as denominator_event,
        {{ llm_spend.seed_number('per', dbt.type_bigint(), when_empty='1') }} as per,
        nullif(trim(unit), '') as unit,
        nullif(trim(owner), '') as owner
    from seed_rows

)

select * from final
