with requests as (
    select * from {{ source('generic', 'generic__requests') }}
),

final as (
    select
        -- ids
        _source_system as source_system,
        _source_instance as source_instance,
        source_record_id,
        coalesce(logical_request_id, source_record_id) as logical_request_id,
        trace_id,
        provider_response_id,
        api_key_id,
        virtual_account,
        gateway_user_id,
        gateway_team_id,

        -- times
        started_at,
        source_updated_at,
        cast(latency_ms as {{ type_decimal(18, 3) }}) as latency_ms,
        cast(ttft_ms as {{ type_decimal(18, 3) }}) as ttft_ms,

        -- what was asked
        provider as raw_provider,
        raw_model,
        requested_model,
        {{ operation_of_name('operation') }} as operation,
        is_stream,
        service_tier,
        region,
        cast(temperature as {{ type_decimal(9, 4) }}) as temperature,
        max_tokens,
        prompt_id,
        prompt_hash,
        {{ stored_json('metadata') }} as metadata,
        _metadata_error as is_metadata_unreadable,

        -- how it ended
        http_status,
        error_type,
        case
            when lower(status) in ('success', 'ok', 'succeeded', 'completed', 'true', '1') then 'success'
            when lower(status) in (
                'blocked_budget', 'blocked_rate_limit', 'blocked_guardrail', 'blocked_other', 'cancelled'
            ) then lower(status)
            when status is null and coalesce(http_status, 200) between 200 and 299 then 'success'
            when http_status = 429 then 'blocked_rate_limit'
            else 'error'
        end as status,
        is_gateway_cache_hit,

        -- usage
        input_tokens as reported_input_tokens,
        total_tokens as reported_total_tokens,
        coalesce(cache_read_tokens, 0) as cache_read_tokens,
        coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0) as cache_write_tokens,
        coalesce(cache_write_1h_tokens, 0) as cache_write_1h_tokens,
        input_includes_cache as is_cache_inside_input,
        output_tokens,
        reasoning_tokens,
        {{ stored_json('other_usage') }} as other_usage,

        -- money: US dollars
        gateway_reported_usd,
        cast(feedback_score as {{ type_decimal(18, 6) }}) as feedback_score,

        _dlt_load_id as load_id
    from requests
    where _problem is null
)

select * from final
