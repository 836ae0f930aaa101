{% set units = llm_spend.usage_units() %}
{% set row_columns = [
    'channel', 'model_id', 'service_tier', 'region', 'input_tokens_gt', 'valid_from', 'valid_to', 'minute_from',
    'minute_to', 'weekdays'
] %}
with

unit_prices as (

    select * from {{ ref('int_unit_prices') }}

),

basis as (

    select pricing_basis from {{ ref('int_basis') }}

),

pivoted as (

    select
        {{ row_columns | join(',\n        ') }},
        min(price_channel) as price_channel,
        min(provider) as provider,
        {%- for unit in units %}
        max(case when usage_unit = '{{ unit.unit }}' then list_price end) as list_{{ unit.name }},
        max(case when usage_unit = '{{ unit.unit }}' then contract_price end) as contract_{{ unit.name }},
        {%- endfor %}
        max(case when is_override then 1 else 0 end) = 1 as has_override,
        max(discounts) > 0 as has_contract_prices
    from unit_prices
    group by {{ row_columns | join(', ') }}

),

final as (

    select
        pivoted.channel,
        pivoted.model_id,
        pivoted.service_tier,
        pivoted.region,
        pivoted.input_tokens_gt,
        coalesce(
            lead(pivoted.input_tokens_gt) over (
                partition by
                    pivoted.channel,
                    pivoted.model_id,
                    pivoted.service_tier,
                    pivoted.region,
                    pivoted.valid_from,
                    pivoted.minute_from,
                    pivoted.weekdays
                order by pivoted.input_tokens_gt
            ),
            cast(9223372036854775807 as {{ dbt.type_bigint() }})
        ) as input_tokens_lte,
        pivoted.valid_from,
        pivoted.valid_to,
        pivoted.minute_from,
        pivoted.minute_to,
        pivoted.weekdays,
        pivoted.minute_from = 0 and pivoted.minute_to = 1440 and pivoted.weekdays = '1234567' as is_all_week,
        pivoted.provider,
        pivoted.price_channel,
        {%- for unit in units %}
        {{ llm_spend.own_or_parent_price('list_', unit) }} as {{ unit.price }},
        {%- endfor %}
        {%- for unit in units if unit.parents %}
        list_{{ unit.name }} is null and {{ llm_spend.own_or_parent_price('list_', unit) }} is not null
            as {{ unit.inherited }},
        {%- endfor %}
        coalesce(list_input_audio <> list_input, list_input_audio is not null)
        or coalesce(list_output_audio <> list_output, list_output_audio is not null) as has_audio_prices,
        {%- for unit in units %}
        {{ llm_spend.own_or_parent_price('contract_', unit) }} as contract_{{ unit.price }},
        {%- endfor %}
        pivoted.has_contract_prices,
        pivoted.has_override,
        basis.pricing_basis
    from pivoted
    cross join basis

)

select * from final
