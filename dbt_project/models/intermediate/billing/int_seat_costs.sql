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

numbers as (
    {{ llm_spend.numbers() }}
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

final as (
    select
        {{ provider_cost_line({
            'row_key': dbt.hash(seed_line([
                date_text('billing_period'), 'provider', 'provider_instance', 'product', 'team_id', 'cost_center_id'
            ])),
            'source_system': "'seat'",
            'source_instance': 'provider_instance',
            'provider': 'provider',
            'bucket_start': 'cast(billing_period as ' ~ type_timestamp() ~ ')',
            'bucket_end': 'cast(' ~ dbt.dateadd('month', 1, 'billing_period') ~ ' as ' ~ type_timestamp() ~ ')',
            'line_item': 'product',
            'charge_category': "'Purchase'",
            'quantity': 'cast(seats as ' ~ type_money() ~ ')',
            'quantity_unit': "'Seats'",
            'billed_amount': 'amount',
            'billing_currency': 'currency',
            'usd_per_unit': 'rate',
            'billed_usd': in_usd('amount', 'currency', 'rate'),
            'origin': "'seat'",
            'asked_at': 'cast(billing_period as ' ~ type_timestamp() ~ ')',
            'team_id': 'team_id',
            'cost_center_id': 'cost_center_id'
        }) | indent(8) }}
    from rated
)

select * from final
