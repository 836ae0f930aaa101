{{ config(**llm_spend.by_usage_date('quota_version')) }}

{#-
    Each kind of subject is one equality join on a small rule table; '*' joins on a constant. A kind without rules costs nothing.
-#}
{%- set subjects = llm_spend.quota_subjects('requests') -%}
{%- set columns = [
    'request_key', 'usage_date', 'started_at', 'loaded_at', 'is_final_attempt', 'status', 'price_status', 'model_id',
    'metadata', 'is_gateway_cache_hit', 'input_tokens', 'output_tokens', 'total_tokens', 'cost_usd'
] + llm_spend.quota_attributes().values() | list -%}
{%- set rule_columns = [
    'rule_key', 'rule_number', 'contest', 'listed_models', 'metadata_key', 'metadata_value', 'conditions',
    'counter_subject_type', 'counter_subject', 'counter_1', 'counter_2', 'counted_measure', 'window_unit', 'window_days',
    'time_zone', 'is_by_load', 'valid_from', 'valid_to'
] -%}
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
        rule_key,
        subject_type,
        subject,
        case when models is not null then {{ llm_spend.quota_listed('models') }} end as listed_models,
        metadata_key,
        metadata_value,
        case when conditions is not null then {{ llm_spend.quota_conditions('conditions') }} end as conditions,
        counter_subject_type,
        counter_subject,
        nullif({{ dbt.split_part('applies_per', "'|'", 1) }}, '') as counter_1,
        nullif({{ dbt.split_part('applies_per', "'|'", 2) }}, '') as counter_2,
        case when limit_to is not null or overrides is not null then measure end as counted_measure,
        window_unit,
        window_days,
        time_zone,
        measure = 'cost' or time_zone is not null or window_unit not in ('minute', 'hour', 'day') as is_by_load,
        valid_from,
        valid_to,
        -- Several rows of the rules may match one request and only the first counts; most rules stand alone.
        case evaluation
            when 'first_match' then count(*) over (partition by rule_set)
            else count(*) over (partition by rule_key)
        end > 1 as is_contested,
        -- In which order rules take a request, and among which only one does: numbers, as texts are slow to group by.
        row_number() over (order by rule_set, rule_order, rule_key, subject_type, subject) as rule_number,
        dense_rank() over (order by rule_set, case when evaluation = 'all_match' then rule_key else '' end) as contest
    from {{ ref('llm_quota_rules') }}
),

{% for part, condition in parts.items() -%}
{% for subject_type in subjects -%}
{{ part }}_rules_{{ loop.index }} as (
    select * from rules
    where subject_type = '{{ subject_type }}' and {{ condition }}
),

{% endfor -%}

{{ part }}_pairs as (
    {% for subject in subjects.values() -%}
    select
        {{ llm_spend.columns_of('requests', columns) }},
        {{ llm_spend.columns_of('rules', rule_columns) }}
    from requests
    inner join {{ part }}_rules_{{ loop.index }} as rules
        on {{ subject }} = rules.subject
    {% if not loop.last -%}
    union all
    {% endif -%}
    {% endfor %}
),

{{ part }}_days as (
    select
        pairs.*,
        {{ llm_spend.quota_condition_texts('pairs') }},
        {{ llm_spend.quota_day('pairs.started_at', 'pairs.usage_date', 'pairs.time_zone') }} as rule_day
    from {{ part }}_pairs as pairs
),

{{ part }}_conditions as (
    select
        days.*,
        {{ llm_spend.quota_condition_parts('days') }}
    from {{ part }}_days as days
),

{{ part }} as (
    select
        pairs.usage_date,
        pairs.request_key,
        pairs.started_at,
        pairs.loaded_at,
        pairs.rule_key,
        pairs.rule_number,
        pairs.contest,
        pairs.counter_subject_type,
        case
            when pairs.counter_1 is null then pairs.counter_subject
            when pairs.counter_2 is null then {{ llm_spend.quota_attribute('pairs', 'pairs.counter_1') }}
            else
                {{ llm_spend.quota_member(llm_spend.quota_attribute('pairs', 'pairs.counter_1')) }}
                || '|' || {{ llm_spend.quota_member(llm_spend.quota_attribute('pairs', 'pairs.counter_2')) }}
        end as counter_subject,
        case
            {%- for unit in ['minute', 'hour'] %}
            when pairs.window_unit = '{{ unit }}'
                then cast({{ dbt.date_trunc(unit, 'pairs.started_at') }} as {{ llm_spend.type_timestamp() }})
            {%- endfor %}
            when pairs.window_unit = 'day' and pairs.time_zone is null
                then cast(pairs.usage_date as {{ llm_spend.type_timestamp() }})
            else {{ llm_spend.quota_midnight(llm_spend.quota_first_day('pairs.rule_day', 'pairs'), 'pairs.time_zone') }}
        end as window_start,
        case
            when pairs.counted_measure = 'requests' and pairs.is_final_attempt then 1
            when pairs.counted_measure = 'tokens' and not coalesce(pairs.is_gateway_cache_hit, false)
                then coalesce(pairs.input_tokens, 0) + coalesce(pairs.output_tokens, 0)
            when pairs.counted_measure = 'cost' then 0
        end as quantity,
        case when pairs.counted_measure = 'cost' then pairs.cost_usd end as cost_usd,
        case
            when pairs.counted_measure = 'cost' and pairs.cost_usd is null then coalesce(pairs.total_tokens, 0)
        end as unpriced_tokens,
        pairs.is_final_attempt and pairs.status = 'blocked_rate_limit' as is_blocked,
        pairs.price_status in ('no_usage', 'unmeasured') as is_unmeasured,
        pairs.is_by_load
    from {{ part }}_conditions as pairs
    where
        pairs.rule_day >= pairs.valid_from
        and (pairs.valid_to is null or pairs.rule_day < pairs.valid_to)
        and case
            when pairs.listed_models is null then true
            else
                coalesce({{ llm_spend.quota_is_listed('pairs.requested_model', 'pairs.listed_models') }}, false)
                or coalesce({{ llm_spend.quota_is_listed('pairs.model_id', 'pairs.listed_models') }}, false)
        end
        and case
            when pairs.metadata_key is null then true
            else
                {{ llm_spend.map_value(llm_spend.metadata_map('pairs.metadata'), 'pairs.metadata_key') }}
                = pairs.metadata_value
        end
        and case
            when pairs.conditions is null then true
            else {{ llm_spend.quota_is_fulfilled('pairs') }}
        end
),

{% endfor -%}

-- One row per request and rule even if two subjects of the rule match; in first_match rule sets one row per request.
firsts as (
    select
        request_key,
        min(rule_number) as rule_number
    from contested
    group by request_key, contest
),

counted as (
    select * from alone
    union all
    select contested.*
    from contested
    inner join firsts on contested.request_key = firsts.request_key and contested.rule_number = firsts.rule_number
),

final as (
    select
        counted.usage_date,
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        request_key,
        started_at,
        loaded_at,
        quantity,
        cost_usd,
        unpriced_tokens,
        is_blocked,
        is_unmeasured,
        is_by_load,
        dates_to_build.date_version
    from counted
    inner join dates_to_build on counted.usage_date = dates_to_build.usage_date
    where
        quantity is not null
        and counter_subject is not null
)

select * from final
