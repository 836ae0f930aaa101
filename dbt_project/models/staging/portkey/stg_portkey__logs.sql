with logs as (
    select * from {{ source('portkey', 'portkey__logs') }}
),

final as (
    select
        -- ids
        'portkey' as source_system,
        coalesce(nullif(workspace_slug, ''), _source_instance) as source_instance,
        id as source_record_id,
        -- What one call of a client led to shares the internal trace, which an export lacks. Of traces only that of a
        -- fallback chain is one call: elsewhere clients reuse a trace for a whole conversation.
        coalesce(nullif(internal_trace_id, ''), case when mode = 'fallback' then trace_id end, id)
            as logical_request_id,
        coalesce(nullif(trace_id, ''), nullif(internal_trace_id, '')) as trace_id,
        -- A hit repeats the answer of another call, and for some providers the gateway makes up an id.
        case
            when cache_status in ('HIT', 'SEMANTIC HIT') or provider_response_id like 'portkey-%' then null
            else provider_response_id
        end as provider_response_id,
        nullif(api_key_id, '') as api_key_id,
        cast(null as {{ dbt.type_string() }}) as virtual_account,
        -- The owner of the key: who made the call is told by the metadata.
        nullif(user_id, '') as gateway_user_id,
        cast(null as {{ dbt.type_string() }}) as gateway_team_id,

        -- times
        created_at as started_at,
        -- The log store says more of a request than an export, so it counts whichever is loaded last.
        case when is_from_log_store then created_at end as source_updated_at,
        -- For a stream Portkey's response time is the time to the first chunk.
        cast(case when stream_mode then nullif(ttlt, 0) else response_time end as {{ type_decimal(18, 3) }})
            as latency_ms,
        cast(case when stream_mode then response_time end as {{ type_decimal(18, 3) }}) as ttft_ms,

        -- what was asked
        ai_org as raw_provider,
        ai_model as raw_model,
        requested_model,
        {{ operation_of_path('request_url') }} as operation,
        stream_mode as is_stream,
        service_tier,
        region,
        cast(temperature as {{ type_decimal(9, 4) }}) as temperature,
        max_tokens,
        prompt_slug as prompt_id,
        cast(null as {{ dbt.type_string() }}) as prompt_hash,
        {{ stored_json('metadata') }} as metadata,
        _metadata_error as is_metadata_unreadable,

        -- how it ended
        response_status_code as http_status,
        error_type,
        case
            when is_success or (is_success is null and response_status_code between 200 and 299) then 'success'
            when response_status_code = 429 then 'blocked_rate_limit'
            when response_status_code = 446 then 'blocked_guardrail'
            -- 412 is a spent budget or a model that is not allowed: an export does not tell which.
            when response_status_code = 412 and error_type like '%exhaust_error' then 'blocked_budget'
            when response_status_code = 412 then 'blocked_other'
            else 'error'
        end as status,
        case when cache_status is not null then cache_status in ('HIT', 'SEMANTIC HIT') end as is_gateway_cache_hit,

        -- usage
        req_units as reported_input_tokens,
        total_units as reported_total_tokens,
        -- Some builds leave cached tokens out of req_units but not out of total_units: the difference is cached input.
        case
            when cache_read_tokens is not null or cache_write_tokens is not null then coalesce(cache_read_tokens, 0)
            when total_units > req_units + res_units then total_units - req_units - res_units
            else 0
        end as cache_read_tokens,
        coalesce(cache_write_tokens, 0) as cache_write_tokens,
        coalesce(cache_write_1h_tokens, 0) as cache_write_1h_tokens,
        not coalesce(total_units > req_units + res_units, false) as is_cache_inside_input,
        res_units as output_tokens,
        reasoning_tokens,
        {{ stored_json('other_usage') }} as other_usage,

        -- money: Portkey counts in US cents
        case when coalesce(upper(cost_currency), 'USD') = 'USD' then {{ cents_to_usd('cost') }} end
            as gateway_reported_usd,
        cast(null as {{ type_decimal(18, 6) }}) as feedback_score,

        _dlt_load_id as load_id
    from logs
    where _problem is null
)

select * from final
