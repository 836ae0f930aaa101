{% set clouds = {'aws': ['aws', 'amazon'], 'azure': ['azure', 'microsoft'], 'google': ['gcp', 'google']} %}
{% set azure_paths = {
    'billing_account_id': '/providers/microsoft.billing/billingaccounts/', 'sub_account_id': '/subscriptions/'
} %}
{% set sellers = ['provider_name', 'invoice_issuer_name', 'service_provider_name'] %}

with charges as (
    select * from {{ source('provider', 'provider__focus') }}
),

final as (
    select
        _source_system as source_system,
        _source_instance as source_instance,
        case
            {%- for seller in sellers %}
            {%- for cloud, names in clouds.items() %}
            {%- for name in names %}
            when lower({{ seller }}) like '{{ name }}%' then '{{ cloud }}'
            {%- endfor %}
            {%- endfor %}
            {%- endfor %}
            else lower(coalesce(provider_name, service_provider_name, invoice_issuer_name, '(unknown)'))
        end as provider,
        export_format,
        {{ dbt.concat(["left(_file, length(_file) - length(file_name))", "export_name"]) }} as export_path,
        case when export_format = 'azure_amortized_cost' then 'amortized' else 'primary' end as profile,
        -- FOCUS of Azure has paths, also of profiles, where its cost exports have the ids alone, in any case.
        {%- for column, path in azure_paths.items() %}
        case
            when lower({{ column }}) like '{{ path }}%'
                then {{ dbt.split_part("replace(lower(" ~ column ~ "), '" ~ path ~ "', '')", "'/'", 1) }}
            when export_format like 'azure%' then lower(coalesce({{ column }}, ''))
            else coalesce({{ column }}, '')
        end as {{ column }},
        {%- endfor %}
        billing_period_start,
        billing_period_end,
        charge_period_start,
        charge_period_end,
        cast(charge_period_start as date) as charge_date,
        charge_category,
        charge_description,
        service_name,
        sku_meter,
        sku_id,
        sku_price_id,
        resource_id,
        invoice_id,
        lower(region_id) as region,
        principal_id as user_id,
        model as named_model,
        {{ stored_json('tags') }} as tags,
        consumed_quantity,
        consumed_unit,
        billed_cost,
        effective_cost,
        list_cost,
        upper(billing_currency) as billing_currency,
        left_out_rows,
        -- Charges that are left out say the days of which their file tells.
        case
            when left_out_rows is null
                then cast({{ dbt.dateadd('day', 1, 'cast(charge_period_start as date)') }} as date)
            else cast(charge_period_end as date)
        end as covered_to,
        _file as path,
        _dlt_load_id as load_id
    from charges
    where _problem is null
)

select * from final
