with spans as (
    select * from {{ source('truefoundry', 'truefoundry__spans') }}
),

final as (
    select
        -- ids
        'truefoundry' as source_system,
        _source_instance as source_instance,
        {{ dbt.concat(['trace_id', "':'", 'span_id']) }} as source_record_id,
        trace_id as logical_request_id,
        trace_id,
        provider_response_id,
        -- Users name their tokens themselves: two may have the same name.
        {{ dbt.concat(['subject_slug', "'/'", "nullif(subject_pat_name, '')"]) }} as api_key_id,
        case
            when subject_type in ('virtualaccount', 'virtual-account', 'serviceaccount') then subject_slug
        end as virtual_account,
        case when subject_type = 'user' then subject_slug end as gateway_user_id,
        -- A subject in several teams names none of them: picking one would charge the wrong team.
        {{ json_only_element('subject_teams') }} as gateway_team_id,

        -- times
        spans.timestamp as started_at,
        cast(null as {{ llm_spend.type_timestamp() }}) as source_updated_at,
        coalesce(
            cast(latency_in_ms as {{ type_decimal(18, 3) }}),
            cast(duration_ns * cast('0.000001' as {{ type_decimal(7, 6) }}) as {{ type_decimal(18, 3) }})
        ) as latency_ms,
        cast(time_to_first_token_in_ms as {{ type_decimal(18, 3) }}) as ttft_ms,

        -- what was asked
        -- A model's name is tenant:provider:account:kind:model; older gateways write account/model.
        coalesce(
            provider_account_type,
            nullif({{ dbt.split_part('model_fqn', "':'", 2) }}, ''),
            {{ path_head('requested_model_name') }}
        ) as raw_provider,
        model_name as raw_model,
        requested_model_name as requested_model,
        {{ operation_of_name('request_type') }} as operation,
        is_streaming as is_stream,
        cast(null as {{ dbt.type_string() }}) as service_tier,
        cast(null as {{ dbt.type_string() }}) as region,
        cast(temperature as {{ type_decimal(9, 4) }}) as temperature,
        max_tokens,
        cast(null as {{ dbt.type_string() }}) as prompt_id,
        cast(null as {{ dbt.type_string() }}) as prompt_hash,
        {{ stored_json('metadata') }} as metadata,
        _metadata_error as is_metadata_unreadable,

        -- how it ended
        http_status_code as http_status,
        error_type,
        case
            when status_code = 'ERROR' and lower(error_type) like '%budget%' then 'blocked_budget'
            when status_code = 'ERROR' and lower(error_type) like '%guardrail%' then 'blocked_guardrail'
            when status_code = 'ERROR' and http_status_code = 429 then 'blocked_rate_limit'
            when status_code = 'ERROR' then 'error'
            else 'success'
        end as status,
        case when cached_trace_id is not null then true end as is_gateway_cache_hit,

        -- usage: input includes cached tokens
        input_tokens as reported_input_tokens,
        cast(null as {{ dbt.type_bigint() }}) as reported_total_tokens,
        coalesce(cache_read_input_tokens, 0) as cache_read_tokens,
        coalesce(cache_creation_input_tokens, 0) as cache_write_tokens,
        cast(0 as {{ dbt.type_bigint() }}) as cache_write_1h_tokens,
        true as is_cache_inside_input,
        output_tokens,
        cast(null as {{ dbt.type_bigint() }}) as reasoning_tokens,
        cast(null as {{ llm_spend.type_json() }}) as other_usage,

        -- money: US dollars
        cost_in_usd as gateway_reported_usd,
        cast(null as {{ type_decimal(18, 6) }}) as feedback_score,

        _dlt_load_id as load_id
    from spans
    where _problem is null
)

select * from final
