{% set gemini = "'^gemini [0-9.]+ (pro|flash|flash lite)( ga)?( thinking)? text (in|out)put'" %}
{% set before_text = dbt.split_part('lower(sku_meter)', "' text '", 1) %}
{% set is_input = regex_found('sku_text', "'(^|[^a-z])(inp|inpt|input)([^a-z]|$)|inputtoken'") %}
{% set is_output = regex_found('sku_text', "'(^|[^a-z])(outp|outpt|opt|output)([^a-z]|$)|outputtoken'") %}

with charges as (
    select
        *,
        lower({{ dbt.concat(["coalesce(sku_meter, '')", "' '", "coalesce(charge_description, '')"]) }}) as sku_text
    from {{ ref('stg_provider__focus') }}
    where left_out_rows is null
),

final as (
    select
        source_system,
        source_instance,
        provider,
        profile,
        'line_item,model,project_id,region,token_type' as grouped_by,
        charge_period_start as bucket_start,
        charge_period_end as bucket_end,
        -- Clouds finish a month within its first days after.
        cast({{ dbt.dateadd('day', 7, 'billing_period_end') }} as {{ type_timestamp() }}) as settles_at,
        nullif(sub_account_id, '') as project_id,
        cast(null as {{ dbt.type_string() }}) as api_key_id,
        user_id,
        cast(null as {{ dbt.type_string() }}) as customer_id,
        case
            when named_model is not null then named_model
            {%- for kind in ['foundation-model', 'inference-profile'] %}
            when resource_id like '%:{{ kind }}/%'
                then {{ dbt.split_part('resource_id', "':" ~ kind ~ "/'", 2) }}
            {%- endfor %}
            when service_name like '% (Amazon Bedrock Edition)'
                then replace(lower(replace(service_name, ' (Amazon Bedrock Edition)', '')), ' ', '-')
            -- Another word before `text` may be of another model: Flash Image, Flash Live.
            when {{ regex_found('lower(sku_meter)', gemini) }}
                then replace(replace(replace({{ before_text }}, ' thinking', ''), ' ga', ''), ' ', '-')
        end as raw_model,
        case when {{ regex_found('sku_text', "'(^|[^a-z])batch([^a-z]|$)'") }} then 'batch' end as service_tier,
        region,
        cast(null as {{ dbt.type_string() }}) as context_window,
        tags as dimensions,
        coalesce(sku_meter, charge_description, sku_id, service_name) as line_item,
        service_name as cost_type,
        case
            when not {{ regex_found('sku_text', "'token|gemini'") }} then null
            when
                {{ regex_found('sku_text', "'cach'") }}
                and {{ regex_found('sku_text', "'writ|creat|storage'") }}
                then 'cache_write'
            when {{ regex_found('sku_text', "'cach|cchd'") }} then 'cache_read'
            when {{ is_input }} then 'input'
            when {{ is_output }} then 'output'
        end as token_type,
        coalesce(charge_category, 'Usage') as charge_category,
        consumed_quantity as quantity,
        consumed_unit as quantity_unit,
        cast(null as {{ dbt.type_bigint() }}) as requests,
        case when profile = 'amortized' then effective_cost else billed_cost end as billed_amount,
        list_cost as list_amount,
        billing_currency,
        true as is_cash,
        cast(null as {{ type_timestamp() }}) as data_refreshed_at,
        {{ columns_of('charges', [
            'export_path', 'billing_account_id', 'sub_account_id', 'billing_period_start', 'charge_date',
            'resource_id', 'sku_id', 'sku_price_id', 'path', 'load_id'
        ]) }}
    from charges
)

select * from final
