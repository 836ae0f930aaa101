{# The config of a table that is built by date: whole dates are replaced, those that changed. #}
{% macro by_usage_date() %}
    {{ return({
        'materialized': llm_spend.materialized_by_date(),
        'incremental_strategy': 'replace_dates',
        'on_schema_change': 'fail',
        'partition_by': llm_spend.partition_by_date('usage_date')
    }) }}
{% endmacro %}

{#
    The dates that a table by date must build, with the version that it stores in its column date_version: those whose
    version is not the one that its rows were made from. version: the column of int_usage_dates that counts for it.
#}
{% macro dates_to_build(version='date_version') %}
    select
        dates.usage_date,
        dates.{{ version }} as date_version
    from {{ ref('int_usage_dates') }} as dates
    {% if is_incremental() %}
    left join (select date_version from {{ this }} group by date_version) as built
        on dates.{{ version }} = built.date_version
    where built.date_version is null
    {% endif %}
{% endmacro %}

{#
    The incremental strategy of tables by date. dbt's own delete+insert deletes the dates that come again, and so keeps
    a date whose last row has moved to another one; here every row goes whose version is no longer that of its date.
#}
{% macro get_incremental_replace_dates_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    delete from {{ arg_dict['target_relation'] }}
    where date_version not in (
        select date_version from {{ ref('int_usage_dates') }}
        union all
        select quota_version from {{ ref('int_usage_dates') }}
    );

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{# When this build began: the same in every model of it. #}
{% macro build_started_at() -%}
    cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S") }}' as {{ llm_spend.type_timestamp() }})
{%- endmacro %}
