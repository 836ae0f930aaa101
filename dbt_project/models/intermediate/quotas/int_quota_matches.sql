{{ config(materialized='view') }}

with requests as (
    select * from {{ ref('fct_llm_requests') }}
    where is_of_record
),

rules as (
    {{ llm_spend.quota_match_rules() }}
),

final as (
    {{ llm_spend.quota_matches('rules', 'requests') }}
)

select * from final
