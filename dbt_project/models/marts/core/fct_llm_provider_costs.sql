{% set columns = provider_cost_columns() | join(', ') %}

with said as (
    select * from {{ ref('int_provider_costs') }}
),

focus_costs as (
    select * from {{ ref('int_focus_costs') }}
),

invoices as (
    select * from {{ ref('int_invoice_costs') }}
),

invoice_differences as (
    select * from {{ ref('int_invoice_differences') }}
),

seats as (
    select * from {{ ref('int_seat_costs') }}
),

-- Of what other lines tell too, an invoice counts by its difference to them only.
own_invoices as (
    select invoices.*
    from invoices
    left join invoice_differences
        on
            invoices.provider = invoice_differences.provider
            and invoices.source_instance = invoice_differences.source_instance
            and invoices.bucket_start = invoice_differences.bucket_start
            and invoices.charge_category = invoice_differences.charge_category
    where invoice_differences.row_key is null
),

cost_lines as (
    {% for relation in ['said', 'focus_costs', 'own_invoices', 'invoice_differences', 'seats'] -%}
    select {{ columns }} from {{ relation }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

resolution as (
    select * from {{ ref('int_model_resolution') }}
),

final as (
    select
        {{ dbt.hash(dbt.concat([
            'cost_lines.origin', "'|'", 'cost_lines.row_key', "'|'", 'cast(cost_lines.occurrence as ' ~ dbt.type_string() ~ ')'
        ])) }} as cost_key,
        cost_lines.source_system,
        cost_lines.source_instance,
        cost_lines.provider,
        cost_lines.profile,
        cost_lines.grouped_by as {{ reserved_name('grouping') }},
        cost_lines.profile = 'primary' and cost_lines.is_cash as is_of_record,
        cast(cost_lines.bucket_start as date) as cost_date,
        {{ month_start('cost_lines.bucket_start') }} as billing_period,
        cost_lines.bucket_start,
        cost_lines.bucket_end,
        cost_lines.project_id,
        cost_lines.api_key_id,
        cost_lines.user_id,
        cost_lines.customer_id,
        cost_lines.raw_model as resolved_model,
        resolution.model_id,
        resolution.channel,
        cost_lines.service_tier,
        cost_lines.region,
        cost_lines.context_window,
        cost_lines.dimensions,
        cost_lines.occurrence,
        cost_lines.line_item,
        cost_lines.cost_type,
        cost_lines.token_type,
        cost_lines.charge_category,
        cost_lines.quantity,
        cost_lines.quantity_unit,
        cost_lines.requests,
        cost_lines.billed_amount,
        cost_lines.billing_currency,
        cost_lines.usd_per_unit,
        cost_lines.billed_usd,
        cost_lines.list_usd,
        cost_lines.is_cash,
        cost_lines.origin,
        cost_lines.team_id,
        cost_lines.cost_center_id,
        cost_lines.is_final,
        cost_lines.asked_at,
        cost_lines.load_id
    from cost_lines
    left join resolution
        on
            cost_lines.source_system = resolution.source_system
            and cost_lines.provider = resolution.raw_provider
            and coalesce(cost_lines.raw_model, '') = coalesce(resolution.raw_model, '')
            and cost_lines.bucket_start >= resolution.valid_from
            and cost_lines.bucket_start < resolution.valid_to
)

select * from final
