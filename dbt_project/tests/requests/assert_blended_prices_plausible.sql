-- What a model cost per token on a day, by list, lies between half its lowest and twice its highest price of that day.
-- Catches a cost that is 100 or 1,000 times off, whatever the cause. Requests with more than tokens are left out.
{{ config(severity='error') }}

{% set unit_prices = [] %}
{% for unit in usage_units() if unit.unit.endswith('_tokens') %}{% do unit_prices.append(unit.price) %}{% endfor %}

with model_days as (
    select
        usage_date,
        channel,
        model_id,
        sum(list_cost_usd) as list_cost_usd,
        sum(total_tokens) as total_tokens
    from {{ ref('fct_llm_requests') }}
    where
        price_status in ('priced', 'parent_unit', 'assumed_standard')
        and total_tokens > 0
        {%- for unit in units_beside_tokens() %}
        and coalesce({{ unit.quantity }}, 0) = 0
        {%- endfor %}
        and {{ recently_built() }}
    group by usage_date, channel, model_id
),

prices as (
    select
        *,
        cast(valid_from as date) as first_date,
        least(
            {%- for price in unit_prices %}
            coalesce({{ price }}, input_price, output_price, 0){{ ',' if not loop.last }}
            {%- endfor %}
        ) as lowest_price,
        greatest(
            {%- for price in unit_prices %}
            coalesce({{ price }}, 0){{ ',' if not loop.last }}
            {%- endfor %}
        ) as highest_price
    from {{ ref('int_price_book') }}
),

ranges as (
    select
        model_days.usage_date,
        model_days.channel,
        model_days.model_id,
        min(prices.lowest_price) as lowest_price,
        max(prices.highest_price) as highest_price,
        max(prices.request_price) as request_price
    from model_days
    left join prices
        on
            model_days.channel = prices.channel
            and model_days.model_id = prices.model_id
            and model_days.usage_date >= prices.first_date
            and cast(model_days.usage_date as {{ type_timestamp() }}) < prices.valid_to
    group by model_days.usage_date, model_days.channel, model_days.model_id
),

final as (
    select
        model_days.*,
        ranges.lowest_price,
        ranges.highest_price
    from model_days
    inner join ranges
        on
            model_days.usage_date = ranges.usage_date
            and model_days.channel = ranges.channel
            and model_days.model_id = ranges.model_id
    where
        ranges.highest_price is null
        -- A price per request is no price per token.
        or (
            ranges.request_price is null
            and (
                model_days.list_cost_usd * 2 < model_days.total_tokens * ranges.lowest_price
                or model_days.list_cost_usd > model_days.total_tokens * ranges.highest_price * 2
            )
        )
)

select * from final
