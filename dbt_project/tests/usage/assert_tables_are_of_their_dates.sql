-- Every row of a table by date was made from what is known of its date now: none was left behind by a build that failed,
-- or by one that built some models only.
{{ config(severity='error') }}

{% set versions = {
    'date_version': [
        'fct_llm_requests', 'int_customer_models_daily', 'int_member_days', 'int_member_days_crossed',
        'int_request_groups_daily', 'int_requests_daily',
        'int_requests_reconciled_daily', 'int_restated_daily', 'int_source_overlaps', 'int_tags_daily',
        'llm_performance_daily', 'llm_usage_by_customer_daily', 'llm_usage_by_feature_daily',
        'llm_usage_by_model_daily', 'llm_usage_by_tag_daily', 'llm_usage_by_team_daily', 'llm_usage_by_user_daily',
        'llm_usage_daily'
    ],
    'quota_version': ['int_quota_crossings', 'int_quota_sums']
} %}

with dates as (
    select * from {{ ref('int_usage_dates') }}
),

{% for version, tables in versions.items() -%}
{% for table in tables -%}
{{ table }}_versions as (
    select
        usage_date,
        date_version
    from {{ ref(table) }}
    where {{ on_constant_dates(['date_version', 'quota_version']) }}
    group by usage_date, date_version
),

{% endfor -%}
{% endfor -%}

final as (
    {% for version, tables in versions.items() -%}
    {% set is_last_version = loop.last -%}
    {% for table in tables -%}
    select
        '{{ table }}' as table_name,
        built.usage_date,
        built.date_version
    from {{ table }}_versions as built
    left join dates on built.usage_date = dates.usage_date and built.date_version = dates.{{ version }}
    where dates.usage_date is null
    {{ 'union all' if not (is_last_version and loop.last) }}
    {% endfor -%}
    {% endfor -%}
)

select * from final
