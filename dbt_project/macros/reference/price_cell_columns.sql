{#
    The select list of a price seed: the same columns and casts for generated prices and overrides.

    relation: the seed; others: SQL for columns that only one of the seeds has, by name.
#}
{% macro price_cell_columns(relation, others) %}
    {% set price_type = llm_spend.type_price() %}
    {% set unit_size = llm_spend.seed_number('unit_size', dbt.type_bigint()) %}
    {% set unit_price = llm_spend.seed_number('unit_price', price_type) %}
    {% set usage_unit = 'lower(trim(usage_unit))' %}
    select
        price_id,
        nullif(trim(provider), '') as provider,
        lower(trim(channel)) as channel,
        trim(model_id) as model_id,
        {{ usage_unit }} as usage_unit,
        {{ unit_size }} as unit_size,
        {{ unit_price }} as unit_price,
        {{ llm_spend.price_of_one(unit_price, unit_size, usage_unit, price_type) }} as price_per_unit,
        upper(trim(currency)) as currency,
        {{ llm_spend.seed_number('input_tokens_gt', dbt.type_bigint(), when_empty='-1') }} as input_tokens_gt,
        coalesce(nullif(lower(trim(service_tier)), ''), 'standard') as service_tier,
        coalesce(nullif(lower(trim(region_scope)), ''), '*') as region_scope,
        {{ llm_spend.seed_minute('tod_start_utc', when_empty=0) }} as minute_from,
        {{ llm_spend.seed_minute('tod_end_utc', when_empty=1440) }} as minute_to,
        coalesce(nullif(trim(dow_mask), ''), '1234567') as weekdays,
        nullif(lower(trim(holiday_calendar)), '') as holiday_calendar,
        {{ llm_spend.seed_instant('valid_from', when_empty='2020-01-01') }} as valid_from,
        {{ llm_spend.seed_instant('valid_to', when_empty='9999-12-31') }} as valid_to,
        valid_from_basis,
        source,
        source_version
        {%- for name, expression in others.items() %},
        {{ expression }} as {{ name }}
        {%- endfor %}

    from {{ relation }}
{% endmacro %}
