with breaches as (
    select * from {{ ref('int_quota_breach_ledger') }}
),

final as (
    select
        rule_set,
        rule_id,
        subject_type,
        subject,
        unit,
        enforcement,
        limit_to,
        window_start,
        window_end,
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
