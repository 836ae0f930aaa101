{% set zone = "'" ~ llm_spend.billing_time_zone() ~ "'" %}

with closed_periods as (
    select * from {{ ref('int_closed_periods') }}
),

numbers as (
    {{ llm_spend.numbers() }}
),

months as (
    select cast({{ dbt.dateadd('month', 'numbers.number', "cast('2000-01-01' as date)") }} as date) as billing_period
    from numbers
),

-- What is closed keeps its hours; the open month after it begins where it ended.
begun as (
    select
        months.billing_period,
        coalesce(
            closed_periods.starts_at,
            closed_before.ends_at,
            {{ llm_spend.local_midnight('months.billing_period', zone) | indent(12) }}
        ) as starts_at
    from months
    left join closed_periods
        on months.billing_period = closed_periods.billing_period
    left join closed_periods as closed_before
        on months.billing_period = {{ llm_spend.month_after('closed_before.billing_period') }}
),

final as (
    select
        billing_period,
        cast(starts_at as {{ llm_spend.type_timestamp() }}) as starts_at,
        cast(starts_at as date) as usage_date
    from begun
    where starts_at <> cast(billing_period as {{ llm_spend.type_timestamp() }})
)

select * from final
