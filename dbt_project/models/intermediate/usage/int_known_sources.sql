with days as (
    select * from {{ ref('int_requests_daily') }}
),

newest as (
    select max(last_loaded_at) as loaded_at from days
),

-- What a log dates after every load is a clock that is wrong.
measured as (
    select
        days.source_system,
        days.source_instance,
        max(case when days.usage_date <= cast(newest.loaded_at as date) then days.usage_date end) as last_usage_date,
        max(case
            when days.is_of_record and days.usage_date <= cast(newest.loaded_at as date) then days.usage_date
        end) as last_counted_date,
        max(days.last_loaded_at) as last_loaded_at
    from days
    cross join newest
    group by days.source_system, days.source_instance
),

latest as (
    select max(last_usage_date) as usage_date from measured
),

contents as (
    select
        load_id,
        source_system,
        source_instance
    from {{ ref('int_load_contents') }}
    group by load_id, source_system, source_instance
),

-- Loads of requests that the build takes into account; what arrives while it runs waits for the next one.
loads as (
    select
        files.load_id,
        files.source as loader,
        files.source_instance as loader_instance,
        max(files.window_end) as window_end,
        max(packages.loaded_at) as loaded_at
    from {{ ref('stg_loads__files') }} as files
    inner join {{ ref('stg_loads__packages') }} as packages on files.load_id = packages.load_id
    where
        files.entity = 'requests'
        and files.load_id in (select load_id from contents)
    group by files.load_id, files.source, files.source_instance
),

brought as (
    select
        contents.source_system,
        contents.source_instance,
        loads.loader,
        loads.loader_instance,
        max(case when loads.window_end is null then loads.loaded_at end) as known_to
    from contents
    inner join loads on contents.load_id = loads.load_id
    where contents.source_system is not null
    group by contents.source_system, contents.source_instance, loads.loader, loads.loader_instance
),

-- Whoever asked an API knows of everything that comes from there, up to the end of the window; an answer without a
-- request says that there was none, and so does a file without a line.
asked as (
    select
        loader,
        loader_instance,
        max(coalesce(window_end, loaded_at)) as known_to
    from loads
    where
        window_end is not null
        or (
            load_id in (select load_id from contents where source_system is null)
            and load_id not in (select load_id from {{ ref('stg_loads__quarantine') }})
        )
    group by loader, loader_instance
),

-- Any other file tells of what it brought only: Portkey's workspaces, say, may come in files of their own.
heard as (
    select
        source_system,
        source_instance,
        known_to
    from brought
    union all
    select
        brought.source_system,
        brought.source_instance,
        asked.known_to
    from brought
    inner join asked
        on brought.loader = asked.loader and brought.loader_instance = asked.loader_instance
),

known as (
    select
        source_system,
        source_instance,
        max(known_to) as known_to
    from heard
    group by source_system, source_instance
),

final as (
    select
        measured.source_system,
        measured.source_instance,
        measured.last_usage_date,
        measured.last_loaded_at,
        -- Of a model of one's own there is no record of files.
        coalesce(known.known_to, measured.last_loaded_at) as known_to,
        coalesce(
            {{ dbt.datediff('measured.last_counted_date', 'latest.usage_date', 'day') }}
            < {{ var('llm_spend_source_wait_days') }},
            false
        ) as is_waited_for
    from measured
    cross join latest
    left join known
        on
            measured.source_system = known.source_system
            and measured.source_instance = known.source_instance
)

select * from final
