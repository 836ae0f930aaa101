-- A cell that can't be read would become NULL or match nothing, and the quota would be gone without a word.
{{ config(severity='error') }}

{% set attributes = llm_spend.quota_attributes() | join('|') %}
{% set number = '[0-9]+([.][0-9]{1,12})?' %}
{% set key = '(' ~ attributes ~ '|metadata[.][^=;]+)' %}
{% set condition = key ~ '!?=[^=;]+' %}
{% set more = '{0,' ~ (llm_spend.quota_slots() - 1) ~ '}' %}
{% set counter = '(' ~ attributes ~ '|metadata[.][^|]+)' %}
{% set encoded = "coalesce(conditions, '') || coalesce(overrides, '')" %}
{#- What is wrong with a column, and how that shows. #}
{% set problems = {
    'rule_order': llm_spend.try_cast('rule_order', 'bigint') ~ ' is null',
    'valid_from': llm_spend.try_cast('valid_from', 'date') ~ ' is null',
    'valid_to': "nullif(valid_to, '') is not null and " ~ llm_spend.try_cast('valid_to', 'date') ~ ' is null',
    'metadata_key': "(nullif(metadata_key, '') is null) <> (nullif(metadata_value, '') is null)",
    'rule_set': "coalesce(rule_set, '') = ''",
    'rule_id': "coalesce(rule_id, '') = ''",
    'evaluation': "coalesce(evaluation, '') not in ('first_match', 'all_match')",
    'subject_type': "coalesce(subject_type, '') not in ('" ~ llm_spend.quota_subjects('rules') | join("', '") ~ "')",
    'subject': "coalesce(subject, '') = '' or (subject_type = '*' and subject <> '*')",
    'unit': "not " ~ llm_spend.regex_found(
        "coalesce(unit, '')",
        "'^(requests|tokens|cost)_per_(minute|hour|day|week|month|quarter|lifetime|[1-9][0-9]{0,3}d)$'"
    ),
    'limit_to': "nullif(limit_to, '') is not null and not " ~ llm_spend.regex_found('limit_to', "'^" ~ number ~ "$'"),
    'limit_to or overrides (requests and tokens are whole)':
        "coalesce(unit, '') not like 'cost%' and " ~ llm_spend.regex_found(
            "'limit=' || coalesce(limit_to, '') || '|' || coalesce(overrides, '')", "'=[0-9]*[.]'"
        ),
    'conditions': "nullif(conditions, '') is not null and not " ~ llm_spend.regex_found(
        'conditions', "'^" ~ condition ~ '(;' ~ condition ~ ')' ~ more ~ "$'"
    ),
    'conditions (user ids are lower case)':
        "coalesce(conditions, '') <> '' and " ~ llm_spend.regex_found(
            "';' || " ~ llm_spend.quota_decoded('conditions'), "'(^|;)user!?=[^;]*[A-Z]'"
        ),
    'applies_per': "nullif(applies_per, '') is not null and not " ~ llm_spend.regex_found(
        'applies_per', "'^" ~ counter ~ '([|]' ~ counter ~ ")?$'"
    ),
    'overrides': "nullif(overrides, '') is not null and (nullif(applies_per, '') is null or not " ~ llm_spend.regex_found(
        'overrides', "'^[^=;|]+=" ~ number ~ '([|][^=;|]+=' ~ number ~ ")*$'"
    ) ~ ')',
    'overrides (user ids are lower case)':
        "coalesce(applies_per, '') like 'user%' and " ~ llm_spend.regex_found(
            "'|' || " ~ llm_spend.quota_decoded("coalesce(overrides, '')"), "'[|][^=]*[A-Z][^=]*='"
        ),
    'conditions or overrides (% is written %25)':
        dbt.position("'%'", "replace(replace(replace(replace(" ~ encoded ~ ", '%25', ''), '%3B', ''), '%7C', ''), '%3D', '')") ~ ' > 0',
    'time_zone': "nullif(time_zone, '') is not null and not " ~ llm_spend.regex_found(
        'time_zone', "'^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$'"
    ),
    'enforcement': "coalesce(enforcement, '') not in ('', 'enforce', 'soft', 'audit')",
    'alert_thresholds': "nullif(alert_thresholds, '') is not null and not " ~ llm_spend.regex_found(
        'alert_thresholds', "'^[1-9][0-9]{0,4}([|][1-9][0-9]{0,4})" ~ more ~ "$'"
    )
} %}

with rules as (
    select * from {{ ref('quota_rules') }}
),

final as (
    {% for column, is_wrong in problems.items() -%}
    select
        '{{ column }}' as problem_column,
        rule_set,
        rule_id,
        subject_type,
        subject,
        valid_from
    from rules
    where {{ is_wrong }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from final
