{{ config(**llm_spend.by_usage_date('quota_version')) }}

{#-
    Each kind of subject is one equality join on a small rule table; '*' joins on a constant. A kind without rules costs nothing.
-#}
{%- set subject_columns = {
    'user': 'requests.user_id',
    'team': 'requests.team_id',
    'virtualaccount': 'requests.virtual_account',
    '*': "'*'",
} -%}
{%- set parts = {'alone': 'not is_contested', 'contested': 'is_contested'} -%}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

requests as (
    select * from {{ ref('fct_llm_requests') }}
    where {{ llm_spend.is_to_build(version='quota_version') }} and is_of_record
),

rules as (
    select
        llm_quota_rules.*,
        nullif({{ dbt.split_part('applies_per', "'|'", 1) }}, '') as counter_1,
        nullif({{ dbt.split_part('applies_per', "'|'", 2) }}, '') as counter_2,
        -- Several rows of the rules may match one request and only the first counts; most rules stand alone.
        case evaluation
            when 'first_match' then count(*) over (partition by rule_set)
            else count(*) over (partition by rule_key)
        end > 1 as is_contested
    from {{ ref('llm_quota_rules') }} as llm_quota_rules
),

{% for part, condition in parts.items() -%}
{% for subject_type, subject_column in subject_columns.items() -%}
{{ part }}_rules_{{ loop.index }} as (
    select * from rules
    where subject_type = '{{ subject_type }}' and {{ condition }}
),

{% endfor -%}

{{ part }} as (
    {% for subject_type, subject_column in subject_columns.items() -%}
    select
        requests.usage_date,
        requests.request_key,
        requests.started_at,
        requests.loaded_at,
        rules.rule_key,
        rules.rule_set,
        rules.rule_order,
        rules.evaluation,
        rules.window_unit,
        rules.counter_subject_type,
        case
            when rules.counter_1 is null then rules.counter_subject
            when rules.counter_2 is null then {{ llm_spend.quota_counter('rules.counter_1') }}
            else
                {{ llm_spend.quota_counter('rules.counter_1') }}
                || '|' || {{ llm_spend.quota_counter('rules.counter_2') }}
        end as counter_subject,
        case
            when rules.limit_to is null then null
            when rules.measure = 'requests' and requests.is_final_attempt then 1
            when rules.measure = 'tokens' and not coalesce(requests.is_gateway_cache_hit, false)
                then coalesce(requests.input_tokens, 0) + coalesce(requests.output_tokens, 0)
        end as quantity,
        requests.is_final_attempt and requests.status = 'blocked_rate_limit' as is_blocked,
        requests.price_status in ('no_usage', 'unmeasured') as is_unmeasured
    from requests
    inner join {{ part }}_rules_{{ loop.index }} as rules
        on {{ subject_column }} = rules.subject
    where
        requests.usage_date >= rules.valid_from
        and (rules.valid_to is null or requests.usage_date < rules.valid_to)
        and (
            rules.models is null
            or {{ dbt.position("'|' || requests.requested_model || '|'", "'|' || rules.models || '|'") }} > 0
            or {{ dbt.position("'|' || requests.model_id || '|'", "'|' || rules.models || '|'") }} > 0
        )
        and case
            when rules.metadata_key is null then true
            else
                {{ llm_spend.map_value(llm_spend.metadata_map('requests.metadata'), 'rules.metadata_key') }}
                = rules.metadata_value
        end
    {% if not loop.last -%}
    union all
    {% endif -%}
    {% endfor %}
),

{% endfor -%}

-- One row per request and rule even if two subjects of the rule match; in first_match rule sets one row per request.
numbered as (
    select
        *,
        row_number() over (
            partition by request_key, rule_set, case when evaluation = 'all_match' then rule_order end
            order by rule_order
        ) as match_number
    from contested
),

counted as (
    select
        *,
        1 as match_number
    from alone
    union all
    select * from numbered
    where match_number = 1
),

final as (
    select
        counted.usage_date,
        rule_key,
        counter_subject_type,
        counter_subject,
        case window_unit
            when 'minute' then cast({{ dbt.date_trunc('minute', 'started_at') }} as {{ llm_spend.type_timestamp() }})
            when 'hour' then cast({{ dbt.date_trunc('hour', 'started_at') }} as {{ llm_spend.type_timestamp() }})
            when 'day' then cast({{ dbt.date_trunc('day', 'started_at') }} as {{ llm_spend.type_timestamp() }})
        end as window_start,
        request_key,
        started_at,
        loaded_at,
        quantity,
        is_blocked,
        is_unmeasured,
        dates_to_build.date_version
    from counted
    inner join dates_to_build on counted.usage_date = dates_to_build.usage_date
    where
        quantity is not null
        and counter_subject is not null
)

select * from final
