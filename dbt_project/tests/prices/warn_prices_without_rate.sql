-- A price in another currency than USD counts for nothing while fx_rates has no rate for it.
{{ config(severity='warn') }}

with prices as (
    select 'model_prices' as seed, price_id, currency, valid_from, valid_to from {{ ref('stg_prices__model_prices') }}
    union all
    select 'price_overrides' as seed, price_id, currency, valid_from, valid_to from {{ ref('stg_prices__price_overrides') }}
),

rates as (
    select
        currency,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to
    from {{ ref('stg_prices__fx_rates') }}
    group by currency
)

select
    prices.seed,
    prices.price_id,
    prices.currency,
    rates.valid_from as rates_from,
    rates.valid_to as rates_to
from prices
left join rates on prices.currency = rates.currency
where
    prices.currency <> 'USD'
    and (rates.currency is null or prices.valid_from < rates.valid_from or prices.valid_to > rates.valid_to)
