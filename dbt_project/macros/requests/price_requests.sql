{#
    Prices every request at the price that held when it started.

    relation: requests with owners. Adds provider, channel, model_id, model_matched_by, the costs in USD (NULL =
    unknown, never 0 for it) and price_status. A whole request is priced at the threshold its input reaches. A
    service tier that the book does not know is priced as standard and marked so.
#}
{% macro price_requests(relation) %}
    with resolution as (
        select * from {{ ref('int_model_resolution') }}
    ),

    price_book as (
        select * from {{ ref('int_price_book') }}
    ),

    known_tiers as (
        select
            channel,
            model_id,
            service_tier,
            min(valid_from) as valid_from,
            max(valid_to) as valid_to
        from price_book
        group by channel, model_id, service_tier
    ),

    resolved as (
        select
            requests.*,
            coalesce(resolution.provider, lower(requests.raw_provider)) as provider,
            resolution.channel,
            resolution.model_id,
            resolution.matched_by as model_matched_by,
            coalesce(lower(requests.service_tier), 'standard') not in ('standard', 'default', 'auto') as is_special_tier,
            coalesce(known_tiers.service_tier, 'standard') as priced_tier
        from {{ relation }} as requests
        left join resolution
            on
                requests.source_system = resolution.source_system
                and coalesce(requests.raw_provider, '') = coalesce(resolution.raw_provider, '')
                and coalesce(requests.raw_model, '') = coalesce(resolution.raw_model, '')
                and requests.started_at >= resolution.valid_from
                and requests.started_at < resolution.valid_to
        left join known_tiers
            on
                resolution.channel = known_tiers.channel
                and resolution.model_id = known_tiers.model_id
                and lower(requests.service_tier) = known_tiers.service_tier
                and requests.started_at >= known_tiers.valid_from
                and requests.started_at < known_tiers.valid_to
    ),

    listed as (
        select
            resolved.*,
            price_book.model_id is not null as has_price,
            (resolved.uncached_input_tokens > 0 and price_book.input_price is null)
            or (resolved.cache_read_tokens > 0 and price_book.cache_read_price is null)
            or (resolved.cache_write_5m_tokens > 0 and price_book.cache_write_5m_price is null)
            or (resolved.cache_write_1h_tokens > 0 and price_book.cache_write_1h_price is null)
            or (resolved.output_tokens > 0 and price_book.output_price is null)
                as lacks_unit_price,
            cast(
                resolved.uncached_input_tokens * coalesce(price_book.input_price, 0)
                + resolved.cache_read_tokens * coalesce(price_book.cache_read_price, 0)
                + resolved.cache_write_5m_tokens * coalesce(price_book.cache_write_5m_price, 0)
                + resolved.cache_write_1h_tokens * coalesce(price_book.cache_write_1h_price, 0)
                + resolved.output_tokens * coalesce(price_book.output_price, 0)
                + coalesce(price_book.request_price, 0)
                as {{ type_money() }}
            ) as computed_usd,
            resolved.is_special_tier and resolved.priced_tier = 'standard' as is_tier_assumed
        from resolved
        left join price_book
            on
                resolved.channel = price_book.channel
                and resolved.model_id = price_book.model_id
                and resolved.priced_tier = price_book.service_tier
                and resolved.started_at >= price_book.valid_from
                and resolved.started_at < price_book.valid_to
                and coalesce(resolved.input_tokens, 0) > price_book.input_tokens_gt
                and coalesce(resolved.input_tokens, 0) <= price_book.input_tokens_lte
    ),

    judged as (
        select
            *,
            case
                when is_gateway_cache_hit then 'cache_hit'
                when token_quality = 'usage_conflict' then 'usage_conflict'
                when status = 'success' and token_quality = 'missing_usage' and operation = 'poll' then 'not_billed'
                when status = 'success' and token_quality = 'missing_usage' then 'missing_usage'
                -- The provider may have worked, and billed, until we stopped waiting.
                when
                    coalesce(total_tokens, 0) = 0 and (http_status in (408, 499, 504) or status = 'cancelled')
                    then 'unmeasured'
                when coalesce(total_tokens, 0) = 0 then 'not_billed'
                when not has_price or lacks_unit_price then 'unpriced'
                when computed_usd = 0 then 'free'
                when is_tier_assumed then 'assumed_standard'
                else 'priced'
            end as price_status
        from listed
    ),

    final as (
        select
            *,
            case
                when price_status in ('cache_hit', 'not_billed') then cast(0 as {{ type_money() }})
                when price_status in ('priced', 'assumed_standard', 'free') then computed_usd
            end as list_cost_usd,
            case when price_status = 'cache_hit' and has_price and not lacks_unit_price then computed_usd end
                as cost_saved_usd
        from judged
    )

    select * from final
{% endmacro %}
