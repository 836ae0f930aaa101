{# A JSON column as it was written: where nothing was written, a warehouse may have kept the JSON null of the file. #}
{% macro stored_json(column) %}{{ return(adapter.dispatch('stored_json', 'llm_spend')(column)) }}{% endmacro %}
{% macro default__stored_json(column) %}{{ column }}{% endmacro %}
{% macro snowflake__stored_json(column) %}strip_null_value({{ column }}){% endmacro %}
{% macro bigquery__stored_json(column) %}case when json_type({{ column }}) <> 'null' then {{ column }} end{% endmacro %}

{#
    Metadata as something that can be asked for a key many times: parsing the document once makes a lookup cheap.
    The pipelines write metadata as one object with distinct keys, or NULL.
#}
{% macro metadata_map(json) %}{{ return(adapter.dispatch('metadata_map', 'llm_spend')(json)) }}{% endmacro %}
{% macro default__metadata_map(json) %}{{ json }}{% endmacro %}
{% macro duckdb__metadata_map(json) %}cast({{ json }} as map(varchar, varchar)){% endmacro %}

{# Text of one key of a metadata map, NULL when missing. `key` is SQL, so that it can come from a seed. #}
{% macro map_value(map, key) %}{{ return(adapter.dispatch('map_value', 'llm_spend')(map, key)) }}{% endmacro %}
{% macro default__map_value(map, key) %}{{ map }}[{{ key }}]{% endmacro %}
{% macro snowflake__map_value(map, key) %}get({{ map }}, {{ key }})::varchar{% endmacro %}
{% macro bigquery__map_value(map, key) %}json_value({{ map }}[{{ key }}]){% endmacro %}

{#
    One row per key of a metadata map: a SELECT of `columns` with tag_key and tag_value from `relation`, whose map is
    in the column `map`.
#}
{% macro unnest_map(relation, map, columns) %}{{ return(adapter.dispatch('unnest_map', 'llm_spend')(relation, map, columns)) }}{% endmacro %}
{% macro default__unnest_map(relation, map, columns) %}
    select
        {{ columns | join(', ') }},
        unnest(map_keys({{ map }})) as tag_key,
        unnest(map_values({{ map }})) as tag_value
    from {{ relation }}
{% endmacro %}
{% macro snowflake__unnest_map(relation, map, columns) %}
    select
        {{ columns | join(', ') }},
        entries.key as tag_key,
        entries.value::varchar as tag_value
    from {{ relation }}, lateral flatten(input => {{ map }}) as entries
{% endmacro %}
{% macro bigquery__unnest_map(relation, map, columns) %}
    select
        {{ columns | join(', ') }},
        tag_key,
        json_value({{ map }}[tag_key]) as tag_value
    from (
        select
            {{ columns | join(', ') }},
            {{ map }},
            -- json_keys gives a path, in which a key with a dot or a quote is in quotes.
            case when starts_with(key_path, '"') then json_value(parse_json(key_path)) else key_path end as tag_key
        from {{ relation }}, unnest(json_keys({{ map }}, 1)) as key_path
    )
{% endmacro %}

{# The type of a JSON document. #}
{% macro type_json() %}{{ return(adapter.dispatch('type_json', 'llm_spend')()) }}{% endmacro %}
{% macro default__type_json() %}json{% endmacro %}
{% macro snowflake__type_json() %}variant{% endmacro %}

{# The element of a JSON array that has exactly one, as text; NULL otherwise. #}
{% macro json_only_element(json) %}{{ return(adapter.dispatch('json_only_element', 'llm_spend')(json)) }}{% endmacro %}
{% macro default__json_only_element(json) %}case when json_array_length({{ json }}) = 1 then json_extract_string({{ json }}, '$[0]') end{% endmacro %}
{% macro snowflake__json_only_element(json) %}case when array_size({{ json }}) = 1 then get({{ json }}, 0)::varchar end{% endmacro %}
{% macro bigquery__json_only_element(json) %}case when array_length(json_query_array({{ json }})) = 1 then json_value({{ json }}, '$[0]') end{% endmacro %}

{# A JSON document as text. #}
{% macro document_text(json) %}{{ return(adapter.dispatch('document_text', 'llm_spend')(json)) }}{% endmacro %}
{% macro default__document_text(json) %}cast({{ json }} as varchar){% endmacro %}
{% macro snowflake__document_text(json) %}to_json({{ json }}){% endmacro %}
{% macro bigquery__document_text(json) %}to_json_string({{ json }}){% endmacro %}
