{#
    The config of a table that is built by date: whole dates are replaced, those that changed. version: the column of
    int_usage_dates that counts for it; unique_key: of a table with a row a request; cluster_by: what it is filtered by.
#}
{% macro by_usage_date(version='date_version', unique_key=none, cluster_by=none) %}
    {% set config = {
        'partition_by': llm_spend.partition_by_date('usage_date'),
        'cluster_by': llm_spend.cluster_columns(cluster_by),
        'on_schema_change': 'fail'
    } %}
    {% do config.update(llm_spend.kept_by_date(llm_spend.constant_dates(version), unique_key)) %}
    {{ return(config) }}
{% endmacro %}

{#
    The dates that a table by date must build, with the version that it stores in its column date_version: those whose
    version is not the one that its rows were made from. version: the column of int_usage_dates that counts for it.
#}
{% macro dates_to_build(version='date_version') %}
    {%- set constants = llm_spend.constant_dates(version) if is_incremental() else none -%}
    select
        dates.usage_date,
        dates.{{ version }} as date_version
    from {{ ref('int_usage_dates') }} as dates
    {% if constants -%}
    where dates.usage_date in ({{ llm_spend.date_list(constants) }})
    {%- else -%}
    {%- if is_incremental() -%}
    left join (select date_version from {{ this }} group by date_version) as built
        on dates.{{ version }} = built.date_version
    {% endif -%}
    where
        {{ llm_spend.is_in_part('dates.usage_date') }}
        {%- if is_incremental() %}
        and built.date_version is null
        {%- endif %}
    {%- endif %}
{% endmacro %}

{#
    SQL condition: the date is in the part of a long history that this run builds (LLM_SPEND_PART, see build_parts.py: its
    first day and the one after its last); `true` in a run that builds all there is.
#}
{% macro is_in_part(usage_date, type='date') -%}
    {%- set part = env_var('LLM_SPEND_PART', '').split() if execute else [] -%}
    {%- if part -%}
        {{ usage_date }} >= cast('{{ part[0] }}' as {{ type }}) and {{ usage_date }} < cast('{{ part[1] }}' as {{ type }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#
    SQL condition: the date is one of dates_to_build, which is a CTE of the model. usage_date: the column that holds it;
    started_at: that of the time it was computed from, for a query that looks through to raw tables.
#}
{% macro is_to_build(usage_date='usage_date', version='date_version', started_at=none) -%}
    {%- if is_incremental() and llm_spend.constant_dates(version) -%}
        {{ llm_spend.on_constant_dates([version], usage_date, started_at) }}
    {%- else -%}
        {{ usage_date }} in (select usage_date from dates_to_build)
        {%- if started_at %} and {{ llm_spend.is_in_part(started_at, llm_spend.type_timestamp()) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#
    SQL condition that says in constants what the query finds out as well: the date is in one of these lists; `true` when
    they are not known before. kinds: date_version and quota_version, the dates to build, and moved_from, the dates with
    other versions of requests that have one on a date to build.
#}
{% macro on_constant_dates(kinds, usage_date='usage_date', started_at=none) -%}
    {%- set dates = [] -%}
    {%- for kind in kinds -%}
        {%- do dates.extend(llm_spend.constant_dates(kind) or []) -%}
    {%- endfor -%}
    {%- set dates = dates | unique | list -%}
    {%- if not dates -%}
        true
    {%- else -%}
        {{ usage_date }} in ({{ llm_spend.date_list(dates) }})
        {%- if started_at %} and ({{ llm_spend.is_on_dates(started_at, dates) }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# ISO dates, none when they are not known before the query runs; never an empty list, which SQL does not have. #}
{% macro constant_dates(kind) %}
    {%- set known = llm_spend.constants(kind) -%}
    {{ return(known if known is none else (known or ['0001-01-01'])) }}
{% endmacro %}

{#
    The incremental strategy of tables by date. dbt's own delete+insert deletes the dates that come again, and so keeps
    a date whose last row has moved to another one; here every row goes whose version is no longer that of its date.
    Of a long history each part replaces its own dates: what is not built yet stays until then.
#}
{% macro get_incremental_replace_dates_sql(arg_dict) %}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    delete from {{ arg_dict['target_relation'] }}
    where
        date_version not in (
            select date_version from {{ ref('int_usage_dates') }}
            union all
            select quota_version from {{ ref('int_usage_dates') }}
        )
        and ({{ llm_spend.is_in_part('usage_date') }} or date_version = {{ llm_spend.version_of_every_build() }});

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{# The version of rows that are of no date, and that every build makes anew. #}
{% macro version_of_every_build() %}'every build'{% endmacro %}

{# When this build began: the same in every model of it. #}
{% macro build_started_at() -%}
    cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S") }}' as {{ llm_spend.type_timestamp() }})
{%- endmacro %}
