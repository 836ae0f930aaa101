-- Per day and provider, the groups of requests add up to the fact, to the last digit; so do those paid in vain.
{{ config(severity='error') }}

{% set measures = [
    'requests', 'total_tokens', 'input_tokens', 'output_tokens', 'list_cost_usd', 'contract_cost_usd', 'cost_usd',
    'unpriced_requests', 'failed_requests', 'failed_cost_usd', 'requests_with_feedback'
] %}
{% set findings = ['retried', 'replaced', 'repeated'] %}
{% for finding in findings %}
    {% do measures.extend([finding ~ '_requests', finding ~ '_cost_usd']) %}
{% endfor %}

with superseded as (
    select
        source_system,
        source_instance,
        logical_request_id,
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        coalesce(channel, '') as channel,
        coalesce(model_id, '') as model_id,
        cost_usd
    from {{ ref('fct_llm_requests') }}
    where
        {{ recently_built() }}
        and is_of_record
        and not is_final_attempt
        and coalesce(operation, '') <> 'poll'
        and (cost_usd > 0 or cost_usd is null)
),

-- Which model had the last word.
last_words as (
    select
        source_system,
        source_instance,
        logical_request_id,
        usage_date,
        max(coalesce(channel, '')) as channel,
        max(coalesce(model_id, '')) as model_id
    from {{ ref('fct_llm_requests') }}
    where
        {{ recently_built() }}
        and is_final_attempt
        and logical_request_id in (select logical_request_id from superseded)
    group by source_system, source_instance, logical_request_id, usage_date
),

asked as (
    select
        usage_date,
        coalesce(provider, '(unknown)') as provider,
        cost_usd,
        row_number() over (
            partition by usage_date, team_id, feature_id, channel, model_id, prompt_hash, input_tokens
            order by started_at, request_key
        ) as place
    from {{ ref('fct_llm_requests') }}
    where
        {{ recently_built() }}
        and is_of_record
        and prompt_hash is not null
        and status = 'success'
        and not coalesce(is_gateway_cache_hit, false)
),

in_vain as (
    select
        superseded.usage_date,
        superseded.provider,
        case
            when superseded.channel = last_words.channel and superseded.model_id = last_words.model_id then 'retried'
            else 'replaced'
        end as finding,
        superseded.cost_usd
    from superseded
    inner join last_words
        on
            superseded.source_system = last_words.source_system
            and superseded.source_instance = last_words.source_instance
            and superseded.logical_request_id = last_words.logical_request_id
            and superseded.usage_date = last_words.usage_date
    union all
    select
        usage_date,
        provider,
        'repeated' as finding,
        cost_usd
    from asked
    where place > 1 and (cost_usd > 0 or cost_usd is null)
),

found as (
    select
        usage_date,
        provider
        {%- for finding in findings %},
        sum(case when finding = '{{ finding }}' then 1 else 0 end) as {{ finding }}_requests,
        coalesce(sum(case when finding = '{{ finding }}' then cost_usd end), 0) as {{ finding }}_cost_usd
        {%- endfor %}
    from in_vain
    group by usage_date, provider
),

facts as (
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
        {%- set is_found = measure.split('_')[0] in findings %}
        days.{{ measure }} - {{ 'coalesce(found.' ~ measure ~ ', 0)' if is_found else 'facts.' ~ measure }}
            as {{ measure }}_off{{ ',' if not loop.last }}
        {%- endfor %}
    from facts
    full outer join days on facts.usage_date = days.usage_date and facts.provider = days.provider
    left join found on facts.usage_date = found.usage_date and facts.provider = found.provider
)

select *
from final
where {% for measure in measures %}coalesce({{ measure }}_off <> 0, true){{ ' or ' if not loop.last }}{% endfor %}
