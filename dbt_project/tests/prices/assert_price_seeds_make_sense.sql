-- Which row of a seed can't be read, or can't mean a price, and why. One row per seed, row and problem.
{{ config(severity='error') }}

{% set units = [] %}
{% for unit in llm_spend.usage_units() %}{% do units.append(unit.unit) %}{% endfor %}
{% set unit_list = "'" ~ (units | join("', '")) ~ "'" %}
{% set pattern_tables = [
    ('price_multipliers', ['channel', 'model_pattern', 'usage_unit', 'service_tier']),
    ('negotiated_discounts', ['channel', 'model_pattern', 'usage_unit', 'service_tier']),
    ('free_allowances', ['channel', 'model_pattern'])
] %}
{% set dated_tables = [
    ('model_prices', 'model_id'), ('price_corrections', 'model_id'), ('price_overrides', 'model_id'),
    ('model_aliases', 'pattern'), ('alias_overrides', 'pattern'), ('price_multipliers', 'model_pattern'),
    ('negotiated_discounts', 'contract_id'), ('free_allowances', 'allowance_id'), ('fx_rates', 'currency')
] %}

with problems as (
    {% for seed in ['model_prices', 'price_corrections', 'price_overrides'] %}
    select
        '{{ seed }}' as seed,
        price_id as seed_row,
        case
            when usage_unit not in ({{ unit_list }}) then 'usage_unit is none of those that have a price'
            when price_per_unit is null
                then 'unit_price is no number, or unit_size not 1, 1000 or 1000000 (1, 60 or 3600 for audio_seconds)'
            when input_tokens_gt is null then 'input_tokens_gt is no whole number'
            when minute_from is null or minute_to is null then 'tod_start_utc or tod_end_utc is not HH:MM'
            when price_per_unit < 0 then 'unit_price is negative'
            when minute_from = minute_to then 'tod_start_utc and tod_end_utc are the same: nothing is left'
            when {{ llm_spend.regex_found('weekdays', "'[^1-7]'") }} then 'dow_mask has more than the digits 1 to 7'
            when {{ llm_spend.regex_found('region_scope', "'[A-Z]'") }} then 'region_scope is not lower case'
        end as problem
    from {{ ref('stg_prices__' ~ seed) }}
    union all
    {% endfor %}
    {% for seed, name in dated_tables %}
    select
        '{{ seed }}' as seed,
        {{ name }} as seed_row,
        case
            when valid_from is null or valid_to is null then 'valid_from or valid_to is no date'
            when valid_from >= valid_to then 'valid_to is not after valid_from'
        end as problem
    from {{ ref('stg_prices__' ~ seed) }}
    union all
    {% endfor %}
    {% for seed, columns in pattern_tables %}
    {% for column in columns %}
    select
        '{{ seed }}' as seed,
        {{ column }} as seed_row,
        case
            when {{ llm_spend.regex_found(column, "'^[*].*[*]$|[^*][*][^*]'") }}
                then '{{ column }} has a * elsewhere than at its beginning or its end'
        end as problem
    from {{ ref('stg_prices__' ~ seed) }}
    union all
    {% endfor %}
    {% endfor %}
    select
        'price_multipliers' as seed,
        model_pattern as seed_row,
        case when coalesce(multiplier, 0) <= 0 then 'multiplier is not a positive number' end as problem
    from {{ ref('stg_prices__price_multipliers') }}
    union all
    select
        'negotiated_discounts' as seed,
        contract_id as seed_row,
        case
            when (discount_pct is null) = (fixed_price is null)
                then 'give a discount_pct, or a unit_price with its unit_size (1, 1000, 1000000; 3600 for audio_seconds)'
            when stack_order is null then 'stack_order is no whole number'
            when discount_pct > 100 then 'discount_pct is over 100'
        end as problem
    from {{ ref('stg_prices__negotiated_discounts') }}
    union all
    select
        'free_allowances' as seed,
        allowance_id as seed_row,
        case
            when usage_unit not in ({{ unit_list }}) then 'usage_unit is none of those that have a price'
            when coalesce(quantity, -1) < 0 then 'quantity is not a whole number from 0 on'
        end as problem
    from {{ ref('stg_prices__free_allowances') }}
    union all
    select
        'fx_rates' as seed,
        rates.currency as seed_row,
        case when rates.valid_from < others.valid_from then 'two rates of a currency overlap' end as problem
    from {{ ref('stg_prices__fx_rates') }} as rates
    inner join {{ ref('stg_prices__fx_rates') }} as others
        on
            rates.currency = others.currency
            and rates.valid_from < others.valid_to
            and others.valid_from < rates.valid_to
    union all
    select
        'period_close' as seed,
        {{ llm_spend.date_text('billing_period') }} as seed_row,
        case
            when billing_period <> {{ llm_spend.month_start('billing_period') }}
                then 'billing_period is not the first of a month'
            when action not in ('close', 'reopen') then 'action is neither close nor reopen'
        end as problem
    from {{ ref('stg_rules__period_close') }}
)

select *
from problems
where problem is not null
