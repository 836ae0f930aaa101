{% set bill = ['provider', 'source_instance', 'billing_period', 'charge_category'] %}
{# Each side has its own rate, so the difference has none. #}
{% set rate_of_difference -%}
cast(case when not is_one_currency or billing_currency = 'USD' then 1 end as {{ type_decimal(18, 12) }})
{%- endset %}

with invoices as (
    select
        *,
        {{ month_start('bucket_start') }} as billing_period
    from {{ ref('int_invoice_costs') }}
    where is_cash
),

-- What providers bill by API or file.
said as (
    select {{ provider_cost_columns() | join(', ') }} from {{ ref('int_provider_costs') }}
    union all
    select {{ provider_cost_columns() | join(', ') }} from {{ ref('int_focus_costs') }}
),

cost_lines as (
    select
        *,
        {{ month_start('bucket_start') }} as billing_period
    from said
    where profile = 'primary' and is_cash
),

-- A sum of which parts are unknown is unknown.
invoiced as (
    select
        {{ bill | join(',\n        ') }},
        min(source_system) as source_system,
        min(bucket_start) as bucket_start,
        min(bucket_end) as bucket_end,
        max(asked_at) as asked_at,
        sum(billed_amount) as billed_amount,
        min(billing_currency) as billing_currency,
        max(billing_currency) as other_currency,
        case when count(*) = count(billed_usd) then sum(billed_usd) end as billed_usd
    from invoices
    group by {{ bill | join(', ') }}
),

-- An invoice that names no account is for those that have none of their own.
matched as (
    select
        cost_lines.provider,
        coalesce(own.source_instance, shared.source_instance) as source_instance,
        cost_lines.billing_period,
        cost_lines.charge_category,
        cost_lines.billed_amount,
        cost_lines.billing_currency,
        cost_lines.billed_usd
    from cost_lines
    left join invoiced as own
        on
            cost_lines.provider = own.provider
            {%- for column in bill[1:] %}
            and cost_lines.{{ column }} = own.{{ column }}
            {%- endfor %}
    left join invoiced as shared
        on
            cost_lines.provider = shared.provider
            and cost_lines.billing_period = shared.billing_period
            and cost_lines.charge_category = shared.charge_category
            and shared.source_instance = ''
    where own.provider is not null or shared.provider is not null
),

stated as (
    select
        {{ bill | join(',\n        ') }},
        sum(billed_amount) as billed_amount,
        min(billing_currency) as billing_currency,
        max(billing_currency) as other_currency,
        case when count(*) = count(billed_usd) then sum(billed_usd) end as billed_usd
    from matched
    group by {{ bill | join(', ') }}
),

compared as (
    select
        {% for column in bill -%}
        invoiced.{{ column }},
        {% endfor -%}
        invoiced.source_system,
        invoiced.bucket_start,
        invoiced.bucket_end,
        invoiced.asked_at,
        invoiced.billing_currency,
        invoiced.billed_amount - stated.billed_amount as amount_difference,
        invoiced.billed_usd - stated.billed_usd as usd_difference,
        invoiced.billing_currency = invoiced.other_currency
        and stated.billing_currency = stated.other_currency
        and invoiced.billing_currency = stated.billing_currency as is_one_currency
    from invoiced
    inner join stated
        on
            invoiced.provider = stated.provider
            {%- for column in bill[1:] %}
            and invoiced.{{ column }} = stated.{{ column }}
            {%- endfor %}
),

-- In its currency where there is only one; else in USD.
final as (
    select
        {{ provider_cost_line({
            'row_key': dbt.hash(seed_line([
                'provider', 'source_instance', date_text('billing_period'), 'charge_category'
            ])),
            'source_system': 'source_system',
            'source_instance': 'source_instance',
            'provider': 'provider',
            'bucket_start': 'bucket_start',
            'bucket_end': 'bucket_end',
            'line_item': "'difference to the invoice'",
            'charge_category': 'charge_category',
            'billed_amount': 'case when is_one_currency then amount_difference else usd_difference end',
            'billing_currency': "case when is_one_currency then billing_currency else 'USD' end",
            'usd_per_unit': rate_of_difference,
            'billed_usd': 'usd_difference',
            'origin': "'invoice_difference'",
            'asked_at': 'asked_at'
        }) | indent(8) }}
    from compared
)

select * from final
