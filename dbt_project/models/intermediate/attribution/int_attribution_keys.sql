{% set slots = range(1, attribution_slots() + 1) %}

with rules as (
    select * from {{ ref('stg_mapping__attribution_rules') }}
),

source_systems as (
    select distinct source_system
    from {{ ref('int_model_names') }}
),

applicable as (
    select
        source_systems.source_system,
        rules.dimension,
        rules.metadata_key,
        rules.priority,
        -- At the same priority the rule for this very source stands before the one for all.
        row_number() over (
            partition by source_systems.source_system, rules.dimension
            order by
                rules.priority,
                case when rules.source_system = lower(source_systems.source_system) then 0 else 1 end,
                rules.metadata_key
        ) as slot
    from source_systems
    inner join rules on rules.source_system in ('*', lower(source_systems.source_system))
),

-- Keys of one priority may contradict each other; most organisations have no such keys, and need no such check.
ties as (
    select
        source_system,
        dimension
    from applicable
    group by source_system, dimension
    having count(*) > count(distinct priority)
),

final as (
    select
        source_systems.source_system
        {%- for dimension in owner_dimensions() %}{% for slot in slots %}
        {%- set is_it = "applicable.dimension = '" ~ dimension ~ "' and applicable.slot = " ~ slot %},
        max(case when {{ is_it }} then applicable.metadata_key end) as {{ dimension }}_key_{{ slot }},
        max(case when {{ is_it }} then applicable.priority end) as {{ dimension }}_priority_{{ slot }}
        {%- endfor %},
        coalesce(max(case when ties.dimension = '{{ dimension }}' then 1 else 0 end), 0) = 1 as has_{{ dimension }}_ties
        {%- endfor %}
    from source_systems
    left join applicable on source_systems.source_system = applicable.source_system
    left join ties
        on applicable.source_system = ties.source_system and applicable.dimension = ties.dimension
    group by source_systems.source_system
)

select * from final
