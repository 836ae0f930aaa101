-- One join of the requests with their models, and one with their prices, as an engineer would write it for these logs:
-- standard tier, no region, no other usage than tokens.
select
    requests.request_key,
    models.channel,
    models.model_id,
    cast(
        requests.uncached_input_tokens * prices.input_price
        + requests.cache_read_tokens * coalesce(prices.cache_read_price, 0)
        + requests.output_tokens * case when requests.output_tokens > 0 then prices.output_price else 0 end
        + coalesce(prices.request_price, 0) as decimal(38, 12)
    ) as usd,
    case
        when requests.is_gateway_cache_hit then 'cache_hit'
        when requests.status = 'success' and requests.total_tokens is null then 'no_usage'
        when coalesce(requests.total_tokens, 0) = 0 and requests.http_status in (408, 499, 504) then 'unmeasured'
        when coalesce(requests.total_tokens, 0) = 0 then 'not_billed'
        when usd is null then 'unpriced'
        when usd = 0 then 'free'
        when prices.has_audio_prices or (requests.cache_read_tokens > 0 and prices.is_cache_read_inherited)
            then 'parent_unit'
        else 'priced'
    end as price_status,
    case
        when price_status in ('cache_hit', 'not_billed') then 0
        when price_status in ('priced', 'parent_unit', 'free') then usd
    end as list_cost_usd,
    prices.pricing_basis
from pricing_step.requests as requests
left join (
    select * from llm_spend_internal.int_model_resolution where source_system = 'portkey'
) as models
    on
        coalesce(requests.raw_provider, '') = coalesce(models.raw_provider, '')
        and coalesce(requests.raw_model, '') = coalesce(models.raw_model, '')
        and requests.started_at >= models.valid_from
        and requests.started_at < models.valid_to
left join (
    select * from llm_spend_internal.int_price_book
    where service_tier = 'standard' and region = '*' and is_all_week
) as prices
    on
        models.channel = prices.channel
        and models.model_id = prices.model_id
        and requests.started_at >= prices.valid_from
        and requests.started_at < prices.valid_to
        and coalesce(requests.input_tokens, 0) > prices.input_tokens_gt
        and coalesce(requests.input_tokens, 0) <= prices.input_tokens_lte
