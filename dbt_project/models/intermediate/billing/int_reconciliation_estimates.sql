{#
    Prices of tiers and regions are taken from the sums of a day, at the price below any threshold. That is exact for plain
    tokens; a batch of long inputs is some cents off, and no request has to be read and priced again for it.
#}
{% set buckets = llm_spend.token_buckets() %}
{% set ways = {'own': 'own_prices', 'standard_tier': 'standard_prices', 'base': 'base_prices'} %}

with requests as (
    select * from {{ ref('int_requests_reconciled_daily') }}
),

prices as (
    select * from {{ ref('int_reconciliation_prices') }}
),

-- Which prices hold: those of the region if it has any, of the tier if it has any there.
matched as (
    select
        requests.*,
        case when regional.channel is null then '*' else requests.region end as priced_region,
        case
            when regional.channel is null and tiered.channel is null then 'standard'
            when regional.channel is not null and regional_tiered.channel is null then 'standard'
            else requests.service_tier
        end as priced_tier
    from requests
    {% for alias, tier, region in [
        ('tiered', 'requests.service_tier', "'*'"),
        ('regional', "'standard'", 'requests.region'),
        ('regional_tiered', 'requests.service_tier', 'requests.region')
    ] -%}
    left join prices as {{ alias }}
        on
            requests.channel = {{ alias }}.channel
            and requests.model = {{ alias }}.model_id
            and {{ alias }}.service_tier = {{ tier }}
            and {{ alias }}.region = {{ region }}
            and requests.usage_date >= {{ alias }}.valid_from
            and requests.usage_date < {{ alias }}.valid_to
    {% endfor %}
),

priced as (
    select
        matched.*,
        {% for way, relation in ways.items() -%}
        cast(round(
            0
            {%- for bucket in buckets %}
            + matched.{{ bucket.quantity }} * coalesce({{ relation }}.{{ bucket.price }}, 0)
            {%- endfor %},
            12
        ) as {{ type_money() }}) as {{ way }}_prices_usd,
        {% endfor -%}
        -- What the gateway would be off by if it kept the price before the last change.
        case
            when
                matched.estimate_basis = 'reported'
                and matched.priced_tier = 'standard'
                and matched.priced_region = '*'
                and base_prices.has_changed
                then
                    0
                    {%- for bucket in buckets %}
                    + case
                        when matched.{{ bucket.quantity }} > 0
                            then
                                matched.{{ bucket.quantity }}
                                * (base_prices.{{ bucket.price }} - base_prices.last_{{ bucket.price }})
                        else 0
                    end
                    {%- endfor %}
        end as price_change_usd
    from matched
    {% for relation, tier, region in [
        ('own_prices', 'matched.priced_tier', 'matched.priced_region'),
        ('standard_prices', "'standard'", 'matched.priced_region'),
        ('base_prices', "'standard'", "'*'")
    ] -%}
    left join prices as {{ relation }}
        on
            matched.channel = {{ relation }}.channel
            and matched.model = {{ relation }}.model_id
            and {{ relation }}.service_tier = {{ tier }}
            and {{ relation }}.region = {{ region }}
            and matched.usage_date >= {{ relation }}.valid_from
            and matched.usage_date < {{ relation }}.valid_to
    {% endfor %}
),

tiered as (
    select
        *,
        own_prices_usd - standard_tier_prices_usd as logged_tier_usd,
        standard_tier_prices_usd - base_prices_usd as logged_region_usd
    from priced
),

alternatives as (
    select
        *,
        contract_usd - logged_tier_usd as standard_tier_usd,
        contract_usd - logged_tier_usd - logged_region_usd as base_usd
    from tiered
),

-- Which price the gateway's own estimate is nearest to: with the tier and the region, without the tier, without both.
judged as (
    select
        *,
        case
            when estimate_basis <> 'reported' then 'contract'
            when
                abs(gateway_usd - contract_usd)
                <= least(abs(gateway_usd - standard_tier_usd), abs(gateway_usd - base_usd))
                then 'contract'
            when abs(gateway_usd - standard_tier_usd) <= abs(gateway_usd - base_usd) then 'standard_tier'
            else 'base'
        end as priced_as
    from alternatives
),

compared as (
    select
        *,
        case priced_as when 'contract' then contract_usd when 'standard_tier' then standard_tier_usd else base_usd end
        - gateway_usd as price_difference_usd
    from judged
),

-- It is an old price when nine tenths of the difference at least are the change.
named as (
    select
        *,
        coalesce(abs(price_difference_usd - price_change_usd) * 10 <= abs(price_change_usd), false) as is_old_price
    from compared
),

final as (
    select
        usage_date,
        source_system,
        source_instance,
        channel,
        model,
        service_tier,
        region,
        estimate_basis,
        attempts,
        unmeasured_attempts,
        unpriced_attempts,
        {% for bucket in buckets -%}
        {{ bucket.quantity }},
        {% endfor -%}
        gateway_usd,
        cast(case when is_old_price then 0 else price_difference_usd end as {{ type_money() }}) as own_prices_usd,
        cast(case when is_old_price then price_difference_usd else 0 end as {{ type_money() }}) as old_prices_usd,
        cast(case when priced_as = 'contract' then logged_tier_usd else 0 end as {{ type_money() }})
            as gateway_tier_usd,
        cast(case when priced_as = 'base' then 0 else logged_region_usd end as {{ type_money() }})
            as gateway_region_usd,
        cast(logged_tier_usd as {{ type_money() }}) as logged_tier_usd,
        cast(logged_region_usd as {{ type_money() }}) as logged_region_usd,
        cast(base_usd as {{ type_money() }}) as gateway_base_usd
    from named
)

select * from final
