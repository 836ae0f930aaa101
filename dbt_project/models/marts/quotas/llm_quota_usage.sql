{{ config(on_schema_change='fail', **llm_spend.kept_by_date_in_part()) }}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

sums_within_dates as (
    select * from {{ ref('int_quota_sums') }}
    where not is_by_load and {{ llm_spend.is_to_build(version='quota_version') }}
),

sums_by_load as (
    select * from {{ ref('int_quota_sums') }}
    where is_by_load
),

rules as (
    {{ llm_spend.quota_rule_versions() }}
),

windows as (
    select
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        usage_date,
        quantity,
        cost_usd,
        observed_blocks,
        unmeasured_requests,
        unpriced_requests,
        unpriced_tokens,
        date_version
    from sums_within_dates
    union all
    select
        added_up.*,
        {{ llm_spend.version_of_every_build() }} as date_version
    from ({{ llm_spend.added_up_quota_windows('sums_by_load') }}) as added_up
),

judged as (
    {{ llm_spend.quota_windows('windows', 'rules', ['date_version']) }}
),

final as (
    select
        rule_set,
        rule_id,
        subject_type,
        subject,
        unit,
        measure,
        window_unit,
        enforcement,
        limit_to,
        window_start,
        window_end,
        used,
        used_ratio,
        status,
        threshold_reached,
        observed_blocks,
        unmeasured_requests,
        unpriced_requests,
        unpriced_tokens,
        is_reliable,
        rule_key,
        usage_date,
        date_version
    from judged
)

select * from final
