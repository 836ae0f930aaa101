{% set bill = ['source_instance', 'profile', 'billing_account_id', 'sub_account_id', 'billing_period_start'] %}
{% set others = ['line_item', 'cost_type', 'token_type', 'charge_category', 'quantity_unit', 'billing_currency'] %}

with charges as (
    select * from {{ ref('stg_provider__focus_costs') }}
),

files as (
    select * from {{ ref('int_focus_files') }}
),

exports as (
    select * from {{ ref('int_focus_exports') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

-- Of each day the newest export that covers it.
counted as (
    select
        charges.*,
        exports.exported_at as asked_at
    from charges
    inner join files
        on
            charges.source_instance = files.source_instance
            and charges.path = files.path
            and charges.load_id = files.load_id
    inner join exports
        on
            charges.export_path = exports.export_path
            {%- for column in bill %}
            and charges.{{ column }} = exports.{{ column }}
            {%- endfor %}
    left join exports as newer
        on
            exports.export_number < newer.export_number
            and charges.charge_date >= newer.covered_from
            and charges.charge_date < newer.covered_to
            {%- for column in bill %}
            and charges.{{ column }} = newer.{{ column }}
            {%- endfor %}
    where newer.export_number is null
),

keyed as (
    select
        *,
        {{ provider_row_key(others) }} as row_key
    from counted
),

rated as (
    select
        keyed.*,
        row_number() over (
            partition by keyed.row_key
            order by
                keyed.resource_id, keyed.sku_id, keyed.sku_price_id, keyed.billed_amount, keyed.quantity,
                keyed.list_amount, keyed.path
        ) - 1 as occurrence,
        {{ usd_rate('keyed.billing_currency', 'fx_rates') }} as usd_per_unit
    from keyed
    left join fx_rates
        on {{ rate_holds('fx_rates', 'keyed.billing_currency', 'keyed.charge_date') }}
),

valued as (
    select
        *,
        {{ in_usd('billed_amount', 'billing_currency', 'usd_per_unit') }} as billed_usd,
        {{ in_usd('list_amount', 'billing_currency', 'usd_per_unit') }} as list_usd,
        'file' as origin,
        asked_at >= settles_at as is_final,
        cast(null as {{ dbt.type_string() }}) as team_id,
        cast(null as {{ dbt.type_string() }}) as cost_center_id
    from rated
),

final as (
    select
        {{ provider_cost_columns() | join(',\n        ') }}
    from valued
)

select * from final
