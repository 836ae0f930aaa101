{# Whatever decides on a price. Comments and where a price was found don't count. #}
{% set price_seeds = [
    ('model_prices', [
        'price_id', 'provider', 'channel', 'model_id', 'usage_unit', 'unit_size', 'unit_price', 'currency',
        'input_tokens_gt', 'service_tier', 'region_scope', 'tod_start_utc', 'tod_end_utc', 'dow_mask',
        'holiday_calendar', 'valid_from', 'valid_to', 'retracted_at'
    ]),
    ('price_corrections', [
        'price_id', 'provider', 'channel', 'model_id', 'usage_unit', 'unit_size', 'unit_price', 'currency',
        'input_tokens_gt', 'service_tier', 'region_scope', 'tod_start_utc', 'tod_end_utc', 'dow_mask',
        'holiday_calendar', 'valid_from', 'valid_to'
    ]),
    ('price_overrides', [
        'price_id', 'provider', 'channel', 'model_id', 'usage_unit', 'unit_size', 'unit_price', 'currency',
        'input_tokens_gt', 'service_tier', 'region_scope', 'tod_start_utc', 'tod_end_utc', 'dow_mask',
        'holiday_calendar', 'valid_from', 'valid_to'
    ]),
    ('channel_fallbacks', ['channel', 'fallback_channel', 'fallback_order']),
    ('price_multipliers', [
        'channel', 'model_pattern', 'usage_unit', 'service_tier', 'region', 'multiplier', 'valid_from', 'valid_to'
    ]),
    ('negotiated_discounts', [
        'contract_id', 'channel', 'model_pattern', 'usage_unit', 'service_tier', 'discount_pct', 'unit_price',
        'unit_size', 'stack_order', 'valid_from', 'valid_to'
    ]),
    ('free_allowances', [
        'allowance_id', 'channel', 'model_pattern', 'usage_unit', 'quantity', 'period', 'valid_from', 'valid_to'
    ]),
    ('fx_rates', ['currency', 'usd_per_unit', 'valid_from', 'valid_to']),
    ('holidays', ['holiday_calendar', 'holiday_date'])
] %}
{% set request_seeds = [
    ('model_aliases', [
        'provider', 'channel', 'model_id', 'match_type', 'pattern', 'excluded_pattern', 'catalogue_order',
        'valid_from', 'valid_to'
    ]),
    ('alias_overrides', ['provider', 'channel', 'model_id', 'match_type', 'pattern', 'valid_from', 'valid_to']),
    ('provider_names', ['source_system', 'raw_provider', 'provider', 'channel']),
    ('model_deployments', ['channel', 'deployment', 'model_id', 'valid_from', 'valid_to']),
    ('attribution_rules', ['dimension', 'source_system', 'metadata_key', 'priority']),
    ('org_members', ['user_id', 'team_id', 'valid_from', 'valid_to']),
    ('org_teams', ['team_id', 'team_name', 'cost_center_id', 'valid_from', 'valid_to']),
    ('api_keys', ['api_key_id', 'owner_user_id', 'team_id', 'valid_from', 'valid_to']),
    ('sources_of_record', [
        'rule_order', 'source_system', 'source_instance', 'provider', 'model_pattern', 'valid_from', 'valid_to',
        'is_of_record'
    ])
] %}
{% set quota_seeds = [
    ('quota_rules', [
        'rule_set', 'rule_id', 'rule_order', 'evaluation', 'subject_type', 'subject', 'models', 'metadata_key',
        'metadata_value', 'conditions', 'applies_per', 'unit', 'limit_to', 'overrides', 'time_zone', 'enforcement',
        'alert_thresholds', 'valid_from', 'valid_to'
    ])
] %}
{# The prices of closed months are kept, these are not. Which name means which model is in the version of a date. #}
{% set closed_seeds = price_seeds | selectattr(0, 'in', ['free_allowances']) | list %}
{% set subjects = {
    'prices': price_seeds, 'requests': request_seeds, 'quotas': quota_seeds, 'closed': closed_seeds
} %}
{# What else decides on numbers: another value has every date built again. #}
{% set settings = [
    var('llm_spend_rules_version'), var('llm_spend_tag_cardinality_limit'), var('llm_spend_night_hours') | join(',')
] | join('|') %}

with lines as (
    {% for subject, seeds in subjects.items() %}
    {% set is_last_subject = loop.last %}
    {% for seed, columns in seeds %}
    select
        '{{ subject }}' as subject,
        '{{ seed }}' as seed,
        {{ dbt.hash(seed_line(columns)) }} as line_hash
    from {{ ref(seed) }}
    {{ 'union all' if not (loop.last and is_last_subject) }}
    {% endfor %}
    {% endfor %}
),

fingerprints as (
    select
        subject,
        {{ dbt.hash(dbt.listagg('line_hash', "''", 'order by seed, line_hash')) }} as fingerprint
    from lines
    group by subject
),

subjects as (
    select
        coalesce(max(case when subject = 'prices' then fingerprint end), '') as prices,
        coalesce(max(case when subject = 'requests' then fingerprint end), '') as requests,
        coalesce(max(case when subject = 'quotas' then fingerprint end), '') as quotas,
        coalesce(max(case when subject = 'closed' then fingerprint end), '') as closed
    from fingerprints
),

-- The data set that the prices come from, as it was learned last.
data_sets as (
    select
        {{ dbt.concat(['source', "' '", 'source_version']) }} as data_set,
        row_number() over (order by recorded_at desc, source desc, source_version desc) as choice
    from {{ ref('model_prices') }}
),

newest_data_set as (
    select coalesce(max(data_set), 'no data set') as data_set
    from data_sets
    where choice = 1
),

hashed as (
    select
        prices,
        {{ dbt.hash(dbt.concat(["'" ~ settings ~ "'", 'prices', 'requests'])) }} as basis_id,
        {{ dbt.hash(dbt.concat(["'" ~ settings ~ "'", 'requests', 'closed'])) }} as closed_basis_id,
        quotas as quota_basis_id
    from subjects
),

final as (
    select
        hashed.basis_id,
        hashed.closed_basis_id,
        hashed.quota_basis_id,
        {{ dbt.concat(['newest_data_set.data_set', "' '", 'left(hashed.prices, 8)']) }} as pricing_basis
    from hashed
    cross join newest_data_set
)

select * from final
