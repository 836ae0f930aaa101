-- Per day and provider, what statements and health are made of adds up to the fact, to the last digit.
{{ config(severity='error') }}

{% set costs = [
    'cost_usd', 'uncached_input_cost_usd', 'cache_read_cost_usd', 'cache_write_cost_usd', 'output_cost_usd'
] %}
{% set measures = [
    'attempts', 'total_tokens', 'uncached_input_tokens', 'cache_read_tokens', 'cache_write_tokens', 'output_tokens',
    'list_cost_usd', 'unpriced_requests', 'unpriced_tokens'
] + costs %}

with facts as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        count(*) as attempts,
        coalesce(sum(case when is_gateway_cache_hit then 0 else total_tokens end), 0) as total_tokens,
        {% for meter in ['uncached_input_tokens', 'cache_read_tokens', 'output_tokens'] -%}
        coalesce(sum(case when is_gateway_cache_hit then 0 else {{ meter }} end), 0) as {{ meter }},
        {% endfor -%}
        coalesce(sum(case when is_gateway_cache_hit then 0 else cache_write_5m_tokens end), 0)
        + coalesce(sum(case when is_gateway_cache_hit then 0 else cache_write_1h_tokens end), 0) as cache_write_tokens,
        coalesce(sum(list_cost_usd), 0) as list_cost_usd,
        {% for cost in costs -%}
        coalesce(sum({{ cost }}), 0) as {{ cost }},
        {% endfor -%}
        count(*) - count(cost_usd) as unpriced_requests,
        coalesce(sum(case when cost_usd is null then total_tokens end), 0) as unpriced_tokens
    from {{ ref('fct_llm_requests') }}
    where {{ recently_built() }}
    group by 1, 2
),

days as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        {%- for measure in measures %}
        coalesce(sum({{ measure }}), 0) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_requests_daily') }}
    where {{ recently_built() }}
    group by 1, 2
),

final as (
    select
        coalesce(facts.usage_date, days.usage_date) as usage_date,
        coalesce(facts.provider, days.provider) as provider,
        {%- for measure in measures %}
        days.{{ measure }} - facts.{{ measure }} as {{ measure }}_off{{ ',' if not loop.last }}
        {%- endfor %}
    from facts
    full outer join days on facts.usage_date = days.usage_date and facts.provider = days.provider
)

select *
from final
where {% for measure in measures %}coalesce({{ measure }}_off <> 0, true){{ ' or ' if not loop.last }}{% endfor %}
