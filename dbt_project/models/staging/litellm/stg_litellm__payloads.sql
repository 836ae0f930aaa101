with payloads as (
    select
        *,
        -- What asks for the state or the content of something is no call of a model. A read of a response repeats the
        -- usage of the call that made it; only the row that settles a background response has usage of its own.
        case
            when status <> 'success' then false
            when
                call_type like '%get_responses'
                or call_type like '%delete_responses'
                or call_type like '%cancel_responses'
                or call_type like '%list_input_items'
                then id not like '%_background_cost'
            when
                call_type like '%retrieve_batch'
                or call_type like '%cancel_batch'
                or call_type like '%list_batches'
                or call_type like '%vector_store_create'
                or call_type like '%vector_store_retrieve'
                or call_type like '%vector_store_list'
                or call_type like '%vector_store_update'
                or call_type like '%vector_store_delete'
                or call_type like '%vector_store_file_%'
                then coalesce(response_cost, 0) = 0 and coalesce(total_tokens, 0) = 0
            else false
        end as is_poll
    from {{ source('litellm', 'litellm__payloads') }}
),

final as (
    select
        -- ids
        'litellm' as source_system,
        _source_instance as source_instance,
        case
            when is_poll then replace(id, '_batch_cost', '') || '_poll'
            -- Each log adds a time of its own to a cache hit; the call it was is in both.
            when id like '%_cache_hit%' and litellm_call_id <> ''
                then {{ dbt.split_part('id', "'_cache_hit'", 1) }} || '_cache_hit_' || litellm_call_id
            -- The row that brings the cost of a batch or a background response is the newest version of that request.
            else replace(replace(id, '_batch_cost', ''), '_background_cost', '')
        end as source_record_id,
        -- A proxy gives all attempts of a call its id; outside of one, only the trace tells, and it may be a session.
        coalesce(
            case
                when is_poll then replace(id, '_batch_cost', '') || '_poll'
                when api_key_hash <> '' and not coalesce(is_shadow, false)
                    then nullif({{ dbt.split_part('litellm_call_id', "'-attempt-'", 1) }}, '')
            end,
            nullif(trace_id, ''),
            id
        ) as logical_request_id,
        nullif(trace_id, '') as trace_id,
        -- Of an answer the id is the provider's own; failures and cache hits have one of the proxy.
        case
            when status = 'success' and not coalesce(is_cache_hit, false) and not is_poll
                then replace(replace(id, '_batch_cost', ''), '_background_cost', '')
        end as provider_response_id,
        api_key_hash as api_key_id,
        cast(null as {{ dbt.type_string() }}) as virtual_account,
        -- The end user of the call before the owner of the key it was made with.
        coalesce(nullif(end_user, ''), nullif(key_owner_user_id, '')) as gateway_user_id,
        coalesce(nullif(team_alias, ''), nullif(team_id, '')) as gateway_team_id,

        -- times
        start_time as started_at,
        coalesce(updated_at, end_time) as source_updated_at,
        -- The response time of a stream is that of its first token.
        coalesce(
            cast({{ milliseconds_between('start_time', 'end_time') }} as {{ type_decimal(18, 3) }}),
            cast(response_time * 1000 as {{ type_decimal(18, 3) }})
        ) as latency_ms,
        -- Without a stream the completion "starts" when it ends: not a time to the first token.
        case
            when
                coalesce(is_stream, true)
                and completion_start_time > start_time
                and completion_start_time < end_time
                then cast(
                    {{ milliseconds_between('start_time', 'completion_start_time') }} as {{ type_decimal(18, 3) }}
                )
        end as ttft_ms,

        -- what was asked
        custom_llm_provider as raw_provider,
        model as raw_model,
        coalesce(nullif(original_model_group, ''), model_group) as requested_model,
        case
            when is_poll then 'poll'
            when call_type like '%retrieve_batch' then 'other'
            else {{ operation_of_name('call_type') }}
        end as operation,
        -- The database does not say it, but only a stream has tokens before it ends.
        coalesce(
            is_stream,
            case when completion_start_time > start_time and completion_start_time < end_time then true end
        ) as is_stream,
        service_tier,
        region,
        cast(temperature as {{ type_decimal(9, 4) }}) as temperature,
        max_tokens,
        cast(null as {{ dbt.type_string() }}) as prompt_id,
        prompt_hash,
        {{ stored_json('metadata') }} as metadata,
        _metadata_error as is_metadata_unreadable,

        -- how it ended
        coalesce(error_code, case when status = 'success' then 200 end) as http_status,
        error_class as error_type,
        case
            -- A stream that its client left is a success to LiteLLM, and an error of the client's.
            when error_code = 499 then 'cancelled'
            when status = 'success' then 'success'
            -- A spent budget is told by its kind: the HTTP status was 400, 422 or 429 over the versions.
            when error_rate_limit_type = 'budget' or error_class like '%BudgetExceeded%' then 'blocked_budget'
            when error_code = 429 or error_rate_limit_category like 'litellm%' then 'blocked_rate_limit'
            when guardrail_status = 'guardrail_intervened' or error_class like '%Guardrail%' then 'blocked_guardrail'
            else 'error'
        end as status,
        is_cache_hit as is_gateway_cache_hit,

        -- usage: prompt_tokens includes cached tokens
        case when not is_poll then prompt_tokens end as reported_input_tokens,
        case when not is_poll then total_tokens end as reported_total_tokens,
        case when is_poll then 0 else coalesce(cache_read_tokens, 0) end as cache_read_tokens,
        case when is_poll then 0 else coalesce(cache_write_tokens, 0) end as cache_write_tokens,
        case when is_poll then 0 else coalesce(cache_write_1h_tokens, 0) end as cache_write_1h_tokens,
        true as is_cache_inside_input,
        case when not is_poll then completion_tokens end as output_tokens,
        case when not is_poll then reasoning_tokens end as reasoning_tokens,
        case when not is_poll then {{ stored_json('other_usage') }} end as other_usage,

        -- money: US dollars
        case when is_poll then 0 else response_cost end as gateway_reported_usd,
        cast(null as {{ type_decimal(18, 6) }}) as feedback_score,

        _dlt_load_id as load_id
    from payloads
    where _problem is null
)

select * from final
