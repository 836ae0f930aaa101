{#
    The relation of a model that llm_spend_request_models names: `model` is one of this package, `project.model` one of
    another project. Never a name alone that could be either: then a model of yours that happens to be called like ours
    would take its place.
#}
{% macro request_model(name) -%}
    {%- if '.' in name -%}
        {{ return(ref(*name.split('.'))) }}
    {%- else -%}
        {{ return(ref('llm_spend', name)) }}
    {%- endif -%}
{%- endmacro %}
