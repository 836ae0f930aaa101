-- Whole numbers and decimals of 64 bits where they are wide enough: DuckDB divides those of 128 bits slowly.
create macro whole_ratio(part, whole) as case
    when whole > 0
        then cast(
            cast((part * 2000000 + whole) // (whole * 2) as bigint) * cast(0.000001 as decimal(6, 6)) as decimal(18, 6)
        )
end;

create macro cents_to_usd(cents) as case
    when abs(cents) < 1000000
        then cast(
            cast(cast(cents as decimal(18, 12)) as decimal(16, 10)) * cast(0.01 as decimal(2, 2)) as decimal(38, 12)
        )
    else cast(cast(cents as decimal(24, 12)) * cast(0.01 as decimal(2, 2)) as decimal(38, 12))
end;

create macro tag(value) as
    nullif(trim(case when not starts_with(value, '{') and not starts_with(value, '[') then value end), '');

create temp table loads as
select load_id, cast(inserted_at at time zone 'UTC' as timestamp) as loaded_at
from source.llm_spend_raw._dlt_loads
where status = 0;

create temp table members as
select
    lower(trim(user_id)) as user_id,
    team_id,
    cast(valid_from as date) as valid_from,
    coalesce(cast(nullif(valid_to, '') as date), date '9999-12-31') as valid_to
from source.llm_spend_seeds.org_members;

create temp table teams as
select
    team_id,
    cost_center_id,
    cast(valid_from as date) as valid_from,
    coalesce(cast(nullif(valid_to, '') as date), date '9999-12-31') as valid_to
from source.llm_spend_seeds.org_teams;

create temp table api_keys as
select
    api_key_id,
    lower(owner_user_id) as owner_user_id,
    team_id,
    cast(valid_from as date) as valid_from,
    coalesce(cast(nullif(valid_to, '') as date), date '9999-12-31') as valid_to
from source.llm_spend_seeds.api_keys;

create temp view logs as
select
    *,
    coalesce(workspace_slug, _source_instance) as source_instance
from source.llm_spend_raw.portkey__logs
where _problem is null;

create macro typed(logs) as table
with parts as (
    select
        *,
        coalesce(req_units, 0) as asked,
        coalesce(res_units, 0) as answered,
        -- A total above its parts: cached input that Portkey left out of them.
        greatest(coalesce(total_units - req_units - res_units, 0), 0) as cached,
        case
            when is_success or (is_success is null and response_status_code between 200 and 299) then 'success'
            when response_status_code = 429 then 'blocked_rate_limit'
            when response_status_code = 446 then 'blocked_guardrail'
            when response_status_code = 412 then 'blocked_other'
            else 'error'
        end as status
    from query_table(logs)
),

counted as (
    select
        *,
        asked + cached + answered > 0
        or (status <> 'success' and (req_units is not null or res_units is not null)) as has_usage
    from parts
)

select
    'portkey|' || source_instance || '|' || id as request_key,
    source_instance,
    id as source_record_id,
    case when mode = 'fallback' then coalesce(internal_trace_id, trace_id, id) else id end as logical_request_id,
    coalesce(nullif(trace_id, ''), nullif(internal_trace_id, '')) as trace_id,
    mode = 'fallback' as is_of_a_chain,
    created_at as started_at,
    cast(created_at as date) as usage_date,
    ai_org as raw_provider,
    ai_model as raw_model,
    case
        when request_url like '%/chat/completions%' then 'chat'
        when request_url like '%/embeddings%' then 'embeddings'
        when request_url like '%/messages%' then 'messages'
        when request_url like '%/responses%' then 'responses'
        when request_url like '%/completions%' then 'completion'
        when request_url like '%/rerank%' then 'rerank'
        when request_url like '%/images%' then 'image'
        when request_url like '%/audio%' then 'audio'
        when request_url like '%/moderations%' then 'moderation'
        when request_url is not null then 'other'
    end as operation,
    status,
    response_status_code as http_status,
    stream_mode as is_stream,
    case when cache_status is not null then cache_status in ('HIT', 'SEMANTIC HIT') end as is_gateway_cache_hit,
    case when stream_mode is not true then cast(response_time as decimal(18, 3)) end as latency_ms,
    case when stream_mode then cast(response_time as decimal(18, 3)) end as ttft_ms,
    has_usage,
    case when has_usage then asked + cached end as input_tokens,
    case when has_usage then asked end as uncached_input_tokens,
    case when has_usage then cached end as cache_read_tokens,
    case when has_usage then cast(0 as bigint) end as cache_write_tokens,
    case when has_usage then answered end as output_tokens,
    case when has_usage then asked + cached + answered end as total_tokens,
    case
        when not has_usage then 'missing_usage'
        when total_units > 0 and total_units <> asked + cached + answered then 'total_mismatch'
        when stream_mode and status in ('error', 'cancelled') and answered > 0 then 'estimated'
        else 'ok'
    end as token_quality,
    prompt_slug as prompt_id,
    api_key_id,
    metadata,
    coalesce(_metadata_error, false) as is_metadata_unreadable,
    case
        when coalesce(upper(cost_currency), 'USD') = 'USD'
            then cents_to_usd(cost)
    end as gateway_reported_usd,
    loads.loaded_at,
    _dlt_load_id as load_id
from counted
inner join loads on counted._dlt_load_id = loads.load_id;

-- Lines that arrived more than once: one in fifty, so only those are ranked.
create temp table repeated as
select source_instance, id
from logs
group by source_instance, id
having count(*) > 1;

create temp view single_logs as
select * from logs
anti join repeated using (source_instance, id);

create temp view repeated_logs as
select * from logs
semi join repeated using (source_instance, id);

create temp table latest as
select *
from typed('repeated_logs')
qualify row_number() over (
    partition by source_instance, source_record_id
    order by
        coalesce(total_tokens, -1) desc,
        load_id desc,
        status,
        coalesce(http_status, 0),
        coalesce(gateway_reported_usd, -1) desc,
        coalesce(cast(metadata as varchar), '')
) = 1;

-- Only the targets of a fallback chain share a request; the last one counts.
create temp table superseded as
with attempts as (
    select request_key, source_instance, logical_request_id, usage_date, started_at
    from typed('single_logs')
    where is_of_a_chain
    union all
    select request_key, source_instance, logical_request_id, usage_date, started_at
    from latest
    where is_of_a_chain
)

select request_key
from attempts
qualify row_number() over (
    partition by source_instance, logical_request_id, usage_date
    order by started_at desc, request_key desc
) > 1;

create table llm_spend.fct_llm_requests as
with attempts as (
    select * from typed('single_logs')
    union all
    select * from latest
),

read as (
    select
        *,
        from_json(
            metadata,
            '{"_user": "VARCHAR", "user": "VARCHAR", "user_id": "VARCHAR", "team": "VARCHAR", "team_id": "VARCHAR",'
            || '"business_unit": "VARCHAR", "feature": "VARCHAR", "feature_name": "VARCHAR", "feature_id": "VARCHAR",'
            || '"customer_id": "VARCHAR", "customer": "VARCHAR",'
            || '"_environment": "VARCHAR", "environment": "VARCHAR", "env": "VARCHAR"}'
        ) as tags
    from attempts
),

tagged as (
    select
        * exclude (tags),
        lower(coalesce(tag(tags._user), tag(tags.user), tag(tags.user_id))) as user_tag,
        coalesce(tag(tags.team), tag(tags.team_id), tag(tags.business_unit)) as team_tag,
        coalesce(tag(tags.feature), tag(tags.feature_name), tag(tags.feature_id)) as feature_tag,
        coalesce(tag(tags.customer_id), tag(tags.customer)) as customer_tag,
        coalesce(tag(tags._environment), tag(tags.environment), tag(tags.env)) as environment_tag
    from read
),

with_user as (
    select
        tagged.*,
        coalesce(tagged.user_tag, api_keys.owner_user_id) as found_user,
        case
            when tagged.user_tag is not null then 'tag'
            when api_keys.owner_user_id is not null then 'api_key'
            else 'missing'
        end as user_attribution,
        api_keys.team_id as key_team
    from tagged
    left join api_keys
        on
            tagged.api_key_id = api_keys.api_key_id
            and tagged.usage_date >= api_keys.valid_from
            and tagged.usage_date < api_keys.valid_to
),

with_team as (
    select
        with_user.*,
        coalesce(with_user.team_tag, with_user.key_team, members.team_id) as found_team,
        case
            when with_user.team_tag is not null then 'tag'
            when with_user.key_team is not null then 'api_key'
            when members.team_id is not null then 'org_member'
            else 'missing'
        end as found_team_attribution
    from with_user
    left join members
        on
            with_user.found_user = members.user_id
            and with_user.usage_date >= members.valid_from
            and with_user.usage_date < members.valid_to
),

priced as (
    select
        with_team.*,
        teams.team_id as known_team,
        teams.cost_center_id,
        models.provider,
        models.channel,
        models.model_id,
        models.matched_by,
        prices.pricing_basis,
        prices.has_audio_prices or (with_team.cache_read_tokens > 0 and prices.is_cache_read_inherited) as takes_parent_price,
        prices.model_id is not null
        and not coalesce(with_team.uncached_input_tokens > 0 and prices.input_price is null, false)
        and not coalesce(with_team.cache_read_tokens > 0 and prices.cache_read_price is null, false)
        and not coalesce(with_team.output_tokens > 0 and prices.output_price is null, false) as has_price,
        cast(with_team.uncached_input_tokens * coalesce(prices.input_price, 0) as decimal(38, 12)) as uncached_input_usd,
        cast(with_team.cache_read_tokens * coalesce(prices.cache_read_price, 0) as decimal(38, 12)) as cache_read_usd,
        cast(with_team.output_tokens * coalesce(prices.output_price, 0) as decimal(38, 12)) as output_usd,
        cast(coalesce(prices.request_price, 0) as decimal(38, 12)) as request_usd,
        uncached_input_usd + cache_read_usd + output_usd + request_usd as computed_usd
    from with_team
    left join teams
        on
            with_team.found_team = teams.team_id
            and with_team.usage_date >= teams.valid_from
            and with_team.usage_date < teams.valid_to
    left join (
        select * from source.llm_spend_internal.int_model_resolution where source_system = 'portkey'
    ) as models
        on
            coalesce(with_team.raw_provider, '') = coalesce(models.raw_provider, '')
            and coalesce(with_team.raw_model, '') = coalesce(models.raw_model, '')
            and with_team.started_at >= models.valid_from
            and with_team.started_at < models.valid_to
    left join (
        select * from source.llm_spend_internal.int_price_book
        where service_tier = 'standard' and region = '*' and is_all_week
    ) as prices
        on
            models.channel = prices.channel
            and models.model_id = prices.model_id
            and with_team.started_at >= prices.valid_from
            and with_team.started_at < prices.valid_to
            and coalesce(with_team.input_tokens, 0) > prices.input_tokens_gt
            and coalesce(with_team.input_tokens, 0) <= prices.input_tokens_lte
),

judged as (
    select
        *,
        case
            when is_gateway_cache_hit then 'cache_hit'
            when status = 'success' and not has_usage then 'no_usage'
            when coalesce(total_tokens, 0) = 0 and http_status in (408, 499, 504) then 'unmeasured'
            when coalesce(total_tokens, 0) = 0 then 'not_billed'
            when not has_price then 'unpriced'
            when computed_usd = 0 then 'free'
            when takes_parent_price then 'parent_unit'
            else 'priced'
        end as price_status,
        case
            when price_status in ('cache_hit', 'not_billed') then cast(0 as decimal(38, 12))
            when price_status in ('priced', 'parent_unit', 'free') then computed_usd
        end as usd,
        price_status in ('priced', 'parent_unit', 'free') as is_charged
    from priced
)

select
    judged.request_key,
    'portkey' as source_system,
    judged.source_instance,
    judged.source_record_id,
    judged.logical_request_id,
    judged.trace_id,
    cast(null as varchar) as provider_response_id,
    superseded.request_key is null as is_final_attempt,
    judged.started_at,
    judged.usage_date,
    coalesce(judged.provider, lower(judged.raw_provider)) as provider,
    judged.channel,
    cast(null as varchar) as requested_model,
    judged.raw_model as resolved_model,
    judged.model_id,
    judged.matched_by as model_matched_by,
    judged.operation,
    judged.status,
    judged.http_status,
    cast(null as varchar) as error_type,
    judged.is_stream,
    judged.is_gateway_cache_hit,
    judged.latency_ms,
    judged.ttft_ms,
    judged.input_tokens,
    judged.uncached_input_tokens,
    judged.cache_read_tokens,
    judged.cache_write_tokens as cache_write_5m_tokens,
    judged.cache_write_tokens as cache_write_1h_tokens,
    judged.output_tokens,
    cast(null as bigint) as reasoning_tokens,
    cast(null as bigint) as input_audio_tokens,
    cast(null as bigint) as input_image_tokens,
    cast(null as bigint) as input_video_tokens,
    cast(null as bigint) as cache_read_audio_tokens,
    cast(null as bigint) as cache_read_image_tokens,
    cast(null as bigint) as output_audio_tokens,
    cast(null as bigint) as output_image_tokens,
    cast(null as bigint) as output_video_tokens,
    judged.total_tokens,
    judged.token_quality,
    cast(null as bigint) as web_searches,
    cast(null as bigint) as file_searches,
    cast(null as decimal(18, 3)) as audio_seconds,
    cast(null as bigint) as pages,
    cast(null as bigint) as annotated_pages,
    cast(null as bigint) as input_characters,
    cast(null as bigint) as text_messages,
    cast(null as varchar) as service_tier,
    cast(null as varchar) as region,
    cast(null as decimal(9, 4)) as temperature,
    cast(null as bigint) as max_tokens,
    judged.prompt_id,
    cast(null as varchar) as prompt_hash,
    coalesce(judged.found_user, '(unallocated)') as user_id,
    judged.user_attribution,
    coalesce(judged.known_team, '(unallocated)') as team_id,
    case
        when judged.known_team is null and judged.found_team is not null then 'unknown'
        else judged.found_team_attribution
    end as team_attribution,
    coalesce(judged.feature_tag, '(unallocated)') as feature_id,
    if(judged.feature_tag is null, 'missing', 'tag') as feature_attribution,
    coalesce(judged.customer_tag, '(unallocated)') as customer_id,
    if(judged.customer_tag is null, 'missing', 'tag') as customer_attribution,
    coalesce(judged.environment_tag, '(unallocated)') as environment,
    if(judged.environment_tag is null, 'missing', 'tag') as environment_attribution,
    coalesce(judged.cost_center_id, '(unallocated)') as cost_center_id,
    judged.api_key_id,
    cast(null as varchar) as virtual_account,
    judged.metadata,
    judged.is_metadata_unreadable,
    judged.gateway_reported_usd,
    judged.usd as list_cost_usd,
    judged.usd as contract_cost_usd,
    judged.usd as cost_usd,
    case when judged.is_charged then judged.uncached_input_usd else judged.usd end as uncached_input_cost_usd,
    case when judged.is_charged then judged.cache_read_usd else judged.usd end as cache_read_cost_usd,
    -- Portkey's exports tell no cache writes.
    case when judged.usd is not null then cast(0 as decimal(38, 12)) end as cache_write_cost_usd,
    case when judged.is_charged then judged.output_usd else judged.usd end as output_cost_usd,
    case when judged.is_charged then judged.request_usd else judged.usd end as other_cost_usd,
    case
        when judged.usd is null then 'unknown'
        when judged.price_status in ('cache_hit', 'not_billed') then judged.price_status
        else 'list'
    end as cost_basis,
    true as is_of_record,
    judged.price_status,
    judged.pricing_basis,
    case when judged.price_status = 'cache_hit' and judged.has_price then judged.computed_usd end as cost_saved_usd,
    cast(null as decimal(18, 6)) as feedback_score,
    judged.loaded_at,
    judged.load_id
from judged
left join superseded on judged.request_key = superseded.request_key;
