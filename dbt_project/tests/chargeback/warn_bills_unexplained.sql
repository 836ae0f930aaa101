-- Months in which more of a provider's bill than llm_spend_max_unexplained_share has no cause, and more than one
-- dollar. docs/reconciliation.md says where to look.
{{ config(severity='warn') }}

select
    billing_period,
    provider,
    gateway_usd,
    provider_usd,
    unexplained_usd,
    unexplained_ratio,
    explanation
from {{ ref('llm_reconciliation') }}
where
    cause = 'unexplained'
    and unexplained_ratio > cast('{{ var("llm_spend_max_unexplained_share") }}' as {{ type_decimal(18, 6) }})
    and abs(unexplained_usd) > 1
