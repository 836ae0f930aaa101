{% set causes = llm_spend.reconciliation_causes() + ['unexplained'] %}
{% set explanations = {
    'tier_or_batch': 'Batch or another service tier has its own prices, and the estimate of the gateway does not have the same ones.',
    'regional_uplift': 'The provider charges more in some regions, and the estimate of the gateway does not have that.',
    'cache': 'The provider counts as many input tokens, but others of them as read from the cache or written to it.',
    'gateway_prices': 'The gateway estimates with other prices than those of the contract.',
    'price_changes': 'The gateway still estimates with prices that have changed since.',
    'not_billed': 'The provider counted this usage and did not bill it.',
    'charges_besides_usage': 'Taxes, credits, purchases, adjustments and seats.',
    'invoice_difference': 'The invoice is not the sum of what the provider says day by day.',
    'no_bill': 'No bill of usage is loaded for this account.'
} %}

with differences as (
    select * from {{ ref('int_reconciliation_causes') }}
),

mapped_providers as (
    select provider from {{ ref('stg_mapping__provider_accounts') }}
    group by provider
),

days as (
    select
        billing_period,
        provider,
        provider_instance,
        usage_date,
        comparison,
        is_final,
        sum(usage_rows) as usage_rows
    from differences
    group by billing_period, provider, provider_instance, usage_date, comparison, is_final
),

day_counts as (
    select
        billing_period,
        provider,
        sum(case when comparison = 'bill_not_loaded' then 1 else 0 end) as days_without_bill,
        sum(case when comparison = 'log_not_loaded' then 1 else 0 end) as days_without_log,
        sum(case when comparison = 'compared' then 1 else 0 end) as days_compared,
        sum(case when comparison = 'compared' and usage_rows = 0 then 1 else 0 end) as days_without_usage,
        sum(case when is_final then 0 else 1 end) as open_days
    from days
    group by billing_period, provider
),

sides as (
    select
        billing_period,
        provider,
        sum(attempts) as attempts,
        sum(unmeasured_attempts) as unmeasured_attempts,
        sum(unpriced_attempts) as unpriced_attempts,
        sum(unpriced_usage_tokens) as unpriced_usage_tokens,
        sum(cost_rows_without_rate) as cost_rows_without_rate,
        -- Unknown is not 0: NULL is a side of which nothing is there.
        case when sum(attempts) > 0 then sum(gateway_usd) end as gateway_usd,
        case when sum(bill_rows) > coalesce(sum(cost_rows_without_rate), 0) then sum(provider_usd) end as provider_usd,
        sum(unexplained_usd) as unexplained_usd
    from differences
    group by billing_period, provider
),

larger_side as (
    select
        *,
        coalesce(provider_usd, 0) - coalesce(gateway_usd, 0) as difference_usd,
        greatest(abs(coalesce(gateway_usd, 0)), abs(coalesce(provider_usd, 0))) as larger_usd
    from sides
),

amounts as (
    {% for cause in causes -%}
    select
        billing_period,
        provider,
        '{{ cause }}' as cause,
        {{ loop.index }} as cause_number,
        coalesce(sum({{ cause }}_usd), 0) as amount_usd,
        count(distinct case when {{ cause }}_usd <> 0 then usage_date end) as days,
        min(case when {{ cause }}_usd <> 0 then usage_date end) as first_date,
        max(case when {{ cause }}_usd <> 0 then usage_date end) as last_date
    from differences
    group by billing_period, provider
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

explained as (
    select
        amounts.*,
        larger_side.gateway_usd,
        larger_side.provider_usd,
        larger_side.difference_usd,
        larger_side.larger_usd,
        larger_side.unexplained_usd,
        day_counts.open_days,
        case amounts.cause
            {% for cause, text in explanations.items() -%}
            when '{{ cause }}' then '{{ text }}'
            {% endfor -%}
            when 'outside_gateway'
                then case
                    when day_counts.days_compared = 0 then 'No gateway has requests to this account.'
                    else 'Keys or projects that provider_accounts gives to no gateway.'
                end
            when 'unmeasured_attempts'
                then {{ text_and(
                    "'The provider counts usage that did not reach the log, or not all of it; attempts: '",
                    'larger_side.unmeasured_attempts'
                ) }}
            when 'late_data'
                then {{ dbt.concat([
                    text_and("'One side is not loaded; days without a bill: '", 'day_counts.days_without_bill'),
                    text_and("' Days without a gateway log: '", 'day_counts.days_without_log')
                ]) }}
            else {{ dbt.concat([
                "case when amounts.amount_usd = 0 then 'Nothing is left.' else 'What no cause accounts for.' end",
                "case when amounts.amount_usd <> 0 and mapped_providers.provider is null"
                ~ " then ' Keys outside of the gateways may be in it: provider_accounts has no row for the provider.' else '' end",
                text_and("' Attempts without a price: '", 'larger_side.unpriced_attempts', is_left_out_at_0=true),
                text_and(
                    "' Tokens of the provider without a price: '", 'larger_side.unpriced_usage_tokens', is_left_out_at_0=true
                ),
                text_and(
                    "' Lines of the bill without a USD rate, which are missing here: '",
                    'larger_side.cost_rows_without_rate',
                    is_left_out_at_0=true
                ),
                text_and(
                    "' Days without usage of the provider, for which causes that need it are not told: '",
                    'day_counts.days_without_usage',
                    is_left_out_at_0=true
                )
            ]) }}
        end as reason
    from amounts
    inner join larger_side
        on amounts.billing_period = larger_side.billing_period and amounts.provider = larger_side.provider
    inner join day_counts
        on amounts.billing_period = day_counts.billing_period and amounts.provider = day_counts.provider
    left join mapped_providers on amounts.provider = mapped_providers.provider
    where amounts.amount_usd <> 0 or amounts.cause = 'unexplained'
),

final as (
    select
        billing_period,
        provider,
        cause,
        cast(gateway_usd as {{ type_money() }}) as gateway_usd,
        cast(provider_usd as {{ type_money() }}) as provider_usd,
        cast(difference_usd as {{ type_money() }}) as difference_usd,
        {{ money_ratio('difference_usd', 'larger_usd') }} as difference_ratio,
        cast(amount_usd as {{ type_money() }}) as amount_usd,
        cast(unexplained_usd as {{ type_money() }}) as unexplained_usd,
        {{ money_ratio('unexplained_usd', 'larger_usd') }} as unexplained_ratio,
        cast(days as {{ dbt.type_bigint() }}) as days,
        first_date,
        last_date,
        open_days = 0 as is_final,
        {{ dbt.concat([
            "reason",
            text_and("' Not final; days that the provider may still change: '", 'open_days', is_left_out_at_0=true)
        ]) }} as explanation,
        cast(cause_number as {{ dbt.type_bigint() }}) as cause_number
    from explained
)

select * from final
