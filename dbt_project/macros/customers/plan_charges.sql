{#
    What usage would be charged under plans, one row an offer: the columns of the offer and overage_cents, NULL when a tier
    that was reached has no price or rate.

    offers: a relation with a row per `keys` and fee_cents, overage_tokens. tiers: that of overage_in_usd, with those of the
    keys that name a plan; customer_id is the key that it lacks.
#}
{% macro plan_charges(offers, tiers, keys) %}
    with overages as (
        select
            {{ llm_spend.columns_of('offers', keys) }},
            sum({{ llm_spend.overage_in_usd('offers.overage_tokens', 'tiers') }}) as overage_usd,
            sum(case when tiers.price_per_million is null then 1 else 0 end) as tiers_without_price
        from {{ offers }} as offers
        inner join {{ tiers }} as tiers
            on
                {%- for key in keys if key != 'customer_id' %}
                offers.{{ key }} = tiers.{{ key }} and
                {%- endfor %}
                offers.overage_tokens > tiers.tier_from_tokens
        group by offers.{{ keys | join(', offers.') }}
    )

    select
        offers.*,
        case
            when offers.overage_tokens = 0 then 0
            when overages.tiers_without_price = 0 then {{ llm_spend.round_to_cents('overages.overage_usd') }}
        end as overage_cents
    from {{ offers }} as offers
    left join overages
        on
            {%- for key in keys %}
            offers.{{ key }} = overages.{{ key }}{{ ' and' if not loop.last }}
            {%- endfor %}
{% endmacro %}

{# Of a plan's tier, with its rate: the monthly fee in whole cents of a dollar; NULL without a rate. #}
{% macro fee_in_cents(tiers) -%}
{{ llm_spend.round_to_cents(llm_spend.in_usd(tiers ~ '.monthly_fee', tiers ~ '.currency', tiers ~ '.usd_rate')) }}
{%- endmacro %}

{# Tokens above those that a plan includes; a plan that includes NULL has no limit. #}
{% macro tokens_above(used, included) -%}
case when {{ used }} > {{ included }} then {{ used }} - {{ included }} else 0 end
{%- endmacro %}

{# What of a revenue in whole cents is left after a cost in USD, as its share. #}
{% macro margin_ratio(revenue_cents, cost_usd) -%}
{{ llm_spend.whole_ratio(
    'cast((' ~ revenue_cents ~ ' * 10000) - ' ~ cost_usd ~ ' * 1000000 as ' ~ dbt.type_bigint() ~ ')',
    revenue_cents ~ ' * 10000'
) }}
{%- endmacro %}
