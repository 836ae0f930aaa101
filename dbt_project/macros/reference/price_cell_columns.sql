{# The select list of a price seed: the same columns and casts for generated prices and overrides. #}
{% macro price_cell_columns(relation, reason, source_url) %}
    select
        price_id,
        nullif(trim(provider), '') as provider,
        lower(trim(channel)) as channel,
        trim(model_id) as model_id,
        lower(trim(usage_unit)) as usage_unit,
        cast(unit_size as {{ dbt.type_bigint() }}) as unit_size,
        cast(unit_price as {{ llm_spend.type_price() }}) as unit_price,
        -- Decimal times decimal: a division would go through a float on some warehouses.
        cast(
            cast(unit_price as {{ llm_spend.type_price() }})
            * cast(
                case cast(unit_size as {{ dbt.type_bigint() }})
                    when 1 then '1'
                    when 1000 then '0.001'
                    when 1000000 then '0.000001'
                end
                as {{ llm_spend.type_price() }}
            )
            as {{ llm_spend.type_price() }}
        ) as price_per_unit,
        upper(trim(currency)) as currency,
        cast(coalesce(nullif(trim(input_tokens_gt), ''), '-1') as {{ dbt.type_bigint() }}) as input_tokens_gt,
        coalesce(nullif(lower(trim(service_tier)), ''), 'standard') as service_tier,
        coalesce(nullif(lower(trim(region_scope)), ''), '*') as region_scope,
        cast(coalesce(nullif(trim(valid_from), ''), '2020-01-01') as {{ llm_spend.type_timestamp() }}) as valid_from,
        cast(coalesce(nullif(trim(valid_to), ''), '9999-12-31') as {{ llm_spend.type_timestamp() }}) as valid_to,
        valid_from_basis,
        source,
        source_version,
        {{ reason }} as reason,
        {{ source_url }} as source_url
    from {{ relation }}
{% endmacro %}
