with logs as (
    select * from {{ source('portkey', 'portkey__logs') }}
),

final as (
    select
        -- ids
        'portkey' as source_system,
        coalesce(workspace_slug, _source_instance) as source_instance,
        id as source_record_id,
        -- Only a fallback chain shares its trace; elsewhere clients reuse one trace for a whole conversation.
        case when mode = 'fallback' then coalesce(internal_trace_id, trace_id, id) else id end as logical_request_id,
        api_key_id,
        cast(null as {{ dbt.type_string() }}) as virtual_account,
        cast(null as {{ dbt.type_string() }}) as gateway_user_id,
        cast(null as {{ dbt.type_string() }}) as gateway_team_id,

        -- times
        created_at as started_at,
        cast(null as {{ llm_spend.type_timestamp() }}) as source_updated_at,
        -- For a stream Portkey's response time is the time to the first chunk.
        cast(case when stream_mode then null else response_time end as {{ type_decimal(18, 3) }}) as latency_ms,
        cast(case when stream_mode then response_time end as {{ type_decimal(18, 3) }}) as ttft_ms,

        -- what was asked
        ai_org as raw_provider,
        ai_model as raw_model,
        cast(null as {{ dbt.type_string() }}) as requested_model,
        {{ operation_of_path('request_url') }} as operation,
        stream_mode as is_stream,
        cast(null as {{ dbt.type_string() }}) as service_tier,
        cast(null as {{ dbt.type_string() }}) as region,
        cast(null as {{ type_decimal(9, 4) }}) as temperature,
        cast(null as {{ dbt.type_bigint() }}) as max_tokens,
        prompt_slug as prompt_id,
        {{ stored_json('metadata') }} as metadata,
        _metadata_error as is_metadata_unreadable,

        -- how it ended
        response_status_code as http_status,
        cast(null as {{ dbt.type_string() }}) as error_type,
        case
            when is_success or (is_success is null and response_status_code between 200 and 299) then 'success'
            when response_status_code = 429 then 'blocked_rate_limit'
            when response_status_code = 446 then 'blocked_guardrail'
            -- 412 is a spent budget or a model that is not allowed: an export does not tell which.
            when response_status_code = 412 then 'blocked_other'
            else 'error'
        end as status,
        case when cache_status is not null then cache_status in ('HIT', 'SEMANTIC HIT') end as is_gateway_cache_hit,

        -- usage
        req_units as reported_input_tokens,
        total_units as reported_total_tokens,
        -- Some builds leave cached tokens out of req_units but not out of total_units: the difference is cached input.
        case when total_units > req_units + res_units then total_units - req_units - res_units else 0 end
            as cache_read_tokens,
        cast(0 as {{ dbt.type_bigint() }}) as cache_write_tokens,
        cast(0 as {{ dbt.type_bigint() }}) as cache_write_1h_tokens,
        not coalesce(total_units > req_units + res_units, false) as is_cache_inside_input,
        res_units as output_tokens,
        cast(null as {{ dbt.type_bigint() }}) as reasoning_tokens,
        cast(null as {{ llm_spend.type_json() }}) as other_usage,

        -- money: Portkey counts in US cents
        case when coalesce(upper(cost_currency), 'USD') = 'USD' then {{ cents_to_usd('cost') }} end
            as gateway_reported_usd,
        cast(null as {{ type_decimal(18, 6) }}) as feedback_score,

        _dlt_load_id as load_id
    from logs
    where _problem is null
)

select * from final
