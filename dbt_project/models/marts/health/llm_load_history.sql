{% set listed_models = [
    'stg_gateway__members', 'stg_gateway__limits', 'stg_gateway__limit_usage', 'stg_gateway__totals',
    'stg_gateway__feedback', 'stg_tracking__runs', 'stg_provider__usage', 'stg_provider__costs', 'stg_provider__focus'
] %}

with packages as (
    select * from {{ ref('stg_loads__packages') }}
),

files as (
    select
        load_id,
        source,
        source_instance,
        entity,
        count(*) as files,
        sum(size_bytes) as size_bytes
    from {{ ref('stg_loads__files') }}
    group by load_id, source, source_instance, entity
),

rows_of_loads as (
    select
        load_id,
        rows_loaded,
        first_event_at,
        last_event_at
    from {{ ref('int_load_contents') }}
    {%- for listed in listed_models %}
    union all
    select
        load_id,
        1 as rows_loaded,
        cast(null as {{ llm_spend.type_timestamp() }}) as first_event_at,
        cast(null as {{ llm_spend.type_timestamp() }}) as last_event_at
    from {{ ref(listed) }}
    {%- endfor %}
),

arrived as (
    select
        load_id,
        sum(rows_loaded) as rows_loaded,
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at
    from rows_of_loads
    where load_id in (select load_id from {{ ref('int_loads') }})
    group by load_id
),

quarantined as (
    select
        load_id,
        count(*) as lines_quarantined
    from {{ ref('stg_loads__quarantine') }}
    group by load_id
),

final as (
    select
        files.load_id,
        files.source,
        files.source_instance,
        files.entity,
        packages.loaded_at,
        cast(files.files as {{ dbt.type_bigint() }}) as files,
        cast(files.size_bytes as {{ dbt.type_bigint() }}) as size_bytes,
        cast(coalesce(arrived.rows_loaded, 0) as {{ dbt.type_bigint() }}) as rows_loaded,
        cast(coalesce(quarantined.lines_quarantined, 0) as {{ dbt.type_bigint() }}) as lines_quarantined,
        arrived.first_event_at,
        arrived.last_event_at
    from files
    inner join packages on files.load_id = packages.load_id
    left join arrived on files.load_id = arrived.load_id
    left join quarantined on files.load_id = quarantined.load_id
)

select * from final
