{#
    The rules as quota_matches reads them: a row for each subject that a rule names.

    Of the rows of one contest only the first that matches a request takes it: of the rules of a first_match set, and of the
    subjects of any other rule. is_earlier: others of its contest come after it.
#}
{% macro quota_match_rules() -%}
    select
        numbered.*,
        {{ llm_spend.quota_condition_parts('numbered') }},
        count(*) over (partition by contest) > 1 as is_contested,
        rule_number < max(rule_number) over (partition by contest) as is_earlier
    from (
        select
            listed.*,
            {{ llm_spend.quota_condition_texts('listed') }}
        from (
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
                -- Numbers, as texts are slow to group by. One of key_number has a rule_key.
                dense_rank() over (order by rule_key) as key_number,
                row_number() over (order by rule_set, rule_order, rule_key, subject_type, subject) as rule_number,
                dense_rank() over (
                    order by rule_set, case when evaluation = 'all_match' then rule_key else '' end
                ) as contest
            from {{ ref('llm_quota_rules') }}
        ) as listed
    ) as numbered
{%- endmacro %}

{#
    A SELECT of the requests that quota rules count, a row per attempt and rule version: the columns of int_quota_matches.

    rules: a relation of quota_match_rules, with all rules of a contest or none. requests: rows of the fact that are of record,
    a CTE when they are few; a subquery spares DuckDB to keep what it reads for several kinds of subjects. contested: of
    contests with several rows (true) or of rules that stand alone (false) only; both give each match once.

    A query and no table: it has several wide rows for each request, and few of them are asked for again, those of breached
    windows.
#}
{% macro quota_matches(rules, requests, contested=none) -%}
{#-
    Each kind of subject is one equality join on a small rule table; '*' joins on a constant. A kind without rules costs
    nothing.
-#}
{%- set subjects = llm_spend.quota_subjects('requests') -%}
{%- set columns = [
    'request_key', 'usage_date', 'started_at', 'loaded_at', 'is_final_attempt', 'status', 'price_status', 'model_id',
    'metadata', 'is_gateway_cache_hit', 'input_tokens', 'output_tokens', 'total_tokens', 'cost_usd'
] + llm_spend.quota_attributes().values() | list -%}
{%- set rule_columns = [
    'rule_key', 'key_number', 'rule_number', 'contest', 'is_contested', 'listed_models', 'metadata_key', 'metadata_value',
    'conditions', 'counter_subject_type', 'counter_subject', 'counter_1', 'counter_2', 'counted_measure', 'window_unit',
    'window_days', 'time_zone', 'is_by_load', 'valid_from', 'valid_to'
] + llm_spend.quota_condition_columns() -%}
{%- set counted = [
    'usage_date', 'rule_key', 'key_number', 'counter_subject_type', 'counter_subject', 'window_start', 'request_key',
    'started_at', 'loaded_at', 'quantity', 'cost_usd', 'unpriced_tokens', 'is_blocked', 'is_unmeasured', 'is_by_load'
] -%}
{%- set asked = {true: ' and is_contested', false: ' and not is_contested'}.get(contested, '') -%}
{%- set parts = {'others': 'not is_earlier' ~ asked} -%}
{%- if contested is not false -%}
    {%- set parts = {'earlier': 'is_earlier', 'others': parts.others} -%}
{%- endif -%}
with {% for part, condition in parts.items() -%}
{{ part }}_pairs as (
    {% for subject_type, subject in subjects.items() -%}
    select
        {{ llm_spend.columns_of('requests', columns) }},
        {{ llm_spend.columns_of('rules', rule_columns) }},
        {{ llm_spend.quota_day('requests.started_at', 'requests.usage_date', 'rules.time_zone') }} as rule_day
    from {{ requests }} as requests
    inner join (
        select * from {{ rules }}
        where subject_type = '{{ subject_type }}' and {{ condition }}
    ) as rules
        on {{ subject }} = rules.subject
    {% if not loop.last -%}
    union all
    {% endif -%}
    {% endfor %}
),

{{ part }} as (
    select
        pairs.usage_date,
        pairs.request_key,
        pairs.started_at,
        pairs.loaded_at,
        pairs.rule_key,
        pairs.key_number,
        pairs.rule_number,
        pairs.contest,
        pairs.is_contested,
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
    from {{ part }}_pairs as pairs
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

{% if contested is not false -%}
-- What earlier rules took. The last of a contest, often everyone's, takes what is left: it need not be grouped by request.
taken as (
    select
        request_key,
        contest,
        min(rule_number) as rule_number
    from earlier
    group by request_key, contest
),

{% endif -%}
matched as (
    {% if contested is not false -%}
    select {{ llm_spend.columns_of('earlier', counted) }}
    from earlier
    inner join taken on earlier.request_key = taken.request_key and earlier.rule_number = taken.rule_number
    union all
    select {{ llm_spend.columns_of('others', counted) }}
    from others
    left join taken
        on
            case when others.is_contested then others.request_key end = taken.request_key
            and others.contest = taken.contest
    where taken.request_key is null
    {%- else -%}
    select {{ llm_spend.columns_of('others', counted) }}
    from others
    {%- endif %}
)

select * from matched
where quantity is not null and counter_subject is not null
{%- endmacro %}

{#
    A SELECT of quota_match_rules: those of the contests in which the rules of a relation with rule_key are.
#}
{% macro quota_match_rules_of(match_rules, asked) -%}
    select * from {{ match_rules }}
    where
        contest in (
            select contest from {{ match_rules }}
            where rule_key in (select rule_key from {{ asked }})
        )
{%- endmacro %}
