{% set day_of_rate = 'coalesce(invoices.invoice_date, invoices.last_day)' %}
{% set in_words = "case when description = '' then '' else " ~ dbt.concat(["': '", 'description']) ~ ' end' %}
{% set nothing = [
    'project_id', 'api_key_id', 'user_id', 'customer_id', 'raw_model', 'service_tier', 'region', 'context_window', 'cost_type',
    'token_type', 'quantity_unit', 'load_id', 'team_id', 'cost_center_id'
] %}

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
        invoices.amount,
        invoices.currency,
        invoices.last_day,
        invoices.invoice_date,
        coalesce(invoices.usd_per_unit, {{ usd_rate('invoices.currency', 'fx_rates') }}) as rate
    from invoices
    left join fx_rates
        on {{ rate_holds('fx_rates', 'invoices.currency', day_of_rate) }}
),

lines as (
    select
        {{ dbt.hash(seed_line([
            date_text('billing_period'), 'provider', 'provider_instance', 'invoice_id', 'charge_category', 'description'
        ])) }} as row_key,
        'invoice' as source_system,
        provider_instance as source_instance,
        provider,
        'primary' as profile,
        '' as grouped_by,
        cast(last_day as {{ type_timestamp() }}) as bucket_start,
        cast({{ dbt.dateadd('day', 1, 'last_day') }} as {{ type_timestamp() }}) as bucket_end,
        {% for column in nothing -%}
        cast(null as {{ dbt.type_string() }}) as {{ column }},
        {% endfor -%}
        cast(null as {{ type_json() }}) as dimensions,
        0 as occurrence,
        {{ dbt.concat(["'invoice '", 'invoice_id', in_words]) }} as line_item,
        charge_category,
        cast(null as {{ type_money() }}) as quantity,
        cast(null as {{ dbt.type_bigint() }}) as requests,
        amount as billed_amount,
        currency as billing_currency,
        rate as usd_per_unit,
        {{ in_usd('amount', 'currency', 'rate') }} as billed_usd,
        cast(null as {{ type_money() }}) as list_usd,
        true as is_cash,
        'invoice' as origin,
        true as is_final,
        cast(coalesce(invoice_date, last_day) as {{ type_timestamp() }}) as asked_at
    from rated
),

final as (
    select
        {{ provider_cost_columns() | join(',\n        ') }}
    from lines
)

select * from final
