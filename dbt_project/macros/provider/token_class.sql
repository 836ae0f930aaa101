{#
    A class of tokens (token_classes) -> the words by which bills name it: Anthropic's, those of FOCUS meters
    (stg_provider__focus_costs), and our own. Input without a further word is what no cache had: a bill has a line for each
    price.
#}
{% macro token_class_words() %}
    {{ return({
        'uncached_input': ['uncached_input_tokens', 'uncached_input', 'input_tokens', 'input'],
        'cache_read': [
            'cache_read_input_tokens', 'cache_read_tokens', 'cache_read', 'cached_input_tokens', 'cached_input'
        ],
        'cache_write': [
            'cache_creation.ephemeral_5m_input_tokens', 'cache_creation.ephemeral_1h_input_tokens',
            'cache_creation_input_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens', 'cache_write_tokens',
            'cache_write'
        ],
        'output': ['output_tokens', 'output']
    }) }}
{% endmacro %}

{# The class of tokens that a line of a bill is for, by its token_type. NULL for other words, and for what is no tokens. #}
{% macro token_class(token_type) -%}
case
    {%- for name, words in llm_spend.token_class_words().items() %}
    when lower({{ token_type }}) in ('{{ words | join("', '") }}') then '{{ name }}'
    {%- endfor %}
end
{%- endmacro %}
