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

{# The strategy of the fact; a merge by key empties a date too, since a request that moved keeps its key. #}
{% macro replace_fact_dates() %}{{ return(adapter.dispatch('replace_fact_dates', 'llm_spend')()) }}{% endmacro %}
{% macro default__replace_fact_dates() %}{{ return('replace_dates') }}{% endmacro %}
{% macro bigquery__replace_fact_dates() %}{{ return('merge') }}{% endmacro %}

{# The strategy that only adds rows: on BigQuery a merge without a key. #}
{% macro add_rows() %}{{ return(adapter.dispatch('add_rows', 'llm_spend')()) }}{% endmacro %}
{% macro default__add_rows() %}{{ return('append') }}{% endmacro %}
{% macro bigquery__add_rows() %}{{ return('merge') }}{% endmacro %}

{#
    How a table that is replaced by date is kept. dbt-bigquery takes no strategy of ours, and none of its own empties a
    date whose last row has moved away: there such a table is made anew.
#}
{% macro materialized_by_date() %}{{ return(adapter.dispatch('materialized_by_date', 'llm_spend')()) }}{% endmacro %}
{% macro default__materialized_by_date() %}{{ return('incremental') }}{% endmacro %}
{% macro bigquery__materialized_by_date() %}{{ return('table') }}{% endmacro %}
