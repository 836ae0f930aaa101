{# How many conditions a rule can have, and how many thresholds. #}
{% macro quota_slots() %}{{ return(6) }}{% endmacro %}

{# A value as the rules write it: what separates values, conditions and limits is percent-encoded. #}
{% macro quota_encoded(text) -%}
replace(replace(replace(replace({{ text }}, '%', '%25'), ';', '%3B'), '|', '%7C'), '=', '%3D')
{%- endmacro %}

{# bar: SQL for what becomes of a `|`. #}
{% macro quota_decoded(text, bar="'|'") -%}
replace(replace(replace(replace({{ text }}, '%3D', '='), '%7C', {{ bar }}), '%3B', ';'), '%25', '%')
{%- endmacro %}

{# The regular expression of values with wildcards, `a*|b` -> `^(a.*|b)$`. #}
{% macro quota_pattern(values) -%}
    {%- set escaped = namespace(text="replace(" ~ values ~ ", chr(92), chr(92) || chr(92))") -%}
    {%- for sign in '.+?()[]{}^$' -%}
        {%- set escaped.text = "replace(" ~ escaped.text ~ ", '" ~ sign ~ "', chr(92) || '" ~ sign ~ "')" -%}
    {%- endfor -%}
'^(' || replace({{ llm_spend.quota_decoded(escaped.text, "chr(92) || '|'") }}, '*', '.*') || ')$'
{%- endmacro %}

{#
    Values, `a|b`, in a form that is cheap to ask for each request: a regular expression when there are wildcards, else
    the values between characters that no value has.
#}
{% macro quota_listed(values) -%}
case
    when {{ dbt.position("'*'", values) }} > 0 then {{ llm_spend.quota_pattern(values) }}
    else chr(31) || {{ llm_spend.quota_decoded("replace(" ~ values ~ ", '|', chr(31))") }} || chr(31)
end
{%- endmacro %}

{# Whether a value is one of those that quota_listed gave; NULL for no value. #}
{% macro quota_is_listed(value, listed) -%}
case
    when left({{ listed }}, 1) = '^' then {{ llm_spend.regex_found(value, listed) }}
    else {{ dbt.position("chr(31) || " ~ value ~ " || chr(31)", listed) }} > 0
end
{%- endmacro %}

{# The conditions of a rule as quota_is_fulfilled reads them: `+` or `-`, the key and the listed values of each. #}
{% macro quota_conditions(conditions) -%}
    {%- for number in range(1, llm_spend.quota_slots() + 1) %}
    {%- set condition = dbt.split_part(conditions, "';'", number) %}
    {%- set key = dbt.split_part(condition, "'='", 1) %}
    coalesce(
        case
            when right({{ key }}, 1) = '!' then '-' || chr(29) || {{ llm_spend.quota_decoded("left(" ~ key ~ ", length(" ~ key ~ ") - 1)") }}
            else '+' || chr(29) || nullif({{ llm_spend.quota_decoded(key) }}, '')
        end || chr(29) || {{ llm_spend.quota_listed(dbt.split_part(condition, "'='", 2)) }} || chr(30),
        ''
    )
    {{- ' ||' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#
    Two steps to ask for them, once a rule: columns condition_1 …, then key_1 and listed_1 …, NULL where a rule has no such
    condition. In one step DuckDB would plan each of them dozens of times.
#}
{% macro quota_condition_texts(relation) -%}
    {%- for number in range(1, llm_spend.quota_slots() + 1) -%}
{{ dbt.split_part(relation ~ '.conditions', 'chr(30)', number) }} as condition_{{ number }}{{ ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro quota_condition_parts(relation) -%}
    {%- for number in range(1, llm_spend.quota_slots() + 1) -%}
        {%- set condition = relation ~ '.condition_' ~ number -%}
{{ dbt.split_part(condition, 'chr(29)', 2) }} as key_{{ number }},
        nullif({{ dbt.split_part(condition, 'chr(29)', 3) }}, '') as listed_{{ number }}{{ ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# These columns, in a list. #}
{% macro quota_condition_columns() %}
    {%- set columns = [] -%}
    {%- for number in range(1, llm_spend.quota_slots() + 1) -%}
        {%- do columns.extend(['condition_' ~ number, 'key_' ~ number, 'listed_' ~ number]) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{# SQL condition: the request of `relation`, which has these columns, fulfils them all. #}
{% macro quota_is_fulfilled(relation) -%}
    {%- for number in range(1, llm_spend.quota_slots() + 1) -%}
        {%- set key = relation ~ '.key_' ~ number -%}
        {%- set listed = relation ~ '.listed_' ~ number %}
(
    {{ listed }} is null
    or (
        coalesce({{ llm_spend.quota_is_listed(llm_spend.quota_attribute(relation, key), listed) }}, false)
        or ({{ key }} = 'model' and coalesce({{ llm_spend.quota_is_listed(relation ~ '.model_id', listed) }}, false))
    ) = (left({{ relation }}.condition_{{ number }}, 1) = '+')
)
        {{- ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
