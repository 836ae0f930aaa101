{% set nothing = [
    'project_id', 'api_key_id', 'user_id', 'customer_id', 'raw_model', 'service_tier', 'region', 'context_window', 'cost_type',
    'token_type', 'load_id'
] %}

with seats as (
    select * from {{ ref('stg_rules__seats') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

-- A month is paid for once it has begun; what was loaded tells how late it is.
loads as (
    select max(cast(loaded_at as date)) as latest_date
    from {{ ref('stg_loads__packages') }}
),

digits as (
    {% for digit in range(10) -%}
    select {{ digit }} as digit
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

numbers as (
    select ones.digit + 10 * tens.digit + 100 * hundreds.digit as number
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
),

months as (
    select
        seats.*,
        cast({{ dbt.dateadd('month', 'numbers.number', 'seats.valid_from') }} as date) as billing_period
    from seats
    cross join numbers
),

paid as (
    select months.*
    from months
    cross join loads
    where
        months.billing_period < months.valid_to
        and months.billing_period <= loads.latest_date
),

rated as (
    select
        paid.*,
        cast(paid.seats * paid.price_per_seat as {{ type_money() }}) as amount,
        {{ usd_rate('paid.currency', 'fx_rates') }} as rate
    from paid
    left join fx_rates
        on {{ rate_holds('fx_rates', 'paid.currency', 'paid.billing_period') }}
),

lines as (
    select
        {{ dbt.hash(seed_line([
            date_text('billing_period'), 'provider', 'provider_instance', 'product', 'team_id', 'cost_center_id'
        ])) }} as row_key,
        'seat' as source_system,
        provider_instance as source_instance,
        provider,
        'primary' as profile,
        '' as grouped_by,
        cast(billing_period as {{ type_timestamp() }}) as bucket_start,
        cast({{ dbt.dateadd('month', 1, 'billing_period') }} as {{ type_timestamp() }}) as bucket_end,
        {% for column in nothing -%}
        cast(null as {{ dbt.type_string() }}) as {{ column }},
        {% endfor -%}
        cast(null as {{ type_json() }}) as dimensions,
        0 as occurrence,
        product as line_item,
        'Purchase' as charge_category,
        cast(seats as {{ type_money() }}) as quantity,
        'Seats' as quantity_unit,
        cast(null as {{ dbt.type_bigint() }}) as requests,
        amount as billed_amount,
        currency as billing_currency,
        rate as usd_per_unit,
        {{ in_usd('amount', 'currency', 'rate') }} as billed_usd,
        cast(null as {{ type_money() }}) as list_usd,
        true as is_cash,
        'seat' as origin,
        true as is_final,
        cast(billing_period as {{ type_timestamp() }}) as asked_at,
        team_id,
        cost_center_id
    from rated
),

final as (
    select
        {{ provider_cost_columns() | join(',\n        ') }}
    from lines
)

select * from final
