{% set columns = {
    'event_date': 'date',
    'event_type': dbt.type_string(),
    'feature_id': dbt.type_string(),
    'customer_id': dbt.type_string(),
    'quantity': type_money(),
    'currency': dbt.type_string(),
    'usd_per_unit': type_decimal(18, 12)
} %}

with seed_events as (
    select * from {{ ref('stg_rules__business_events') }}
),

events as (
    select
        {% for column, type in columns.items() -%}
        cast({{ column }} as {{ type }}) as {{ column }},
        {% endfor -%}
        cast(covers as {{ dbt.type_string() }}) as covers
    from seed_events
    {%- for name in var('llm_spend_business_event_models') %}
    union all
    select
        {% for column, type in columns.items() -%}
        cast({{ column }} as {{ type }}) as {{ column }},
        {% endfor -%}
        cast(covers as {{ dbt.type_string() }}) as covers
    from {{ request_model(name) }}
    {%- endfor %}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

in_usd as (
    select
        events.event_date,
        events.event_type,
        events.feature_id,
        events.customer_id,
        events.currency is not null as is_amount,
        coalesce(events.covers, 'day') = 'month' as covers_month,
        case
            when events.currency is null then events.quantity
            else {{ in_usd(
                'events.quantity', 'events.currency',
                'coalesce(events.usd_per_unit, ' ~ usd_rate('events.currency', 'fx_rates') ~ ')'
            ) }}
        end as quantity
    from events
    left join fx_rates
        on {{ rate_holds('fx_rates', 'events.currency', 'events.event_date') }}
),

final as (
    select
        event_date,
        {{ month_start('event_date') }} as billing_period,
        event_type,
        left(event_type, 7) = 'active_' as is_level,
        is_amount,
        covers_month,
        feature_id,
        customer_id,
        cast(sum(quantity) as {{ type_money() }}) as quantity,
        cast(sum(case when quantity is null then 1 else 0 end) as {{ dbt.type_bigint() }}) as unknown_rows
    from in_usd
    group by event_date, event_type, is_amount, covers_month, feature_id, customer_id
)

select * from final
