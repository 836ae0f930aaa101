-- Row by row: the token buckets add up to what was reported, the cost is known exactly when price_status says so, and
-- its parts add up to it.
-- The two cases in which tokens can't add up have their own token_quality.
{{ config(severity='error') }}

with judged as (
    select
        request_key,
        usage_date,
        token_quality,
        price_status,
        cost_usd,
        case
            when
                token_quality
                not in ('ok', 'missing_usage', 'usage_conflict', 'cache_beside_input', 'total_mismatch', 'estimated')
                then 'unknown token_quality'
            when (token_quality = 'missing_usage') <> (total_tokens is null) then 'total_tokens contradicts token_quality'
            when coalesce(input_tokens + output_tokens <> total_tokens, false) then 'input + output <> total tokens'
            when
                token_quality in ('ok', 'cache_beside_input', 'total_mismatch', 'estimated')
                and coalesce(
                    uncached_input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, -1
                ) <> input_tokens
                then 'uncached + cache read + cache written <> input tokens'
            when
                least(
                    coalesce(uncached_input_tokens, 0), coalesce(cache_read_tokens, 0),
                    coalesce(cache_write_5m_tokens, 0), coalesce(cache_write_1h_tokens, 0), coalesce(output_tokens, 0)
                ) < 0
                then 'negative tokens'
            when
                price_status <> 'usage_conflict'
                and (
                    coalesce(input_audio_tokens, 0) + coalesce(input_image_tokens, 0) + coalesce(input_video_tokens, 0)
                    > uncached_input_tokens
                    or coalesce(cache_read_audio_tokens, 0) + coalesce(cache_read_image_tokens, 0) > cache_read_tokens
                    or coalesce(output_audio_tokens, 0) + coalesce(output_image_tokens, 0) + coalesce(output_video_tokens, 0)
                    > output_tokens
                )
                then 'more audio, image and video tokens than tokens'
            when not is_of_record and (cost_usd <> 0 or cost_basis <> 'counted_elsewhere') then 'counted here and elsewhere'
            when is_of_record and cost_basis = 'counted_elsewhere' then 'counted nowhere'
            when cost_usd < 0 or list_cost_usd < 0 then 'negative cost'
            when
                coalesce(
                    uncached_input_cost_usd + cache_read_cost_usd + cache_write_cost_usd + output_cost_usd
                    + other_cost_usd,
                    -1
                ) <> coalesce(cost_usd, -1)
                or (
                    cost_usd is null
                    and coalesce(
                        uncached_input_cost_usd, cache_read_cost_usd, cache_write_cost_usd, output_cost_usd,
                        other_cost_usd
                    ) is not null
                )
                then 'the parts of the cost do not add up to it'
            when
                least(
                    coalesce(uncached_input_cost_usd, 0), coalesce(cache_read_cost_usd, 0),
                    coalesce(cache_write_cost_usd, 0), coalesce(output_cost_usd, 0), coalesce(other_cost_usd, 0)
                ) < 0
                then 'a negative part of the cost'
            when
                (uncached_input_cost_usd > 0 and coalesce(uncached_input_tokens, 0) = 0)
                or (cache_read_cost_usd > 0 and coalesce(cache_read_tokens, 0) = 0)
                or (cache_write_cost_usd > 0 and coalesce(cache_write_5m_tokens + cache_write_1h_tokens, 0) = 0)
                or (output_cost_usd > 0 and coalesce(output_tokens, 0) = 0)
                then 'a cost of tokens that are not there'
            when price_status is null then 'no price_status'
            when
                price_status in ('unpriced', 'no_usage', 'unmeasured', 'usage_conflict')
                and contract_cost_usd is not null
                then 'a cost that should not be known'
            when
                price_status in ('priced', 'parent_unit', 'assumed_standard', 'free', 'not_billed', 'cache_hit')
                and contract_cost_usd is null
                then 'no cost, though price_status says that it is known'
            when
                price_status not in (
                    'unpriced', 'no_usage', 'unmeasured', 'usage_conflict',
                    'priced', 'parent_unit', 'assumed_standard', 'free', 'not_billed', 'cache_hit'
                )
                then 'unknown price_status'
            when price_status in ('free', 'not_billed', 'cache_hit') and contract_cost_usd <> 0 then 'a cost where 0 is known'
            when (cost_basis = 'unknown') <> (cost_usd is null) then 'cost_basis contradicts cost_usd'
            when is_of_record and coalesce(cost_usd, -1) <> coalesce(contract_cost_usd, -1)
                then 'cost_usd is not the contract cost'
            when (list_cost_usd is null) <> (contract_cost_usd is null) then 'only one of list and contract cost is known'
            when cost_basis not in ('contract', 'counted_elsewhere') and list_cost_usd <> contract_cost_usd
                then 'a cost that differs from the list without a contract'
            when price_status in ('priced', 'parent_unit', 'assumed_standard', 'free') and pricing_basis is null
                then 'a price of unknown basis'
        end as problem
    from {{ ref('fct_llm_requests') }}
    where {{ recently_built() }}
)

select *
from judged
where problem is not null
