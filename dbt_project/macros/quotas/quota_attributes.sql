{# What a quota rule can name: subject types, keys of conditions and counters, with the column of fct_llm_requests. #}
{% macro quota_attributes() %}
    {{ return({
        'user': 'user_id',
        'team': 'team_id',
        'virtualaccount': 'virtual_account',
        'api_key': 'api_key_id',
        'customer': 'customer_id',
        'feature': 'feature_id',
        'cost_center': 'cost_center_id',
        'environment': 'environment',
        'model': 'requested_model',
        'provider': 'provider'
    }) }}
{% endmacro %}

{# Those that a rule is for: the name of a subject type with SQL on `relation`; `*` is everyone. #}
{% macro quota_subjects(relation) %}
    {%- set subjects = {} -%}
    {%- for name, column in llm_spend.quota_attributes().items() if name not in ('model', 'provider') -%}
        {%- do subjects.update({name: relation ~ '.' ~ column}) -%}
    {%- endfor -%}
    {%- do subjects.update({'*': "'*'"}) -%}
    {{ return(subjects) }}
{% endmacro %}

{# What a request of `relation` has of an attribute or `metadata.<key>`, NULL when it has none; name: SQL. #}
{% macro quota_attribute(relation, name) -%}
case {{ name }}
    {%- for attribute, column in llm_spend.quota_attributes().items() %}
    when '{{ attribute }}' then nullif({{ relation }}.{{ column }}, '(unallocated)')
    {%- endfor %}
    else nullif({{ llm_spend.map_value(llm_spend.metadata_map(relation ~ '.metadata'), 'substring(' ~ name ~ ', 10)') }}, '')
end
{%- endmacro %}

{# One of two counters in the name of both, `a|b`. #}
{% macro quota_member(text) -%}
replace(replace({{ text }}, '%', '%25'), '|', '%7C')
{%- endmacro %}
