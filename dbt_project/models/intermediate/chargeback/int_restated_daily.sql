{#
    Exact, since it is the macro that prices the fact, on the columns that it priced there: which row of the book holds
    (tier, region, threshold, hour) is found anew for every request, and what is free of a date is shared out among all of
    the date's requests. is_other_usage_known decides on a price_status only, never on a cost.
#}
{{ config(**llm_spend.by_usage_date()) }}

{% set other_units = llm_spend.other_quantities() %}
{% set columns = [
    'request_key', 'source_system', 'source_instance', 'started_at', 'usage_date', 'provider', 'channel', 'model_id',
    'operation', 'status', 'http_status', 'is_gateway_cache_hit', 'service_tier', 'region', 'input_tokens',
    'reasoning_tokens', 'total_tokens', 'token_quality'
] + llm_spend.token_buckets() | map(attribute='quantity') | list + other_units %}

{% set members = [
    'source_system', 'source_instance', 'channel', 'provider', 'cost_center_id', 'team_id', 'model_id',
    'billing_period'
] %}

with dates_to_build as (
    {{ llm_spend.dates_to_build() }}
),

restated_models as (
    select
        billing_period,
        channel,
        model_id,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to
    from {{ ref('int_restated_prices') }}
    group by billing_period, channel, model_id
),

facts as (
    select
        {{ columns | join(',\n        ') }},
        cost_center_id,
        team_id,
        cost_usd,
        coalesce({{ other_units | join(' > 0 or ') }} > 0, false) as has_other_usage,
        true as is_other_usage_known
    from {{ ref('fct_llm_requests') }}
    where {{ llm_spend.is_to_build() }} and is_of_record
),

requests as (
    select
        facts.*,
        restated_models.billing_period
    from facts
    inner join restated_models
        on
            facts.channel = restated_models.channel
            and facts.model_id = restated_models.model_id
            and facts.started_at >= restated_models.valid_from
            and facts.started_at < restated_models.valid_to
),

metered as (
    select {{ columns | join(', ') }}
    from {{ ref('fct_llm_requests') }}
    where
        {{ llm_spend.is_to_build() }}
        and is_of_record
        and ({{ llm_spend.units_beside_tokens() | map(attribute='quantity') | join(' > 0 or ') }} > 0)
        and exists (select 1 from restated_models)
),

book as (
    select
        row_number() over (
            order by
                channel, model_id, service_tier, region, input_tokens_gt, valid_from, minute_from, weekdays
        ) as price_key,
        *
    from {{ ref('int_current_price_book') }} as current_book
    where
        exists (
            select 1 from restated_models
            where
                restated_models.channel = current_book.channel
                and restated_models.model_id = current_book.model_id
        )
),

priced as (
    {{ price_requests('requests', 'metered', book='book', is_named=true) }}
),

measured as (
    select
        usage_date,
        {{ members | join(',\n        ') }},
        count(*) as attempts,
        sum(cost_usd) as cost_usd,
        sum(contract_cost_usd) as restated_cost_usd,
        sum(case when cost_usd is null then 1 else 0 end) as unpriced_requests,
        sum(case when contract_cost_usd is null then 1 else 0 end) as restated_unpriced_requests,
        sum(case when cost_usd is null then coalesce(total_tokens, 0) else 0 end) as unpriced_tokens,
        sum(case when contract_cost_usd is null then coalesce(total_tokens, 0) else 0 end) as restated_unpriced_tokens
    from priced
    group by usage_date, {{ members | join(', ') }}
),

-- A date without such usage has a row too: else it would be looked at again in every build.
final as (
    select
        dates_to_build.usage_date,
        {{ members | join(',\n        ') }},
        cast(attempts as {{ dbt.type_bigint() }}) as attempts,
        cast(cost_usd as {{ llm_spend.type_money() }}) as cost_usd,
        cast(restated_cost_usd as {{ llm_spend.type_money() }}) as restated_cost_usd,
        cast(unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(restated_unpriced_requests as {{ dbt.type_bigint() }}) as restated_unpriced_requests,
        cast(unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(restated_unpriced_tokens as {{ dbt.type_bigint() }}) as restated_unpriced_tokens,
        dates_to_build.date_version
    from dates_to_build
    left join measured on dates_to_build.usage_date = measured.usage_date
)

select * from final
