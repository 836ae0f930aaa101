{# SQL condition: the value of a metadata key is a tag. A nested document is none, and reads differently everywhere. #}
{% macro is_tag(value) %}{{ value }} <> '' and substr({{ value }}, 1, 1) not in ('{', '['){% endmacro %}

{# How many values a key may have on a date before int_tags_daily keeps one row for all of them, and how many keys. #}
{% macro most_tag_values() %}{{ return(100) }}{% endmacro %}
{% macro most_tag_keys() %}{{ return(200) }}{% endmacro %}

{# Gateways cut a value at so many characters without a word (Portkey and TrueFoundry). #}
{% macro longest_tag_value() %}{{ return(128) }}{% endmacro %}

{# What stands for the values of a key that has too many. #}
{% macro too_many_values() %}'(too many values)'{% endmacro %}

{# The keys of int_tags_daily that stand for requests: all of them, and those whose owner a tag named. #}
{% macro all_requests() %}'(all)'{% endmacro %}
{% macro owner_key(dimension) %}'({{ dimension }})'{% endmacro %}

{# SQL condition: a gateway sets this key itself, whatever callers send. #}
{% macro is_gateway_tag(tag_key) -%}
(left({{ tag_key }}, 4) = 'tfy_' or left({{ tag_key }}, 12) = 'user_api_key' or left({{ tag_key }}, 3) = 'cf.')
{%- endmacro %}

{# A name without what people type differently: case, spaces, `-`, `_` and `.`. #}
{% macro folded_name(name) -%}
lower(replace(replace(replace(replace(trim({{ name }}), ' ', ''), '-', ''), '_', ''), '.', ''))
{%- endmacro %}

{# SQL condition: the value is one of a list that has `|` between its values; NULL without a list. #}
{% macro is_listed(value, list) -%}
(
    {{ dbt.position("'|'", value) }} = 0
    and {{ dbt.position(dbt.concat(["'|'", value, "'|'"]), dbt.concat(["'|'", list, "'|'"])) }} > 0
)
{%- endmacro %}

{#
    The forms of names by which nearly equal ones are found, without a function for edit distances, which every warehouse
    has its own of, if any: the folded name, and, if it has enough letters and no digit, each that leaves one letter of it
    out. Two names share one if they are the same when folded, or if one letter was added, left out, changed, or has moved.
    A SELECT of `columns` with form and letters_out; `relation` has the columns, folded_name, and enough_letters.
#}
{% macro name_forms(relation, columns) -%}
select
    {{ columns | join(',\n    ') }},
    case
        when numbers.number = 0 then folded_name
        else {{ dbt.concat(["substr(folded_name, 1, numbers.number - 1)", "substr(folded_name, numbers.number + 1)"]) }}
    end as form,
    case when numbers.number = 0 then 0 else 1 end as letters_out
from {{ relation }}
inner join ({{ llm_spend.numbers() }}) as numbers on numbers.number <= length(folded_name)
where
    length(folded_name) between 1 and 60
    and (
        numbers.number = 0
        or (length(folded_name) >= enough_letters and not {{ llm_spend.regex_found('folded_name', "'[0-9@]'") }})
    )
{%- endmacro %}

{# The date so many days before another one. #}
{% macro days_before(date, days) %}cast({{ dbt.dateadd('day', -(days | int), date) }} as date){% endmacro %}

{# SQL condition: the date is one of those that the audit of tags looks at; as_of: the last date with requests. #}
{% macro is_audited(usage_date, as_of) -%}
(
    {{ usage_date }} <= {{ as_of }}
    and {{ usage_date }} > {{ llm_spend.days_before(as_of, var('llm_spend_tag_audit_days')) }}
)
{%- endmacro %}

{# Text with SQL in curly brackets, as SQL: `The key {tag_key} is new.`; NULL when a part of it is. #}
{% macro sentence(text) -%}
    {%- set parts = [] -%}
    {%- for part in text.replace('}', '{').split('{') -%}
        {%- if loop.index0 % 2 -%}{%- do parts.append(part) -%}
        {%- elif part -%}{%- do parts.append("'" ~ part ~ "'") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ dbt.concat(parts) }}
{%- endmacro %}
