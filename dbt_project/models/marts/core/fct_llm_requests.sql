{{ config(**llm_spend.by_usage_date(unique_key='request_key', cluster_by=['team_id', 'model_id'])) }}

{% set requests = ref('int_requests_unioned') %}
{% set key_hash = llm_spend.short_hash('requests.request_key') %}
{% set logical_hash = llm_spend.short_hash('requests.logical_request_id') %}
{# The canonical requests are read several times, few columns at a time: a CTE of them would keep them all, wide. #}
{% set of_dates = llm_spend.is_to_build('requests.usage_date', started_at='requests.started_at') %}
{% set is_to_build = of_dates ~ '\n    and requests.load_id in (select load_id from loads)' %}
{% set metered_columns = [
    'request_key', 'source_system', 'source_instance', 'raw_provider', 'raw_model', 'started_at', 'usage_date', 'is_gateway_cache_hit'
] + llm_spend.units_beside_tokens() | map(attribute='quantity') | list %}
{# Handed on as they were attributed and priced. #}
{% set known_columns = [
    'request_key', 'source_system', 'source_instance', 'source_record_id', 'logical_request_id', 'trace_id',
    'provider_response_id', 'started_at', 'usage_date', 'provider', 'channel', 'requested_model', 'model_id',
    'model_matched_by', 'operation', 'status', 'http_status', 'error_type', 'is_stream', 'is_gateway_cache_hit',
    'latency_ms', 'ttft_ms', 'input_tokens', 'uncached_input_tokens', 'cache_read_tokens', 'cache_write_5m_tokens',
    'cache_write_1h_tokens', 'output_tokens', 'reasoning_tokens', 'total_tokens', 'token_quality', 'service_tier',
    'region', 'temperature', 'max_tokens', 'prompt_id', 'prompt_hash', 'user_id', 'user_attribution', 'team_id',
    'team_attribution', 'feature_id', 'feature_attribution', 'customer_id', 'customer_attribution', 'environment',
    'environment_attribution', 'cost_center_id', 'api_key_id', 'virtual_account', 'metadata', 'gateway_reported_usd',
    'price_status', 'pricing_basis', 'feedback_score', 'loaded_at', 'load_id'
] + llm_spend.other_quantities() %}
{% set is_single = is_to_build ~ '\n    and ' ~ key_hash ~ ' not in (select key_hash from repeated_keys)' %}

with dates_to_build as (
    {{ llm_spend.dates_to_build() }}
),

-- The loads that hold rows of these dates. By load, warehouses skip what they don't need of the raw tables; and rows
-- that arrive while a build runs are of no date's version yet: they wait for the next one.
loads as (
    select load_id
    from {{ ref('int_load_contents') }}
    where usage_date in (select usage_date from dates_to_build)
    group by load_id
),

-- Requests with versions on several dates, when one of these is to build. By hash, as all with several versions are.
moved_versions as (
    select
        request_hash as key_hash,
        usage_date,
        load_id
    from {{ ref('int_moved_requests') }}
    where
        request_hash in (
            select here.request_hash
            from {{ ref('int_moved_requests') }} as here
            where here.usage_date in (select usage_date from dates_to_build)
        )
),

moved as (
    select
        key_hash,
        usage_date
    from moved_versions
    group by key_hash, usage_date
),

repeated_keys as (
    select {{ key_hash }} as key_hash
    from {{ requests }} as requests
    where {{ is_to_build }}
    group by {{ key_hash }}
    having count(*) > 1
    {{ llm_spend.union_distinct() }}
    select key_hash
    from moved
),

versions as (
    select requests.*
    from {{ requests }} as requests
    where
        {{ is_to_build }}
        and {{ key_hash }} in (select key_hash from repeated_keys)
    union all
    select requests.*
    from {{ requests }} as requests
    inner join moved
        on {{ key_hash }} = moved.key_hash and requests.usage_date = moved.usage_date
    where
        requests.usage_date in (select usage_date from moved_versions)
        and requests.usage_date not in (select usage_date from dates_to_build)
        and requests.load_id in (select load_id from moved_versions)
        and {{ llm_spend.on_constant_dates(['moved_from'], 'requests.usage_date', 'requests.started_at') }}
),

-- The newest version by the source's own time, then the one with the most tokens (a stream is logged with placeholder
-- usage first), then the one loaded last. Versions are few, so only they are ranked: ranking all would sort the log.
ranked_versions as (
    select
        *,
        row_number() over (
            partition by request_key
            order by
                coalesce(source_updated_at, cast('1900-01-01' as {{ llm_spend.type_timestamp() }})) desc,
                coalesce(total_tokens, -1) desc,
                load_id desc,
                -- Copies in one load that still differ: any order will do, as long as it is always the same.
                status,
                coalesce(http_status, 0),
                coalesce(gateway_reported_usd, -1) desc,
                coalesce({{ document_text('metadata') }}, '')
        ) as version_rank
    from versions
),

deduplicated as (
    select
        requests.*,
        1 as version_rank
    from {{ requests }} as requests
    where {{ is_single }}
    union all
    select * from ranked_versions
    where
        version_rank = 1
        and usage_date in (select usage_date from dates_to_build)
),

-- One logical request counts once a date, at the attempt that ended it. Retries are few too.
shared_requests as (
    select
        {{ logical_hash }} as logical_hash,
        requests.usage_date
    from {{ requests }} as requests
    where {{ is_to_build }}
    group by {{ logical_hash }}, requests.usage_date
    having count(*) > 1
),

attempts as (
    select
        requests.request_key,
        requests.source_system,
        requests.source_instance,
        requests.logical_request_id,
        requests.usage_date,
        requests.started_at
    from {{ requests }} as requests
    inner join shared_requests
        on {{ logical_hash }} = shared_requests.logical_hash and requests.usage_date = shared_requests.usage_date
    where {{ is_single }}
    union all
    select
        request_key,
        source_system,
        source_instance,
        logical_request_id,
        usage_date,
        started_at
    from ranked_versions
    where
        version_rank = 1
        and usage_date in (select usage_date from dates_to_build)
),

ranked_attempts as (
    select
        request_key,
        row_number() over (
            partition by source_system, source_instance, logical_request_id, usage_date
            order by started_at desc, request_key desc
        ) as attempt_rank
    from attempts
),

superseded as (
    select request_key from ranked_attempts
    where attempt_rank > 1
),

attributed as (
    {{ attribute_requests('deduplicated') }}
),

-- Those with usage beside tokens again, few columns and few rows: free allowances count them by date.
metered as (
    select
        {{ metered_columns | join(',\n        ') }}
    from {{ requests }} as requests
    where
        {{ is_single }}
        -- Said by a column that is nearly always empty, so whole blocks need not be read.
        and requests.is_other_usage_known
        and requests.has_other_usage
    union all
    select
        {{ metered_columns | join(',\n        ') }}
    from ranked_versions
    where
        version_rank = 1
        and usage_date in (select usage_date from dates_to_build)
        and has_other_usage
),

counted_elsewhere as (
    select * from {{ ref('int_counted_elsewhere') }}
),

-- A call that another log counts uses up no allowance a second time.
metered_of_record as (
    select metered.*
    from metered
    left join counted_elsewhere
        on {{ llm_spend.is_counted_elsewhere('metered') }}
    where counted_elsewhere.usage_date is null
),

priced as (
    {{ price_requests(
        'attributed',
        'metered_of_record',
        columns=known_columns + ['raw_provider', 'raw_model', 'is_metadata_unreadable', 'has_contract_prices']
    ) }}
),

final as (
    select
        {{ llm_spend.columns_of('priced', known_columns) }},
        -- Asking after a batch is no request; the batch itself is.
        coalesce(priced.operation, '') <> 'poll' and superseded.request_key is null as is_final_attempt,
        priced.raw_model as resolved_model,
        coalesce(priced.is_metadata_unreadable, false) as is_metadata_unreadable,
        priced.list_cost_usd,
        priced.contract_cost_usd,
        case
            when counted_elsewhere.usage_date is null then priced.contract_cost_usd
            else cast(0 as {{ type_money() }})
        end as cost_usd,
        {% for cost in llm_spend.cost_columns() -%}
        case when counted_elsewhere.usage_date is null then priced.{{ cost }} else cast(0 as {{ type_money() }}) end
            as {{ cost }},
        {% endfor -%}
        case
            when counted_elsewhere.usage_date is not null then 'counted_elsewhere'
            when priced.contract_cost_usd is null then 'unknown'
            when priced.price_status in ('cache_hit', 'not_billed') then priced.price_status
            when priced.has_contract_prices then 'contract'
            else 'list'
        end as cost_basis,
        counted_elsewhere.usage_date is null as is_of_record,
        priced.cost_saved_usd,
        dates_to_build.date_version
    from priced
    inner join dates_to_build on priced.usage_date = dates_to_build.usage_date
    left join superseded on priced.request_key = superseded.request_key
    left join counted_elsewhere
        on {{ llm_spend.is_counted_elsewhere('priced') }}
)

select * from final
