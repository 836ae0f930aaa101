-- Months in which more tokens than llm_spend_unpriced_token_share_limit allows have no known cost: what they cost is
-- missing from every total. llm_unpriced_models says which models they are.
{{ config(severity='warn') }}

with months as (
    select
        {{ month_start('usage_date') }} as billing_period,
        sum(total_tokens) as total_tokens,
        sum(unpriced_tokens) as unpriced_tokens
    from {{ ref('llm_usage_by_model_daily') }}
    group by 1
)

select *
from months
where unpriced_tokens > total_tokens * {{ var('llm_spend_unpriced_token_share_limit') }}
