with calls as (
    select * from {{ source('switchboard', 'calls') }}
),

final as (
    select
        -- ids
        'switchboard' as source_system,
        site as source_instance,
        call_id as source_record_id,
        call_id as logical_request_id,
        cast(null as {{ dbt.type_string() }}) as trace_id,
        cast(null as {{ dbt.type_string() }}) as provider_response_id,
        cast(null as {{ dbt.type_string() }}) as api_key_id,
        cast(null as {{ dbt.type_string() }}) as virtual_account,
        caller as gateway_user_id,
        squad as gateway_team_id,

        -- times (UTC)
        called_at as started_at,
        cast(null as {{ llm_spend.type_timestamp() }}) as source_updated_at,
        cast(seconds * 1000 as {{ llm_spend.type_decimal(18, 3) }}) as latency_ms,
        cast(null as {{ llm_spend.type_decimal(18, 3) }}) as ttft_ms,

        -- what was asked
        vendor as raw_provider,
        model as raw_model,
        model as requested_model,
        'chat' as operation,
        false as is_stream,
        cast(null as {{ dbt.type_string() }}) as service_tier,
        cast(null as {{ dbt.type_string() }}) as region,
        cast(null as {{ llm_spend.type_decimal(9, 4) }}) as temperature,
        cast(null as {{ dbt.type_bigint() }}) as max_tokens,
        cast(null as {{ dbt.type_string() }}) as prompt_id,
        cast(null as {{ dbt.type_string() }}) as prompt_hash,
        labels as metadata,
        false as is_metadata_unreadable,

        -- how it ended
        cast(null as {{ dbt.type_bigint() }}) as http_status,
        cast(null as {{ dbt.type_string() }}) as error_type,
        case when failed then 'error' else 'success' end as status,
        cast(null as {{ dbt.type_boolean() }}) as is_gateway_cache_hit,

        -- usage: prompt_tokens leaves out what was read from the cache
        prompt_tokens as reported_input_tokens,
        cast(null as {{ dbt.type_bigint() }}) as reported_total_tokens,
        coalesce(cached_tokens, 0) as cache_read_tokens,
        cast(0 as {{ dbt.type_bigint() }}) as cache_write_tokens,
        cast(0 as {{ dbt.type_bigint() }}) as cache_write_1h_tokens,
        false as is_cache_inside_input,
        completion_tokens as output_tokens,
        cast(null as {{ dbt.type_bigint() }}) as reasoning_tokens,
        cast(null as {{ llm_spend.type_json() }}) as other_usage,

        -- money
        cast(null as {{ llm_spend.type_money() }}) as gateway_reported_usd,
        cast(null as {{ llm_spend.type_decimal(18, 6) }}) as feedback_score,

        -- the export that brought the row
        export_id as load_id,
        exported_at as loaded_at
    from calls
)

select * from final
