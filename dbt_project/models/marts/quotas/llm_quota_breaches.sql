with breaches as (
    select * from {{ ref('int_quota_breach_ledger') }}
),

final as (
    select
        {{ llm_spend.quota_breach_columns() | join(',\n        ') }},
        breached_at,
        breach_request_key,
        used,
        used - limit_to as overage,
        observed_blocks,
        detected_at,
        voided_at,
        rule_key,
        usage_date
    from breaches
)

select * from final
