{# The value of a request that has its own counter under `applies_per`; NULL when the request doesn't have it. #}
{% macro quota_counter(applies_per) -%}
case {{ applies_per }}
    when 'user' then nullif(requests.user_id, '(unallocated)')
    when 'team' then nullif(requests.team_id, '(unallocated)')
    when 'virtualaccount' then requests.virtual_account
    when 'model' then requests.requested_model
    else nullif({{ llm_spend.map_value(llm_spend.metadata_map('requests.metadata'), "substring(" ~ applies_per ~ ", 10)") }}, '')
end
{%- endmacro %}
