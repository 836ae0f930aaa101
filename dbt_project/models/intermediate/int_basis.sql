{% set seeds = [
    ('model_prices', ['price_id', 'unit_price', 'valid_to']),
    ('price_overrides', ['price_id', 'unit_price', 'valid_to']),
    ('channel_fallbacks', ['channel', 'fallback_channel', 'fallback_order']),
    ('model_aliases', ['provider', 'model_id', 'match_type', 'pattern', 'catalogue_order']),
    ('provider_names', ['source_system', 'raw_provider', 'provider', 'channel']),
    ('model_deployments', ['channel', 'deployment', 'model_id', 'valid_from', 'valid_to']),
    ('attribution_rules', ['dimension', 'source_system', 'metadata_key', 'priority']),
    ('org_members', ['user_id', 'team_id', 'valid_from', 'valid_to']),
    ('org_teams', ['team_id', 'team_name', 'cost_center_id', 'valid_from', 'valid_to']),
    ('api_keys', ['api_key_id', 'owner_user_id', 'team_id', 'valid_from', 'valid_to'])
] %}

with lines as (
    {% for seed, columns in seeds %}
    select
        '{{ seed }}' as seed,
        {{ dbt.hash(seed_line(columns)) }} as line_hash
    from {{ ref(seed) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

final as (
    select
        {{ dbt.hash(dbt.concat([
            "'" ~ var('llm_spend_rules_version') ~ "'",
            dbt.listagg('line_hash', "''", 'order by seed, line_hash')
        ])) }} as basis_id
    from lines
)

select * from final
