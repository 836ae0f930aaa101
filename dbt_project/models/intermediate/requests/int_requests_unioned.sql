{{ config(materialized='view') }}

{% set columns = [
    'source_system', 'source_instance', 'source_record_id', 'logical_request_id', 'trace_id', 'provider_response_id',
    'api_key_id', 'virtual_account', 'gateway_user_id', 'gateway_team_id', 'started_at', 'source_updated_at', 'latency_ms', 'ttft_ms', 'raw_provider',
    'raw_model', 'requested_model', 'operation', 'is_stream', 'service_tier', 'region', 'temperature', 'max_tokens',
    'prompt_id', 'prompt_hash', 'metadata', 'is_metadata_unreadable', 'http_status', 'error_type', 'status',
    'is_gateway_cache_hit',
    'reported_input_tokens', 'reported_total_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cache_write_1h_tokens',
    'is_cache_inside_input', 'output_tokens', 'reasoning_tokens', 'other_usage', 'gateway_reported_usd', 'feedback_score',
    'load_id'
] %}

{% set quantities = llm_spend.other_usage_quantities({
    'known_uncached_input_tokens': 'input', 'cache_read_tokens': 'cache_read', 'known_output_tokens': 'output'
}) %}
{% set units_inside, units = quantities['inside'], quantities['all'] %}
{# A company that only looks at bills has no log of a gateway: then an empty table says what requests look like. #}
{% set request_models = var('llm_spend_request_models') %}

with unioned as (
    {% for name in request_models or ['stg_generic__requests'] -%}
    select {{ columns | join(', ') }} from {{ request_model(name) }}
    {{ 'where false' if not request_models }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

loads as (
    select * from {{ ref('int_loads') }}
),

committed as (
    select
        unioned.*,
        -- Parsed once, and only where it says something.
        case when {{ document_text('unioned.other_usage') }} <> '{}' then {{ metadata_map('unioned.other_usage') }} end
            as other_usage_map,
        loads.loaded_at
    from unioned
    inner join loads on unioned.load_id = loads.load_id
),

quantified as (
    select
        {% for unit in units -%}
        {{ other_quantity('other_usage_map', unit) }} as {{ unit }},
        {% endfor -%}
        *,
        -- Cached tokens beyond the reported input can't be inside it, whatever the source usually does.
        case
            when is_cache_inside_input and cache_read_tokens + cache_write_tokens <= coalesce(reported_input_tokens, 0)
                then coalesce(reported_input_tokens, 0) - cache_read_tokens - cache_write_tokens
            else coalesce(reported_input_tokens, 0)
        end as known_uncached_input_tokens
    from committed
),

usage_read as (
    select
        *,
        coalesce(reported_input_tokens, 0) + cache_read_tokens + cache_write_tokens + coalesce(output_tokens, 0) = 0
            as is_without_tokens,
        case
            when other_usage_map is null then false
            else coalesce(
                {{ units | join(' > 0\n                or ') }} > 0,
                false
            )
        end as has_other_usage,
        case
            when other_usage_map is null then false
            else coalesce(
                {{ units | join(' < 0\n                or ') }} < 0,
                false
            )
        end as is_other_usage_wrong,
        -- Some providers count reasoning beside the output, some of them only at times: the total tells.
        case
            when
                reported_total_tokens
                = known_uncached_input_tokens
                + cache_read_tokens
                + cache_write_tokens
                + coalesce(output_tokens, 0)
                + reasoning_tokens
                then coalesce(output_tokens, 0) + reasoning_tokens
            else coalesce(output_tokens, 0)
        end as known_output_tokens
    from quantified
),

-- A success that reports nothing at all did not report its usage: streams without usage look like that.
usage_known as (
    select
        *,
        is_without_tokens
        and not has_other_usage
        and not is_other_usage_wrong
        and (status = 'success' or (reported_input_tokens is null and output_tokens is null))
            as is_usage_missing,
        case
            when cache_write_1h_tokens > cache_write_tokens or is_other_usage_wrong then true
            when not has_other_usage then false
            {%- for bucket, inside in units_inside.items() %}
            when
                coalesce({{ inside | join(', 0)\n                + coalesce(') }}, 0)
                > {{ bucket }}
                then true
            {%- endfor %}
            else false
        end as is_usage_conflicting
    from usage_read
),

final as (
    select
        {{ llm_spend.request_key() }} as request_key,
        source_system,
        source_instance,
        source_record_id,
        logical_request_id,
        trace_id,
        provider_response_id,
        started_at,
        cast(started_at as date) as usage_date,
        -- Names are joined by: an empty one is none.
        nullif(raw_provider, '') as raw_provider,
        nullif(raw_model, '') as raw_model,
        requested_model,
        operation,
        status,
        http_status,
        error_type,
        is_stream,
        is_gateway_cache_hit,
        latency_ms,
        ttft_ms,
        case when not is_usage_missing then known_uncached_input_tokens + cache_read_tokens + cache_write_tokens end
            as input_tokens,
        case when not is_usage_missing then known_uncached_input_tokens end as uncached_input_tokens,
        case when not is_usage_missing then cache_read_tokens end as cache_read_tokens,
        case when not is_usage_missing and not is_usage_conflicting then cache_write_tokens - cache_write_1h_tokens end
            as cache_write_5m_tokens,
        case when not is_usage_missing and not is_usage_conflicting then cache_write_1h_tokens end
            as cache_write_1h_tokens,
        case when not is_usage_missing then known_output_tokens end as output_tokens,
        case when not is_usage_missing then reasoning_tokens end as reasoning_tokens,
        {%- for unit in units %}
        {%- set type = type_decimal(18, 3) if unit == 'audio_seconds' else dbt.type_bigint() %}
        cast(case when {{ unit }} >= 0 then {{ unit }} end as {{ type }}) as {{ unit }},
        {%- endfor %}
        has_other_usage,
        other_usage is not null as is_other_usage_known,
        case
            when not is_usage_missing
                then known_uncached_input_tokens + cache_read_tokens + cache_write_tokens + known_output_tokens
        end as total_tokens,
        case
            when is_usage_missing then 'missing_usage'
            when is_usage_conflicting then 'usage_conflict'
            when is_cache_inside_input and cache_read_tokens + cache_write_tokens > coalesce(reported_input_tokens, 0)
                then 'cache_beside_input'
            -- Some calls are logged with a total of 0 beside their parts: that is no total.
            when
                reported_total_tokens > 0
                and reported_total_tokens
                <> known_uncached_input_tokens + cache_read_tokens + cache_write_tokens + known_output_tokens
                then 'total_mismatch'
            -- Providers tell usage at the end of a stream. Of one that broke off, the gateway counted what it had seen.
            when is_stream and status in ('error', 'cancelled') and known_output_tokens > 0 then 'estimated'
            else 'ok'
        end as token_quality,
        service_tier,
        region,
        temperature,
        max_tokens,
        prompt_id,
        prompt_hash,
        api_key_id,
        virtual_account,
        gateway_user_id,
        gateway_team_id,
        metadata,
        is_metadata_unreadable,
        gateway_reported_usd,
        feedback_score,
        source_updated_at,
        loaded_at,
        load_id
    from usage_known
)

select * from final
