{% set day_of_rate = 'coalesce(invoices.invoice_date, invoices.last_day)' %}
{% set in_words = "case when description = '' then '' else " ~ dbt.concat(["': '", 'description']) ~ ' end' %}

with invoices as (
    select
        *,
        cast(
            {{ dbt.dateadd('day', -1, dbt.dateadd('month', 1, 'billing_period')) }} as date
        ) as last_day
    from {{ ref('stg_rules__provider_invoices') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

rated as (
    select
        invoices.billing_period,
        invoices.provider,
        invoices.provider_instance,
        invoices.invoice_id,
        invoices.charge_category,
        invoices.description,
        invoices.cost_type,
        invoices.amount,
        invoices.currency,
        invoices.last_day,
        invoices.invoice_date,
        coalesce(invoices.usd_per_unit, {{ usd_rate('invoices.currency', 'fx_rates') }}) as rate
    from invoices
    left join fx_rates
        on {{ rate_holds('fx_rates', 'invoices.currency', day_of_rate) }}
),

final as (
    select
        {{ provider_cost_line({
            'row_key': dbt.hash(seed_line([
                date_text('billing_period'), 'provider', 'provider_instance', 'invoice_id', 'charge_category',
                'description'
            ])),
            'source_system': "'invoice'",
            'source_instance': 'provider_instance',
            'provider': 'provider',
            'bucket_start': 'cast(last_day as ' ~ type_timestamp() ~ ')',
            'bucket_end': 'cast(' ~ dbt.dateadd('day', 1, 'last_day') ~ ' as ' ~ type_timestamp() ~ ')',
            'line_item': dbt.concat(["'invoice '", 'invoice_id', in_words]),
            'cost_type': 'cost_type',
            'charge_category': 'charge_category',
            'billed_amount': 'amount',
            'billing_currency': 'currency',
            'usd_per_unit': 'rate',
            'billed_usd': in_usd('amount', 'currency', 'rate'),
            'origin': "'invoice'",
            'asked_at': 'cast(coalesce(invoice_date, last_day) as ' ~ type_timestamp() ~ ')'
        }) | indent(8) }}
    from rated
)

select * from final
