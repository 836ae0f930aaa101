{#
    A SELECT of the windows of a relation, each with its rule, limit and status: what llm_quota_usage shows.

    windows: a relation with rule_key, counter_subject_type, counter_subject, window_start, usage_date, quantity
    (requests or tokens, 0 for rules by cost), cost_usd (NULL for the others), observed_blocks, unmeasured_requests,
    unpriced_requests and unpriced_tokens. rules: one with what quota_rule_versions gives; others: columns of the windows
    that are kept. Windows without a limit are left out.
#}
{% macro quota_windows(windows, rules, others=[]) -%}
    {%- set reached = [] -%}
    {%- for number in range(1, llm_spend.quota_slots() + 1) -%}
        {%- set threshold = 'limited.threshold_' ~ number -%}
        {%- do reached.append(
            'case when limited.used * 100 >= limited.limit_to * ' ~ threshold ~ ' then ' ~ threshold ~ ' else -1 end'
        ) -%}
    {%- endfor -%}
    select
        limited.rule_set,
        limited.rule_id,
        limited.subject_type,
        limited.subject,
        limited.unit,
        limited.measure,
        limited.window_unit,
        limited.enforcement,
        limited.limit_to,
        limited.window_start,
        limited.window_end,
        limited.used,
        -- What 64 bits can't hold has no ratio; it has a status all the same.
        case
            when
                greatest(limited.used, limited.limit_to)
                >= case when limited.measure = 'cost' then 9000000000 else 9000000000000000000 end
                then null
            when limited.measure = 'cost' and limited.used >= limited.limit_to * 1000000000 then null
            when limited.measure = 'cost' then {{ llm_spend.whole_ratio(
                'cast(limited.used * 1000000000 as ' ~ dbt.type_bigint() ~ ')',
                'cast(limited.limit_to * 1000000000 as ' ~ dbt.type_bigint() ~ ')'
            ) }}
            else {{ llm_spend.whole_ratio('limited.quantity', 'limited.whole_limit') }}
        end as used_ratio,
        case
            when limited.used > limited.limit_to then 'breached'
            when limited.used > 0 and limited.used * 100 >= limited.limit_to * limited.warning_at then 'warning'
            else 'ok'
        end as status,
        case
            when limited.used > 0
                then nullif(greatest(
                    {{ reached | join(',\n                    ') }}
                ), -1)
        end as threshold_reached,
        limited.observed_blocks,
        limited.unmeasured_requests,
        limited.unpriced_requests,
        limited.unpriced_tokens,
        case limited.measure
            when 'cost' then limited.unpriced_requests = 0
            when 'tokens' then limited.unmeasured_requests = 0
            else true
        end as is_reliable,
        limited.rule_key,
        limited.usage_date,
        limited.time_zone,
        limited.valid_from,
        limited.valid_to
        {%- for other in others %},
        limited.{{ other }}
        {%- endfor %}
    from (
        select
            found.*,
            case
                when found.overrides is null then found.rule_limit
                else coalesce({{ llm_spend.quota_override('found') }}, found.rule_limit)
            end as limit_to,
            case
                when found.overrides is null then found.whole_rule_limit
                else {{ llm_spend.quota_whole('coalesce(' ~ llm_spend.quota_override('found') ~ ', found.rule_limit)') }}
            end as whole_limit,
            case
                {%- for unit in ['minute', 'hour'] %}
                when found.window_unit = '{{ unit }}'
                    then cast({{ dbt.dateadd(unit, 1, 'found.window_start') }} as {{ llm_spend.type_timestamp() }})
                {%- endfor %}
                else {{ llm_spend.quota_midnight(
                    llm_spend.quota_next_first_day('found.first_day', 'found'), 'found.time_zone'
                ) }}
            end as window_end
        from (
            select
                rules.*,
                windows.counter_subject_type as subject_type,
                windows.counter_subject as subject,
                windows.window_start,
                windows.usage_date,
                windows.quantity,
                windows.observed_blocks,
                windows.unmeasured_requests,
                windows.unpriced_requests,
                windows.unpriced_tokens,
                {%- for other in others %}
                windows.{{ other }},
                {%- endfor %}
                {{ llm_spend.quota_used('rules.measure', 'windows') }} as used,
                {{ llm_spend.quota_day('windows.window_start', 'windows.usage_date', 'rules.time_zone') }} as first_day
            from {{ windows }} as windows
            inner join {{ rules }} as rules
                on windows.rule_key = rules.rule_key
        ) as found
    ) as limited
    where limited.limit_to is not null
{%- endmacro %}

{# What rows of a relation count towards a limit: USD, or requests or tokens. measure: SQL, that of the rule. #}
{% macro quota_used(measure, relation) -%}
cast(
    case when {{ measure }} = 'cost' then coalesce({{ relation }}.cost_usd, 0) else {{ relation }}.quantity end
    as {{ llm_spend.type_money() }}
)
{%- endmacro %}

{# A limit as a whole number, NULL for what 64 bits can't hold: once a rule, since DuckDB is slow at it. #}
{% macro quota_whole(limit_to) -%}
case when {{ limit_to }} < 9000000000000000000 then cast({{ limit_to }} as {{ dbt.type_bigint() }}) end
{%- endmacro %}

{# What a window needs to know of its rule: a row for each version of a rule. #}
{% macro quota_rule_versions() -%}
    select distinct
        rule_key,
        rule_set,
        rule_id,
        unit,
        measure,
        window_unit,
        window_days,
        time_zone,
        limit_to as rule_limit,
        {{ llm_spend.quota_whole('limit_to') }} as whole_rule_limit,
        overrides,
        applies_per,
        enforcement,
        warning_at,
        {%- for number in range(1, llm_spend.quota_slots() + 1) %}
        {{ llm_spend.try_cast(dbt.split_part('alert_thresholds', "'|'", number), dbt.type_bigint()) }} as threshold_{{ number }},
        {%- endfor %}
        valid_from,
        valid_to
    from {{ ref('llm_quota_rules') }}
{%- endmacro %}

{# The limit that `overrides` names for the subject of a window, by its first counter; NULL when there is none. #}
{% macro quota_override(relation) -%}
    {%- set first_of_two = dbt.split_part(relation ~ '.subject', "'|'", 1) -%}
    {%- set member = "case when " ~ dbt.position("'|'", relation ~ '.applies_per') ~ " > 0 then replace(replace("
        ~ first_of_two ~ ", ';', '%3B'), '=', '%3D') else " ~ llm_spend.quota_encoded(relation ~ '.subject') ~ " end" -%}
    {%- set rest = dbt.split_part("'|' || " ~ relation ~ ".overrides", "'|' || " ~ member ~ " || '='", 2) -%}
{{ llm_spend.try_cast("nullif(" ~ dbt.split_part(rest, "'|'", 1) ~ ", '')", llm_spend.type_money()) }}
{%- endmacro %}

{# Windows that are kept in parts, by date and load, added up. others: amounts beside those of a window. #}
{% macro added_up_quota_windows(sums, others=[]) -%}
    {%- set amounts = ['cost_usd'] + others -%}
    select
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        cast(window_start as date) as usage_date,
        {%- for measure in ['quantity', 'cost_usd', 'observed_blocks', 'unmeasured_requests', 'unpriced_requests', 'unpriced_tokens'] + others %}
        {%- set type = llm_spend.type_money() if measure in amounts else dbt.type_bigint() %}
        cast(sum({{ measure }}) as {{ type }}) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ sums }}
    group by rule_key, counter_subject_type, counter_subject, window_start
{%- endmacro %}
