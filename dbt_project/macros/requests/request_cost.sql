{# The five disjoint buckets of tokens, of usage_units(). #}
{% macro token_buckets() %}
    {{ return(usage_units() | selectattr('quantity') | rejectattr('inside')
        | selectattr('unit', 'in', [
            'input_tokens', 'cache_read_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens', 'output_tokens'
        ]) | list) }}
{% endmacro %}

{# What is part of a bucket (its name in usage_units), at a price of its own. #}
{% macro units_inside(bucket) %}
    {{ return(usage_units() | selectattr('inside', 'equalto', bucket) | list) }}
{% endmacro %}

{# The quantities that are priced besides the buckets: beside tokens, and inside of buckets but for reasoning. #}
{% macro other_quantities() %}
    {% set quantities = units_beside_tokens() | map(attribute='quantity') | list %}
    {% for bucket in token_buckets() %}
        {% do quantities.extend(
            units_inside(bucket.name) | map(attribute='quantity') | reject('equalto', 'reasoning_tokens') | list
        ) %}
    {% endfor %}
    {{ return(quantities) }}
{% endmacro %}

{#
    What a JSON column other_usage tells: `inside`, by column that counts a bucket of tokens the quantities that are part
    of it, but for reasoning; `all`, these and what is counted beside tokens. buckets: by such a column its bucket.
#}
{% macro other_usage_quantities(buckets) %}
    {% set inside = {} %}
    {% for count, bucket in buckets.items() %}
        {% do inside.update({
            count: llm_spend.units_inside(bucket) | map(attribute='quantity') | reject('equalto', 'reasoning_tokens') | list
        }) %}
    {% endfor %}
    {% set beside = llm_spend.units_beside_tokens() | map(attribute='quantity') | list %}
    {{ return({'inside': inside, 'all': inside.values() | sum(start=[]) + beside}) }}
{% endmacro %}

{# What is counted beside tokens: searches, seconds, pages. #}
{% macro units_beside_tokens() %}
    {% set buckets = token_buckets() | map(attribute='unit') | list %}
    {{ return(usage_units() | selectattr('quantity') | rejectattr('inside') | rejectattr('unit', 'in', buckets) | list) }}
{% endmacro %}

{# Columns of int_price_book that only some requests need; and those of the buckets, to compare with. #}
{% macro other_price_columns() %}
    {% set columns = [] %}
    {% for unit in usage_units() %}
        {% do columns.extend([unit.price, 'contract_' ~ unit.price]) %}
        {% if unit.inside and unit.parents %}{% do columns.append(unit.inherited) %}{% endif %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{#
    What costs are told apart by: a class is one or two buckets of tokens, with all that is part of them. The rest of a
    cost (`other`: searches, seconds, pages, and the request itself) has no tokens.
#}
{% macro token_classes() %}
    {% set names = {
        'input': 'uncached_input',
        'cache_read': 'cache_read',
        'cache_write_5m': 'cache_write',
        'cache_write_1h': 'cache_write',
        'output': 'output'
    } %}
    {% set classes = {} %}
    {% for bucket in token_buckets() %}
        {% do classes.setdefault(names[bucket.name], []).append(bucket) %}
    {% endfor %}
    {% set found = [] %}
    {% for name, buckets in classes.items() %}
        {% do found.append({'name': name, 'cost': name ~ '_cost_usd', 'buckets': buckets}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# What a cost is the sum of, in the order in which the parts are rounded. #}
{% macro cost_parts() %}
    {{ return((token_classes() | map(attribute='name') | list) + ['other']) }}
{% endmacro %}

{# The parts of cost_usd as columns. #}
{% macro cost_columns() %}
    {% set columns = [] %}
    {% for part in cost_parts() %}{% do columns.append(part ~ '_cost_usd') %}{% endfor %}
    {{ return(columns) }}
{% endmacro %}

{# What the tokens of a class cost at the prices of their buckets. NULL without token counts. #}
{% macro bucket_cost(class, usage, prices) %}
    {%- for bucket in class.buckets -%}
    {{ ' + ' if not loop.first }}{{ usage }}{{ bucket.quantity }} * coalesce({{ prices }}{{ bucket.price }}, 0)
    {%- endfor %}
{%- endmacro %}

{# What the request itself costs. calls: the column with the number of requests, of rows that stand for many. #}
{% macro calls_cost(usage, prices, calls=none) -%}
    {{ usage ~ calls ~ ' * ' if calls }}coalesce({{ prices }}request_price, 0)
{%- endmacro %}

{# What a class of tokens costs: its buckets, and what is inside of them beyond the price of the bucket. #}
{% macro class_cost(class, buckets_cost, prices='') %}
    {%- set parts = ['coalesce(' ~ buckets_cost ~ ', 0)'] %}
    {%- for bucket in class.buckets %}{% for inside in units_inside(bucket.name) %}
    {%- do parts.append(
        'coalesce(' ~ inside.quantity ~ ', 0) * (coalesce(' ~ prices ~ inside.price ~ ', 0) - coalesce(' ~ prices ~ bucket.price ~ ', 0))'
    ) %}
    {%- endfor %}{% endfor %}
    {{- parts | join('\n+ ') }}
{%- endmacro %}

{# What is counted beside tokens costs, as far as it is not free. #}
{% macro beside_cost(prices='') %}
    {%- set parts = [] %}
    {%- for beside in units_beside_tokens() %}
    {%- set quantity, price = 'coalesce(paid_' ~ beside.quantity ~ ', 0)', 'coalesce(' ~ prices ~ beside.price ~ ', 0)' %}
    {%- do parts.append(cost_by_hour(quantity, price) if beside.unit == 'audio_seconds' else quantity ~ ' * ' ~ price) %}
    {%- endfor %}
    {{- parts | join('\n+ ') }}
{%- endmacro %}

{# A unit was used that has no price, not even that of its bucket. #}
{% macro lacks_other_price() %}
    {%- set parts = [] %}
    {%- for bucket in token_buckets() %}
    {%- set rest = [bucket.quantity] %}
    {%- for inside in units_inside(bucket.name) %}
    {%- do rest.append('coalesce(' ~ inside.quantity ~ ', 0)') %}
    {%- do parts.append('(' ~ inside.quantity ~ ' > 0 and ' ~ inside.price ~ ' is null)') %}
    {%- endfor %}
    {%- do parts.append('(' ~ rest | join(' - ') ~ ' > 0 and ' ~ bucket.price ~ ' is null)') %}
    {%- endfor %}
    {%- for beside in units_beside_tokens() %}
    {%- do parts.append('(paid_' ~ beside.quantity ~ ' > 0 and ' ~ beside.price ~ ' is null)') %}
    {%- endfor %}
    {{- parts | join('\nor ') }}
{%- endmacro %}

{#
    Tokens inside a bucket had the price of the rest of it, for want of their own. Reasoning is output by anybody's price
    list: that is no makeshift.
#}
{% macro takes_bucket_price() %}
    {%- set parts = [] %}
    {%- for unit in usage_units() if unit.inside and unit.unit != 'reasoning_tokens' %}
    {%- do parts.append('(' ~ unit.quantity ~ ' > 0 and ' ~ unit.inherited ~ ')') %}
    {%- endfor %}
    {{- parts | join('\nor ') }}
{%- endmacro %}
