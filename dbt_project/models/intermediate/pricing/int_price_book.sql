with

generated as (

    select * from {{ ref('stg_prices__model_prices') }}

),

overrides as (

    select * from {{ ref('stg_prices__price_overrides') }}

),

channel_fallbacks as (

    select * from {{ ref('stg_prices__channel_fallbacks') }}

),

-- Prices that hold everywhere, in dollars: the fact knows no region of a price yet.
own_cells as (

    select *, true as is_override from overrides where currency = 'USD' and region_scope = '*'
    union all
    select *, false as is_override from generated where currency = 'USD' and region_scope = '*'

),

own_models as (

    select distinct channel, model_id from own_cells

),

-- A cloud sells its parents' models at their standard price where it has no price of its own. Discounted and
-- faster tiers are the parent's own offers, so they don't carry over.
inherited_models as (

    select
        channel_fallbacks.channel,
        own_models.model_id,
        own_models.channel as price_channel,
        row_number() over (
            partition by channel_fallbacks.channel, own_models.model_id
            order by channel_fallbacks.fallback_order
        ) as choice
    from channel_fallbacks
    inner join own_models on channel_fallbacks.fallback_channel = own_models.channel
    left join own_models as already_priced
        on
            channel_fallbacks.channel = already_priced.channel
            and own_models.model_id = already_priced.model_id
    where already_priced.model_id is null

),

cells as (

    select
        channel,
        channel as price_channel,
        provider,
        model_id,
        service_tier,
        usage_unit,
        input_tokens_gt,
        price_per_unit,
        is_override,
        valid_from,
        valid_to
    from own_cells

    union all

    select
        inherited_models.channel,
        inherited_models.price_channel,
        own_cells.provider,
        own_cells.model_id,
        own_cells.service_tier,
        own_cells.usage_unit,
        own_cells.input_tokens_gt,
        own_cells.price_per_unit,
        own_cells.is_override,
        own_cells.valid_from,
        own_cells.valid_to
    from inherited_models
    inner join own_cells
        on
            inherited_models.price_channel = own_cells.channel
            and inherited_models.model_id = own_cells.model_id
    where
        inherited_models.choice = 1
        and own_cells.service_tier = 'standard'

),

instants as (

    select channel, model_id, valid_from as instant from cells
    {{ llm_spend.union_distinct() }}
    select channel, model_id, valid_to as instant from cells

),

spans as (

    select
        channel,
        model_id,
        instant as valid_from,
        lead(instant) over (partition by channel, model_id order by instant) as valid_to
    from instants

),

-- What a row of the book is about. A tier or a threshold that no cell names in a span has no row there.
rows_to_price as (

    select
        spans.channel,
        spans.model_id,
        spans.valid_from,
        spans.valid_to,
        tiers.service_tier,
        thresholds.input_tokens_gt
    from spans
    inner join (select distinct channel, model_id, service_tier from cells) as tiers
        on spans.channel = tiers.channel and spans.model_id = tiers.model_id
    inner join (select distinct channel, model_id, input_tokens_gt from cells) as thresholds
        on spans.channel = thresholds.channel and spans.model_id = thresholds.model_id
    where spans.valid_to is not null

),

-- Of the cells that apply to a row and a unit: first the row's own service tier, then the highest threshold, then
-- what was corrected by hand.
candidates as (

    select
        rows_to_price.channel,
        rows_to_price.model_id,
        rows_to_price.valid_from,
        rows_to_price.valid_to,
        rows_to_price.service_tier,
        rows_to_price.input_tokens_gt,
        cells.price_channel,
        cells.provider,
        cells.usage_unit,
        cells.price_per_unit,
        cells.is_override,
        cells.service_tier = rows_to_price.service_tier as is_own_tier,
        cells.input_tokens_gt = rows_to_price.input_tokens_gt as is_own_threshold,
        row_number() over (
            partition by
                rows_to_price.channel,
                rows_to_price.model_id,
                rows_to_price.valid_from,
                rows_to_price.service_tier,
                rows_to_price.input_tokens_gt,
                cells.usage_unit
            order by
                case when cells.service_tier = rows_to_price.service_tier then 0 else 1 end,
                cells.input_tokens_gt desc,
                case when cells.is_override then 0 else 1 end,
                cells.valid_from desc,
                cells.price_per_unit
        ) as choice
    from rows_to_price
    inner join cells
        on
            rows_to_price.channel = cells.channel
            and rows_to_price.model_id = cells.model_id
            and rows_to_price.valid_from >= cells.valid_from
            and rows_to_price.valid_from < cells.valid_to
            and rows_to_price.input_tokens_gt >= cells.input_tokens_gt
            and cells.service_tier in (rows_to_price.service_tier, 'standard')

),

pivoted as (

    select
        channel,
        model_id,
        service_tier,
        input_tokens_gt,
        valid_from,
        valid_to,
        min(price_channel) as price_channel,
        min(provider) as provider,
        max(case when choice = 1 and usage_unit = 'input_tokens' then price_per_unit end) as input_price,
        max(case when choice = 1 and usage_unit = 'cache_read_tokens' then price_per_unit end) as cache_read_price,
        max(case when choice = 1 and usage_unit = 'cache_write_5m_tokens' then price_per_unit end)
            as cache_write_5m_price,
        max(case when choice = 1 and usage_unit = 'cache_write_1h_tokens' then price_per_unit end)
            as cache_write_1h_price,
        max(case when choice = 1 and usage_unit = 'output_tokens' then price_per_unit end) as output_price,
        max(case when choice = 1 and usage_unit = 'requests' then price_per_unit end) as request_price,
        max(case when choice = 1 and is_override then 1 else 0 end) = 1 as has_override,
        max(case when is_own_tier then 1 else 0 end) as names_tier,
        max(case when is_own_threshold then 1 else 0 end) as names_threshold
    from candidates
    group by channel, model_id, service_tier, input_tokens_gt, valid_from, valid_to

),

final as (

    select
        channel,
        model_id,
        service_tier,
        input_tokens_gt,
        coalesce(
            lead(input_tokens_gt) over (
                partition by channel, model_id, service_tier, valid_from
                order by input_tokens_gt
            ),
            cast(9223372036854775807 as {{ dbt.type_bigint() }})
        ) as input_tokens_lte,
        valid_from,
        valid_to,
        provider,
        price_channel,
        input_price,
        coalesce(cache_read_price, input_price) as cache_read_price,
        coalesce(cache_write_5m_price, input_price) as cache_write_5m_price,
        coalesce(cache_write_1h_price, cache_write_5m_price, input_price) as cache_write_1h_price,
        output_price,
        request_price,
        cache_read_price is null and input_price is not null as is_cache_read_inherited,
        cache_write_5m_price is null and input_price is not null as is_cache_write_inherited,
        cache_write_1h_price is null and coalesce(cache_write_5m_price, input_price) is not null
            as is_cache_write_1h_inherited,
        has_override
    from pivoted
    where
        names_tier = 1
        and (input_tokens_gt = -1 or names_threshold = 1)

)

select * from final
