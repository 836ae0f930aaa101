with payloads as (
    select * from {{ source('litellm', 'litellm__payloads') }}
),

final as (
    select
        -- ids
        'litellm' as source_system,
        _source_instance as source_instance,
        id as source_record_id,
        coalesce(nullif(trace_id, ''), id) as logical_request_id,
        api_key_hash as api_key_id,
        cast(null as {{ dbt.type_string() }}) as virtual_account,
        -- The end user of the call before the owner of the key it was made with.
        coalesce(nullif(end_user, ''), nullif(key_owner_user_id, '')) as gateway_user_id,
        coalesce(nullif(team_alias, ''), nullif(team_id, '')) as gateway_team_id,

        -- times
        start_time as started_at,
        end_time as source_updated_at,
        cast(response_time * 1000 as {{ type_decimal(18, 3) }}) as latency_ms,
        -- Without a stream the completion "starts" when it ends: not a time to the first token.
        case
            when is_stream and completion_start_time > start_time and completion_start_time < end_time
                then cast(
                    {{ milliseconds_between('start_time', 'completion_start_time') }} as {{ type_decimal(18, 3) }}
                )
        end as ttft_ms,

        -- what was asked
        custom_llm_provider as raw_provider,
        model as raw_model,
        model_group as requested_model,
        {{ operation_of_name('call_type') }} as operation,
        is_stream,
        service_tier,
        region,
        cast(temperature as {{ type_decimal(9, 4) }}) as temperature,
        max_tokens,
        cast(null as {{ dbt.type_string() }}) as prompt_id,
        {{ stored_json('metadata') }} as metadata,
        _metadata_error as is_metadata_unreadable,

        -- how it ended
        coalesce(error_code, case when status = 'success' then 200 end) as http_status,
        error_class as error_type,
        case
            when status = 'success' then 'success'
            -- A spent budget is told by its kind: the HTTP status was 400, 422 or 429 over the versions.
            when error_rate_limit_type = 'budget' or error_class like '%BudgetExceeded%' then 'blocked_budget'
            when error_code = 429 then 'blocked_rate_limit'
            else 'error'
        end as status,
        is_cache_hit as is_gateway_cache_hit,

        -- usage: prompt_tokens includes cached tokens
        prompt_tokens as reported_input_tokens,
        total_tokens as reported_total_tokens,
        coalesce(cache_read_tokens, 0) as cache_read_tokens,
        coalesce(cache_write_tokens, 0) as cache_write_tokens,
        coalesce(cache_write_1h_tokens, 0) as cache_write_1h_tokens,
        true as is_cache_inside_input,
        completion_tokens as output_tokens,
        reasoning_tokens,
        {{ stored_json('other_usage') }} as other_usage,

        -- money: US dollars
        response_cost as gateway_reported_usd,
        cast(null as {{ type_decimal(18, 6) }}) as feedback_score,

        _dlt_load_id as load_id
    from payloads
    where _problem is null
)

select * from final
