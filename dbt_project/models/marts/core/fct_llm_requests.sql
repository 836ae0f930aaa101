{{ config(
    materialized='incremental',
    incremental_strategy=llm_spend.replace_by_key(),
    unique_key='request_key',
    partition_by=llm_spend.partition_by_date('usage_date'),
    cluster_by=llm_spend.cluster_columns(['team_id', 'model_id']),
    on_schema_change='fail'
) }}

{% set requests = ref('int_requests_unioned') %}
{% set is_to_build %}
    requests.usage_date in (select usage_date from dates_to_build)
    and requests.request_key not in (select request_key from standing_elsewhere)
{% endset %}

with basis as (
    select basis_id from {{ ref('int_basis') }}
),

packages as (
    select * from {{ ref('int_loads') }}
),

{% if is_incremental() %}
-- What the table holds tells what is new to it: no state is kept elsewhere, so a failed build is simply done again.
-- The hour covers loaders whose clocks differ.
recent as (
    select {{ minutes_before('max(loaded_at)', 60) }} as since
    from {{ this }}
),

new_loads as (
    select packages.load_id
    from packages
    cross join recent
    where
        (recent.since is null or packages.loaded_at >= recent.since)
        and packages.load_id not in (
            select built.load_id
            from {{ this }} as built
            where built.loaded_at >= (select recent.since from recent)
        )
),

new_requests as (
    select
        request_key,
        usage_date
    from {{ requests }}
    where load_id in (select load_id from new_loads)
),

-- Whole dates are built again: those of new rows, those where an older version of a new row stands, and those that
-- were priced or attributed on another basis. Grouped, so that a planner knows that dates are few: DuckDB else took
-- them for the larger side of every join, and ran out of 4 GB at 3 million requests.
dates_to_build as (
    select usage_date from new_requests
    group by usage_date
    {{ llm_spend.union_distinct() }}
    select usage_date from {{ this }}
    where request_key in (select request_key from new_requests)
    group by usage_date
    {{ llm_spend.union_distinct() }}
    select usage_date from {{ this }}
    where basis_id <> (select basis_id from basis)
    group by usage_date
),

-- A record whose time was corrected stands on its new date; the old version on a date to build must not replace it.
standing_elsewhere as (
    select built.request_key
    from {{ this }} as built
    where
        built.usage_date not in (select usage_date from dates_to_build)
        and built.request_key in (
            select candidates.request_key
            from {{ requests }} as candidates
            where candidates.usage_date in (select usage_date from dates_to_build)
        )
),
{% else %}
{% set is_to_build = 'true' %}
{% endif %}

superseded as (
    {{ superseded_attempts(requests, is_to_build) }}
),

deduplicated as (
    {{ deduplicate_requests(requests, is_to_build) }}
),

attributed as (
    {{ attribute_requests('deduplicated') }}
),

priced as (
    {{ price_requests('attributed') }}
),

final as (
    select
        priced.request_key,
        priced.source_system,
        priced.source_instance,
        priced.source_record_id,
        priced.logical_request_id,
        -- Asking after a batch is no request; the batch itself is.
        coalesce(priced.operation, '') <> 'poll' and superseded.request_key is null as is_final_attempt,
        priced.started_at,
        priced.usage_date,
        priced.provider,
        priced.channel,
        priced.requested_model,
        priced.raw_model as resolved_model,
        priced.model_id,
        priced.model_matched_by,
        priced.operation,
        priced.status,
        priced.http_status,
        priced.error_type,
        priced.is_stream,
        priced.is_gateway_cache_hit,
        priced.latency_ms,
        priced.ttft_ms,
        priced.input_tokens,
        priced.uncached_input_tokens,
        priced.cache_read_tokens,
        priced.cache_write_5m_tokens,
        priced.cache_write_1h_tokens,
        priced.output_tokens,
        priced.reasoning_tokens,
        priced.total_tokens,
        priced.token_quality,
        priced.service_tier,
        priced.region,
        priced.temperature,
        priced.max_tokens,
        priced.prompt_id,
        priced.user_id,
        priced.user_attribution,
        priced.team_id,
        priced.team_attribution,
        priced.feature_id,
        priced.feature_attribution,
        priced.customer_id,
        priced.customer_attribution,
        priced.environment,
        priced.environment_attribution,
        priced.cost_center_id,
        priced.api_key_id,
        priced.virtual_account,
        priced.metadata,
        coalesce(priced.is_metadata_unreadable, false) as is_metadata_unreadable,
        priced.gateway_reported_usd,
        priced.list_cost_usd,
        -- Negotiated prices come with their seeds; until then the contract is the list.
        priced.list_cost_usd as contract_cost_usd,
        priced.list_cost_usd as cost_usd,
        case
            when priced.list_cost_usd is null then 'unknown'
            when priced.price_status in ('cache_hit', 'not_billed') then priced.price_status
            else 'list'
        end as cost_basis,
        priced.price_status,
        priced.cost_saved_usd,
        priced.feedback_score,
        priced.loaded_at,
        priced.load_id,
        basis.basis_id
    from priced
    cross join basis
    left join superseded on priced.request_key = superseded.request_key
)

select * from final
