-- Every window above its limit has one breach, and no other window has any.
{{ config(severity='error') }}

with breached_windows as (
    select rule_key, subject, window_start, used from {{ ref('llm_quota_usage') }}
    where
        status = 'breached'
        and {{ on_constant_dates(['date_version', 'quota_version']) }}
),

breaches as (
    select rule_key, subject, window_start, used from {{ ref('llm_quota_breaches') }}
    where
        voided_at is null
        and {{ on_constant_dates(['date_version', 'quota_version']) }}
),

final as (
    select
        coalesce(breached_windows.rule_key, breaches.rule_key) as rule_key,
        coalesce(breached_windows.subject, breaches.subject) as subject,
        coalesce(breached_windows.window_start, breaches.window_start) as window_start
    from breached_windows
    full outer join breaches
        on breached_windows.rule_key = breaches.rule_key
        and breached_windows.subject = breaches.subject
        and breached_windows.window_start = breaches.window_start
    where breached_windows.used is null
        or breaches.used is null
        or breached_windows.used <> breaches.used
)

select * from final
