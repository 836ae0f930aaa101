-- Row by row: the token buckets add up to all input, and the estimate is known exactly when price_status says so.
{{ config(severity='error') }}

with judged as (
    select
        usage_key,
        token_quality,
        price_status,
        case
            when token_quality not in ('ok', 'missing_usage', 'usage_conflict', 'total_mismatch')
                then 'unknown token_quality'
            when
                token_quality in ('ok', 'total_mismatch')
                and coalesce(
                    uncached_input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, 0
                ) <> coalesce(input_tokens, 0)
                then 'uncached + cache read + cache written <> input tokens'
            when
                least(
                    coalesce(uncached_input_tokens, 0), coalesce(cache_read_tokens, 0),
                    coalesce(cache_write_5m_tokens, 0), coalesce(cache_write_1h_tokens, 0), coalesce(output_tokens, 0)
                ) < 0
                then 'negative tokens'
            when (list_cost_usd is null) <> (contract_cost_usd is null)
                then 'only one of list and contract cost is known'
            when
                price_status in ('unpriced', 'no_usage', 'unmeasured', 'usage_conflict')
                and contract_cost_usd is not null
                then 'a cost that should not be known'
            when
                price_status in ('priced', 'parent_unit', 'assumed_standard', 'free', 'not_billed')
                and contract_cost_usd is null
                then 'no cost, though price_status says that it is known'
        end as problem
    from {{ ref('fct_llm_provider_usage') }}
)

select *
from judged
where problem is not null
