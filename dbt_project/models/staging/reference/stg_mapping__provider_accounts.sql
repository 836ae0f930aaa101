{% set key = ['provider', 'provider_instance', 'project_id', 'api_key_id', 'source_system', 'source_instance'] %}

with accounts as (
    select * from {{ ref('provider_accounts') }}
),

ranges as (
    {{ validity_ranges('accounts', key, ['note']) }}
),

final as (
    select
        lower(provider) as provider,
        nullif(provider_instance, '') as provider_instance,
        nullif(project_id, '') as project_id,
        nullif(api_key_id, '') as api_key_id,
        lower(source_system) as source_system,
        nullif(source_instance, '') as source_instance,
        note,
        valid_from,
        valid_to
    from ranges
)

select * from final
