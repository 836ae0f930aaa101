-- Per day and provider, the groups of requests add up to the fact, to the last digit.
{{ config(severity='error') }}

{% set measures = [
    'requests', 'total_tokens', 'input_tokens', 'output_tokens', 'list_cost_usd', 'contract_cost_usd', 'cost_usd',
    'unpriced_requests', 'failed_requests', 'failed_cost_usd', 'requests_with_feedback'
] %}

with facts as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        count(*) as requests,
        {% for name in ['total_tokens', 'input_tokens', 'output_tokens', 'list_cost_usd', 'contract_cost_usd', 'cost_usd'] -%}
        coalesce(sum({{ name }}), 0) as {{ name }},
        {% endfor -%}
        count(*) - count(cost_usd) as unpriced_requests,
        sum(case when status <> 'success' and (cost_usd > 0 or cost_usd is null) then 1 else 0 end) as failed_requests,
        coalesce(sum(case when status <> 'success' then cost_usd end), 0) as failed_cost_usd,
        count(feedback_score) as requests_with_feedback
    from {{ ref('fct_llm_requests') }}
    where {{ recently_built() }} and is_of_record
    group by 1, 2
),

days as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        {% for measure in measures if measure != 'unpriced_requests' -%}
        coalesce(sum({{ measure }}), 0) as {{ measure }},
        {% endfor -%}
        sum(case when cost_usd is null then requests else 0 end) as unpriced_requests
    from {{ ref('int_request_groups_daily') }}
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
