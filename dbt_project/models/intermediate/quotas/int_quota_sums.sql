{{ config(**llm_spend.by_usage_date('quota_version')) }}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

matches_within_dates as (
    select * from {{ ref('int_quota_matches') }}
    where not is_by_load and {{ llm_spend.is_to_build(version='quota_version') }}
),

matches_by_load as (
    select * from {{ ref('int_quota_matches') }}
    where is_by_load and {{ llm_spend.is_to_build(version='quota_version') }}
),

-- These windows end on their date, and there are many.
sums_within_dates as (
    select
        usage_date,
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        cast(sum(quantity) as {{ dbt.type_bigint() }}) as quantity,
        cast(sum(case when is_blocked then 1 else 0 end) as {{ dbt.type_bigint() }}) as observed_blocks,
        cast(sum(case when is_unmeasured then 1 else 0 end) as {{ dbt.type_bigint() }}) as unmeasured_requests
    from matches_within_dates
    group by usage_date, rule_key, counter_subject_type, counter_subject, window_start
),

sums_by_load as (
    select
        usage_date,
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        loaded_at,
        cast(sum(quantity) as {{ dbt.type_bigint() }}) as quantity,
        cast(sum(cost_usd) as {{ llm_spend.type_money() }}) as cost_usd,
        cast(sum(case when is_blocked then 1 else 0 end) as {{ dbt.type_bigint() }}) as observed_blocks,
        cast(sum(case when is_unmeasured then 1 else 0 end) as {{ dbt.type_bigint() }}) as unmeasured_requests,
        cast(count(unpriced_tokens) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(coalesce(sum(unpriced_tokens), 0) as {{ dbt.type_bigint() }}) as unpriced_tokens
    from matches_by_load
    group by usage_date, rule_key, counter_subject_type, counter_subject, window_start, loaded_at
),

sums as (
    select
        usage_date,
        rule_key,
        counter_subject_type,
        counter_subject,
        window_start,
        cast(null as {{ llm_spend.type_timestamp() }}) as loaded_at,
        quantity,
        cast(null as {{ llm_spend.type_money() }}) as cost_usd,
        observed_blocks,
        unmeasured_requests,
        cast(0 as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(0 as {{ dbt.type_bigint() }}) as unpriced_tokens,
        false as is_by_load
    from sums_within_dates
    union all
    select
        *,
        true as is_by_load
    from sums_by_load
),

final as (
    select
        sums.*,
        dates_to_build.date_version
    from sums
    inner join dates_to_build on sums.usage_date = dates_to_build.usage_date
)

select * from final
