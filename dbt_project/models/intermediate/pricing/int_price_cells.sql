{% set cell_columns = [
    'channel', 'provider', 'model_id', 'usage_unit', 'input_tokens_gt', 'service_tier', 'region_scope',
    'minute_from', 'minute_to', 'weekdays', 'holiday_calendar', 'currency', 'price_per_unit', 'valid_from', 'valid_to'
] %}
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

fx_rates as (

    select * from {{ ref('stg_prices__fx_rates') }}

),

listed as (

    select {{ cell_columns | join(', ') }}, true as is_override from overrides
    union all
    select {{ cell_columns | join(', ') }}, false as is_override from generated

),

-- A price in another currency holds while its rate does; without a rate it is no price.
in_dollars as (

    select
        *,
        price_per_unit as unit_usd,
        valid_from as usd_valid_from,
        valid_to as usd_valid_to
    from listed
    where currency = 'USD'

    union all

    select
        listed.*,
        cast(round(listed.price_per_unit * fx_rates.usd_per_unit, 12) as {{ llm_spend.type_price() }}) as unit_usd,
        greatest(listed.valid_from, fx_rates.valid_from) as usd_valid_from,
        least(listed.valid_to, fx_rates.valid_to) as usd_valid_to
    from listed
    inner join fx_rates
        on
            listed.currency = fx_rates.currency
            and listed.valid_from < fx_rates.valid_to
            and listed.valid_to > fx_rates.valid_from
    where listed.currency <> 'USD'

),

own_models as (

    select distinct channel, model_id from listed

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
            order by channel_fallbacks.fallback_order, own_models.channel
        ) as choice
    from channel_fallbacks
    inner join own_models on channel_fallbacks.fallback_channel = own_models.channel
    left join own_models as already_priced
        on
            channel_fallbacks.channel = already_priced.channel
            and own_models.model_id = already_priced.model_id
    where already_priced.model_id is null

),

sellers as (

    select channel, model_id, channel as price_channel, true as is_own from own_models
    union all
    select channel, model_id, price_channel, false as is_own from inherited_models where choice = 1

),

sold as (

    select
        sellers.channel,
        sellers.price_channel,
        in_dollars.provider,
        in_dollars.model_id,
        in_dollars.service_tier,
        in_dollars.region_scope,
        in_dollars.usage_unit,
        in_dollars.input_tokens_gt,
        in_dollars.minute_from,
        in_dollars.minute_to,
        in_dollars.weekdays,
        in_dollars.holiday_calendar,
        in_dollars.unit_usd as price_per_unit,
        in_dollars.is_override,
        in_dollars.usd_valid_from as valid_from,
        in_dollars.usd_valid_to as valid_to,
        -- How much of a week the price is for: the less, the more it was meant for the moment.
        length(in_dollars.weekdays) * (
            in_dollars.minute_to - in_dollars.minute_from
            + case when in_dollars.minute_to <= in_dollars.minute_from then 1440 else 0 end
        ) as minutes_per_week
    from sellers
    inner join in_dollars
        on
            sellers.price_channel = in_dollars.channel
            and sellers.model_id = in_dollars.model_id
            and (sellers.is_own or in_dollars.service_tier = 'standard')

),

-- A window over midnight is two: no minute is later than the one where it ends.
{% set rest = [
    'channel', 'price_channel', 'provider', 'model_id', 'service_tier', 'region_scope', 'usage_unit',
    'input_tokens_gt', 'weekdays', 'holiday_calendar', 'price_per_unit', 'is_override', 'valid_from', 'valid_to',
    'minutes_per_week'
] | join(', ') %}
final as (

    select {{ rest }}, minute_from, case when minute_to <= minute_from then 1440 else minute_to end as minute_to
    from sold
    union all
    select {{ rest }}, 0 as minute_from, minute_to
    from sold
    where minute_to < minute_from and minute_to > 0

)

select * from final
