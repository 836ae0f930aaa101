{# A generated price_id names its cell; that of an override is written by hand, so what it prices is read too. #}
{% set seeds = [
    ('model_prices', ['price_id', 'unit_price', 'valid_to']),
    ('price_overrides', [
        'price_id', 'provider', 'channel', 'model_id', 'usage_unit', 'unit_size', 'unit_price', 'currency',
        'input_tokens_gt', 'service_tier', 'region_scope', 'valid_from', 'valid_to'
    ]),
    ('channel_fallbacks', ['channel', 'fallback_channel', 'fallback_order']),
    ('model_aliases', ['provider', 'channel', 'model_id', 'match_type', 'pattern', 'excluded_pattern', 'catalogue_order']),
    ('provider_names', ['source_system', 'raw_provider', 'provider', 'channel']),
    ('model_deployments', ['channel', 'deployment', 'model_id', 'valid_from', 'valid_to']),
    ('attribution_rules', ['dimension', 'source_system', 'metadata_key', 'priority']),
    ('org_members', ['user_id', 'team_id', 'valid_from', 'valid_to']),
    ('org_teams', ['team_id', 'team_name', 'cost_center_id', 'valid_from', 'valid_to']),
    ('api_keys', ['api_key_id', 'owner_user_id', 'team_id', 'valid_from', 'valid_to']),
    ('quota_rules', [
        'rule_set', 'rule_id', 'rule_order', 'evaluation', 'subject_type', 'subject', 'models', 'metadata_key',
        'metadata_value', 'applies_per', 'unit', 'limit_to', 'valid_from', 'valid_to'
    ])
] %}
{# What else decides on numbers: another value has every date built again. #}
{% set settings = var('llm_spend_rules_version') ~ '|' ~ var('llm_spend_tag_cardinality_limit') %}

with lines as (
    {% for seed, columns in seeds %}
    select
        '{{ seed }}' as seed,
        {{ dbt.hash(seed_line(columns)) }} as line_hash
    from {{ ref(seed) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

bases as (
    select
        {{ dbt.listagg("case when seed <> 'quota_rules' then line_hash end", "''", 'order by seed, line_hash') }}
            as request_lines,
        {{ dbt.listagg("case when seed = 'quota_rules' then line_hash end", "''", 'order by seed, line_hash') }}
            as quota_lines
    from lines
),

final as (
    select
        {{ dbt.hash(dbt.concat(["'" ~ settings ~ "'", "coalesce(request_lines, '')"])) }} as basis_id,
        {{ dbt.hash("coalesce(quota_lines, '')") }} as quota_basis_id
    from bases
)

select * from final
