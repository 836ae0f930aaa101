create table llm_spend.llm_load_history as
with files as (
    select
        _dlt_load_id as load_id,
        source,
        source_instance,
        coalesce(entity, 'requests') as entity,
        count(*) as files,
        cast(sum(size_bytes) as bigint) as size_bytes
    from source.llm_spend_raw.llm_spend__files
    group by all
),

arrived as (
    select
        _dlt_load_id as load_id,
        count(*) as rows_loaded,
        min(created_at) as first_event_at,
        max(created_at) as last_event_at
    from source.llm_spend_raw.portkey__logs
    where _problem is null
    group by _dlt_load_id
),

quarantined as (
    select
        found_in_load_id as load_id,
        count(*) as lines_quarantined
    from source.llm_spend_raw.llm_spend__quarantine
    where _dlt_load_id in (select load_id from loads)
    group by found_in_load_id
)

select
    files.load_id,
    files.source,
    files.source_instance,
    files.entity,
    loads.loaded_at,
    files.files,
    files.size_bytes,
    coalesce(arrived.rows_loaded, 0) as rows_loaded,
    coalesce(quarantined.lines_quarantined, 0) as lines_quarantined,
    arrived.first_event_at,
    arrived.last_event_at
from files
inner join loads using (load_id)
left join arrived using (load_id)
left join quarantined using (load_id);

create table llm_spend.llm_source_health as
with measured as (
    select
        source_system,
        source_instance,
        count(*) as attempts,
        count(*) filter (token_quality = 'missing_usage' and status = 'success') as attempts_without_usage,
        count(*) filter (is_metadata_unreadable) as attempts_with_unreadable_metadata,
        count(*) filter (is_gateway_cache_hit is null) as attempts_of_unknown_cache_status,
        count(*) filter (cost_usd is null) as unpriced_attempts,
        count(*) filter (team_id = '(unallocated)') as attempts_without_team,
        min(started_at) as first_event_at,
        max(started_at) as last_event_at,
        max(loaded_at) as last_loaded_at,
        max(max(usage_date)) over () - max(usage_date) as days_without_usage
    from llm_spend.fct_llm_requests
    group by source_system, source_instance
),

arrived as (
    select
        coalesce(rows.workspace_slug, rows._source_instance) as source_instance,
        count(*) as rows_loaded,
        max(loads.loaded_at) as known_to
    from source.llm_spend_raw.portkey__logs as rows
    inner join loads on rows._dlt_load_id = loads.load_id
    where rows._problem is null
    group by coalesce(rows.workspace_slug, rows._source_instance)
),

quarantined as (
    select
        source_instance,
        count(*) as lines_quarantined
    from source.llm_spend_raw.llm_spend__quarantine
    where _dlt_load_id in (select load_id from loads)
    group by source_instance
)

select
    measured.source_system,
    measured.source_instance,
    measured.attempts,
    cast(0 as bigint) as attempts_counted_elsewhere,
    measured.attempts_without_usage,
    measured.attempts_with_unreadable_metadata,
    measured.attempts_of_unknown_cache_status,
    measured.unpriced_attempts,
    measured.attempts_without_team,
    arrived.rows_loaded - measured.attempts as duplicate_rows,
    coalesce(quarantined.lines_quarantined, 0) as lines_quarantined,
    measured.first_event_at,
    measured.last_event_at,
    measured.last_loaded_at,
    cast(null as timestamp) as last_listed_at,
    arrived.known_to,
    measured.days_without_usage < 14 as is_waited_for
from measured
inner join arrived using (source_instance)
left join quarantined using (source_instance);

create table llm_spend.llm_unpriced_models as
select
    source_system,
    coalesce(provider, '(unknown)') as provider,
    coalesce(channel, '(unknown)') as channel,
    coalesce(resolved_model, '(unknown)') as resolved_model,
    coalesce(model_id, '(unresolved)') as model_id,
    price_status,
    count(*) as unpriced_requests,
    coalesce(cast(sum(total_tokens) as bigint), 0) as unpriced_tokens,
    sum(gateway_reported_usd) as gateway_reported_usd,
    min(started_at) as first_seen_at,
    max(started_at) as last_seen_at,
    case when price_status = 'unpriced' then 'prices/price_overrides.csv' end as seed_file,
    -- The organisation has one model without a price, and its channel is known.
    case when price_status = 'unpriced' then
        concat(
            'override-', resolved_model, '-input_tokens,', provider, ',', channel, ',', resolved_model,
            ',input_tokens,1000000,FILL_IN,USD,-1,standard,*,,,,,', cast(min(started_at) as date),
            ',,documented,override,1,FILL_IN,FILL_IN', chr(10),
            'override-', resolved_model, '-output_tokens,', provider, ',', channel, ',', resolved_model,
            ',output_tokens,1000000,FILL_IN,USD,-1,standard,*,,,,,', cast(min(started_at) as date),
            ',,documented,override,1,FILL_IN,FILL_IN'
        )
    end as seed_line
from llm_spend.fct_llm_requests
where cost_usd is null
group by source_system, provider, channel, resolved_model, model_id, price_status;
