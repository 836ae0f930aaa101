-- Per day, every usage mart adds up to the fact, to the last token and to the last digit of the cost. The tag mart is
-- left out: a request is in it once per tag. What the sums are made of is written out again on purpose.
{{ config(severity='error') }}

{% set measures = [
    'attempts', 'requests', 'errors', 'blocked_requests', 'cache_hits', 'input_tokens', 'output_tokens',
    'cache_read_tokens', 'total_tokens', 'cost_usd', 'gateway_reported_usd', 'unpriced_requests', 'unpriced_tokens'
] %}
{% set marts = [
    'llm_usage_daily', 'llm_usage_by_user_daily', 'llm_usage_by_team_daily', 'llm_usage_by_feature_daily',
    'llm_usage_by_customer_daily', 'llm_usage_by_model_daily'
] %}

with facts as (
    select
        usage_date,
        count(*) as attempts,
        count(case when is_final_attempt then 1 end) as requests,
        count(case when is_final_attempt and status = 'error' then 1 end) as errors,
        count(
            case
                when
                    is_final_attempt
                    and status in ('blocked_budget', 'blocked_rate_limit', 'blocked_guardrail', 'blocked_other')
                    then 1
            end
        ) as blocked_requests,
        count(case when is_gateway_cache_hit then 1 end) as cache_hits,
        {% for bucket in ['input', 'output', 'cache_read', 'total'] -%}
        coalesce(sum(case when is_gateway_cache_hit then 0 else {{ bucket }}_tokens end), 0) as {{ bucket }}_tokens,
        {% endfor -%}
        coalesce(sum(cost_usd), 0) as cost_usd,
        coalesce(sum(gateway_reported_usd), 0) as gateway_reported_usd,
        count(*) - count(cost_usd) as unpriced_requests,
        coalesce(sum(case when cost_usd is null then total_tokens end), 0) as unpriced_tokens
    from {{ ref('fct_llm_requests') }}
    where {{ recently_built() }} and is_of_record
    group by usage_date
),

marts as (
    {% for mart in marts -%}
    select
        '{{ mart }}' as mart,
        usage_date,
        {%- for measure in measures %}
        coalesce(sum({{ measure }}), 0) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref(mart) }}
    where {{ recently_built() }}
    group by usage_date
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- Every mart must have every date, so a date that is missing compares as NULL.
dates as (
    select
        names.mart,
        facts.*
    from facts
    cross join (
        {%- for mart in marts %}
        select '{{ mart }}' as mart{{ ' union all' if not loop.last }}
        {%- endfor %}
    ) as names
),

final as (
    select
        coalesce(dates.mart, marts.mart) as mart,
        coalesce(dates.usage_date, marts.usage_date) as usage_date,
        {%- for measure in measures %}
        marts.{{ measure }} - dates.{{ measure }} as {{ measure }}_off{{ ',' if not loop.last }}
        {%- endfor %}
    from dates
    full outer join marts on dates.mart = marts.mart and dates.usage_date = marts.usage_date
)

select *
from final
where {% for measure in measures %}coalesce({{ measure }}_off <> 0, true){{ ' or ' if not loop.last }}{% endfor %}
