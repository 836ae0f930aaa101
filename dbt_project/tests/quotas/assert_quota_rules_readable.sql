-- A cell that can't be read would become NULL, and the quota would be gone without a word.
{{ config(severity='error') }}

with rules as (
    select * from {{ ref('quota_rules') }}
)

select *
from rules
where {{ llm_spend.try_cast('rule_order', 'bigint') }} is null
    or {{ llm_spend.try_cast('valid_from', 'date') }} is null
    or (nullif(limit_to, '') is not null and {{ llm_spend.try_cast('limit_to', 'bigint') }} is null)
    or (nullif(valid_to, '') is not null and {{ llm_spend.try_cast('valid_to', 'date') }} is null)
    or (nullif(metadata_key, '') is null) <> (nullif(metadata_value, '') is null)
