{#
    How a warehouse lays out and replaces the rows of a table that is grouped by usage_date.

    BigQuery bills what a query scans, so a partition a date and clusters below it are what makes one day cheap.
    Snowflake and DuckDB keep ranges of every column and skip by them: rows arrive by date, and keeping them sorted
    beyond that (a cluster key on Snowflake) is billed all day long.
#}
{% macro partition_by_date(column) %}{{ return(adapter.dispatch('partition_by_date', 'llm_spend')(column)) }}{% endmacro %}
{% macro default__partition_by_date(column) %}{{ return(none) }}{% endmacro %}
{% macro bigquery__partition_by_date(column) %}{{ return({'field': column, 'data_type': 'date', 'granularity': 'day'}) }}{% endmacro %}

{% macro cluster_columns(columns) %}{{ return(adapter.dispatch('cluster_columns', 'llm_spend')(columns)) }}{% endmacro %}
{% macro default__cluster_columns(columns) %}{{ return(none) }}{% endmacro %}
{% macro bigquery__cluster_columns(columns) %}{{ return(columns) }}{% endmacro %}

{# The strategy that replaces rows by their key. BigQuery has no delete+insert; the others delete faster than they merge. #}
{% macro replace_by_key() %}{{ return(adapter.dispatch('replace_by_key', 'llm_spend')()) }}{% endmacro %}
{% macro default__replace_by_key() %}{{ return('delete+insert') }}{% endmacro %}
{% macro bigquery__replace_by_key() %}{{ return('merge') }}{% endmacro %}

{# The strategy that only adds rows: on BigQuery a merge without a key. #}
{% macro add_rows() %}{{ return(adapter.dispatch('add_rows', 'llm_spend')()) }}{% endmacro %}
{% macro default__add_rows() %}{{ return('append') }}{% endmacro %}
{% macro bigquery__add_rows() %}{{ return('merge') }}{% endmacro %}

{#
    How a table whose dates are replaced is kept; dates: those to build as constants, none when they are not known before
    the query runs; unique_key: of a table that is too large to be made anew.

    dbt-bigquery takes no strategy of ours. Told the partitions, its insert_overwrite empties each of them, also one that
    gets no row. Without them nothing of its own empties a date: there a table is made anew, or merged by key, which
    empties a date too, since a request that moved keeps its key.
#}
{% macro kept_by_date(dates, unique_key) %}{{ return(adapter.dispatch('kept_by_date', 'llm_spend')(dates, unique_key)) }}{% endmacro %}
{% macro default__kept_by_date(dates, unique_key) %}{{ return({'materialized': 'incremental', 'incremental_strategy': 'replace_dates'}) }}{% endmacro %}
{% macro bigquery__kept_by_date(dates, unique_key) %}
    {% if dates %}
        {{ return({
            'materialized': 'incremental',
            'incremental_strategy': 'insert_overwrite',
            'partitions': llm_spend.date_list(dates).split(', ')
        }) }}
    {% elif unique_key %}
        {{ return({'materialized': 'incremental', 'incremental_strategy': 'merge', 'unique_key': unique_key}) }}
    {% endif %}
    {{ return({'materialized': 'table'}) }}
{% endmacro %}

{#
    How a table is kept whose dates are replaced, but for rows of no date that each build makes anew. BigQuery replaces
    the partitions that it is told, whole: there it is a view of the tables below it.
#}
{% macro kept_by_date_in_part() %}{{ return(adapter.dispatch('kept_by_date_in_part', 'llm_spend')()) }}{% endmacro %}
{% macro default__kept_by_date_in_part() %}{{ return(llm_spend.kept_by_date(none, none)) }}{% endmacro %}
{% macro bigquery__kept_by_date_in_part() %}{{ return({'materialized': 'view'}) }}{% endmacro %}

{#
    What `llm-spend build` asked the tables before dbt compiles this query (a list by name, see build_constants.py), where
    a warehouse skips partitions for constants only; without it the queries find the same, and read more.
#}
{% macro constants(name) %}{{ return(adapter.dispatch('constants', 'llm_spend')(name)) }}{% endmacro %}
{% macro default__constants(name) %}{{ return(none) }}{% endmacro %}
{% macro bigquery__constants(name) %}{{ return(fromjson(env_var('LLM_SPEND_CONSTANTS', '{}')).get(name)) }}{% endmacro %}

{# ISO dates as literals of a list. #}
{% macro date_list(dates) %}{{ return("date '" ~ dates | join("', date '") ~ "'") }}{% endmacro %}

{#
    SQL condition: a timestamp is on one of these ISO dates, in a form by which a table that is partitioned by the day of
    this timestamp is pruned; days in a row are one range.
#}
{% macro is_on_dates(started_at, dates) %}
    {%- set one_day = modules.datetime.timedelta(days=1) -%}
    {%- set ranges = [] -%}
    {%- for date in dates | sort -%}
        {%- set first = modules.datetime.date.fromisoformat(date) -%}
        {%- if ranges and ranges[-1][1] == first -%}
            {%- do ranges.append([ranges.pop()[0], first + one_day]) -%}
        {%- else -%}
            {%- do ranges.append([first, first + one_day]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for first, next in ranges -%}
        {{ started_at }} >= timestamp '{{ first }} 00:00:00+00' and {{ started_at }} < timestamp '{{ next }} 00:00:00+00'
        {{- ' or ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
