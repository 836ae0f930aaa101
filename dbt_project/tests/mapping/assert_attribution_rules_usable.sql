-- Rules that could not take effect would leave cost unallocated without a word.
{{ config(severity='error') }}

with rules as (
    select * from {{ ref('stg_mapping__attribution_rules') }}
),

source_systems as (
    select distinct source_system from rules
),

-- Rules for `*` hold for every source, beside the source's own.
keys_of_sources as (
    select
        source_systems.source_system,
        rules.dimension,
        count(*) as metadata_keys
    from source_systems
    inner join rules on rules.source_system in ('*', source_systems.source_system)
    group by source_systems.source_system, rules.dimension
),

final as (
    select
        source_system,
        dimension,
        'More than {{ attribution_slots() }} metadata keys: remove some from seeds/mapping/attribution_rules.csv.' as problem
    from keys_of_sources
    where metadata_keys > {{ attribution_slots() }}

    union all

    select
        source_system,
        dimension,
        'No such dimension: use {{ owner_dimensions() | join(", ") }} in seeds/mapping/attribution_rules.csv.' as problem
    from rules
    where dimension is null or dimension not in ('{{ owner_dimensions() | join("', '") }}')

    union all

    select
        source_system,
        dimension,
        'No metadata_key or no source_system (`*` = any) in seeds/mapping/attribution_rules.csv.' as problem
    from rules
    where coalesce(metadata_key, '') = '' or coalesce(source_system, '') = ''

    union all

    select
        source_system,
        dimension,
        'The same metadata_key twice in seeds/mapping/attribution_rules.csv.' as problem
    from rules
    group by source_system, dimension, metadata_key
    having count(*) > 1
)

select * from final
