-- A cell that can't be read would become NULL, and the quota would be gone without a word.
{{ config(severity='error') }}

{% set units = [] %}
{% for measure in ['requests', 'tokens'] %}{% for window in ['minute', 'hour', 'day'] %}
{% do units.append(measure ~ '_per_' ~ window) %}
{% endfor %}{% endfor %}

with rules as (
    select * from {{ ref('quota_rules') }}
)

select *
from rules
where
    {{ llm_spend.try_cast('rule_order', 'bigint') }} is null
    or {{ llm_spend.try_cast('valid_from', 'date') }} is null
    or (nullif(limit_to, '') is not null and {{ llm_spend.try_cast('limit_to', 'bigint') }} is null)
    or (nullif(valid_to, '') is not null and {{ llm_spend.try_cast('valid_to', 'date') }} is null)
    or (nullif(metadata_key, '') is null) <> (nullif(metadata_value, '') is null)
    or coalesce(rule_set, '') = ''
    or coalesce(rule_id, '') = ''
    or coalesce(subject, '') = ''
    or coalesce(evaluation, '') not in ('first_match', 'all_match')
    or coalesce(subject_type, '') not in ('user', 'team', 'virtualaccount', '*')
    or coalesce(unit, '') not in ('{{ units | join("', '") }}')
