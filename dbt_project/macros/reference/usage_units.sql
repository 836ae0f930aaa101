{#
    Everything that has a price: one line a unit. What a unit costs, what it is inside of and whose price it takes
    when it has none of its own is said here only; the price book and the fact follow.

    unit: as in the seeds. price: its column in int_price_book. quantity: its column in fct_llm_requests. inside: the
    bucket of tokens that it is a part of (a memo; the buckets are disjoint). parents: whose price it takes, nearest
    first; a part of the cache is cache before it is audio. inherited: the column that says that it did.
#}
{% macro usage_units() %}
    {% set lines = [
        ('input_tokens', 'input', 'uncached_input_tokens', none, []),
        ('cache_read_tokens', 'cache_read', 'cache_read_tokens', none, ['input']),
        ('cache_write_5m_tokens', 'cache_write_5m', 'cache_write_5m_tokens', none, ['input']),
        ('cache_write_1h_tokens', 'cache_write_1h', 'cache_write_1h_tokens', none, ['cache_write_5m', 'input']),
        ('output_tokens', 'output', 'output_tokens', none, []),
        ('reasoning_tokens', 'reasoning', 'reasoning_tokens', 'output', ['output']),
        ('input_audio_tokens', 'input_audio', 'input_audio_tokens', 'input', ['input']),
        ('input_image_tokens', 'input_image', 'input_image_tokens', 'input', ['input']),
        ('input_video_tokens', 'input_video', 'input_video_tokens', 'input', ['input']),
        ('cache_read_audio_tokens', 'cache_read_audio', 'cache_read_audio_tokens', 'cache_read',
            ['cache_read', 'input_audio', 'input']),
        ('cache_read_image_tokens', 'cache_read_image', 'cache_read_image_tokens', 'cache_read',
            ['cache_read', 'input_image', 'input']),
        ('output_audio_tokens', 'output_audio', 'output_audio_tokens', 'output', ['output']),
        ('output_image_tokens', 'output_image', 'output_image_tokens', 'output', ['output']),
        ('output_video_tokens', 'output_video', 'output_video_tokens', 'output', ['output']),
        ('requests', 'request', none, none, []),
        ('web_searches', 'web_search', 'web_searches', none, []),
        ('file_searches', 'file_search', 'file_searches', none, []),
        ('audio_seconds', 'audio_hour', 'audio_seconds', none, []),
        ('pages', 'page', 'pages', none, []),
        ('annotated_pages', 'annotated_page', 'annotated_pages', none, ['page']),
        ('input_characters', 'character', 'input_characters', none, []),
        ('text_messages', 'text_message', 'text_messages', none, [])
    ] %}
    {% set units = [] %}
    {% for unit, name, quantity, inside, parents in lines %}
        {% do units.append({
            'unit': unit,
            'name': name,
            'price': name ~ '_price',
            'quantity': quantity,
            'inside': inside,
            'parents': parents,
            'inherited': 'is_' ~ ('cache_write' if name == 'cache_write_5m' else name) ~ '_inherited'
        }) %}
    {% endfor %}
    {{ return(units) }}
{% endmacro %}

{# The price of a unit: its own, else that of the nearest parent that has one. prefix: beginning of the column names. #}
{% macro own_or_parent_price(prefix, unit) -%}
{%- set columns = [prefix ~ unit.name] -%}
{%- for parent in unit.parents -%}{%- do columns.append(prefix ~ parent) -%}{%- endfor -%}
{{ columns[0] if columns | length == 1 else 'coalesce(' ~ columns | join(', ') ~ ')' }}
{%- endmacro %}
