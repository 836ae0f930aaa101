{# What kind of call a URL path is. #}
{% macro operation_of_path(path) -%}
    case
        when {{ path }} is null then null
        when {{ path }} like '%/chat/completions%' then 'chat'
        when {{ path }} like '%/embeddings%' then 'embeddings'
        when {{ path }} like '%/messages%' then 'messages'
        when {{ path }} like '%/responses%' then 'responses'
        when {{ path }} like '%/completions%' then 'completion'
        when {{ path }} like '%/rerank%' then 'rerank'
        when {{ path }} like '%/images%' then 'image'
        when {{ path }} like '%/audio%' then 'audio'
        when {{ path }} like '%/moderations%' then 'moderation'
        else 'other'
    end
{%- endmacro %}

{# What kind of call a gateway's own name for it is: `acompletion`, `ChatCompletion`, `chat`, ... #}
{% macro operation_of_name(name) -%}
    case
        when {{ name }} is null then null
        when lower({{ name }}) like '%retrieve_batch%' then 'poll'
        when lower({{ name }}) like '%embedding%' then 'embeddings'
        when lower({{ name }}) like '%text_completion%' or lower({{ name }}) = 'textcompletion' then 'completion'
        when lower({{ name }}) like '%chat%' or lower({{ name }}) like '%completion%' then 'chat'
        when lower({{ name }}) like '%message%' then 'messages'
        when lower({{ name }}) like '%response%' then 'responses'
        when lower({{ name }}) like '%rerank%' then 'rerank'
        when lower({{ name }}) like '%image%' then 'image'
        when lower({{ name }}) like '%speech%' or lower({{ name }}) like '%transcription%' or lower({{ name }}) like '%audio%'
            then 'audio'
        when lower({{ name }}) like '%moderation%' then 'moderation'
        else 'other'
    end
{%- endmacro %}

{# `openai-main` of `openai-main/gpt-4o`; NULL when there is no slash. #}
{% macro path_head(path) -%}
    case when {{ path }} like '%/%' then {{ dbt.split_part(path, "'/'", 1) }} end
{%- endmacro %}
