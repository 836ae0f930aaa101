with slices as (
    select * from {{ ref('int_reconciliation_slices') }}
),

members as (
    select * from {{ ref('int_reconciliation_accounts') }}
),

requests as (
    select * from {{ ref('int_requests_reconciled_daily') }}
),

costs as (
    select * from {{ ref('fct_llm_provider_costs') }}
    where is_of_record
),

-- Windows for which an API was asked what it bills; an answer without lines is an answer, if it came late enough.
windows as (
    select
        source as source_system,
        source_instance,
        cast(window_start as date) as usage_date
    from {{ ref('stg_loads__files') }} as files
    where entity = 'costs' and window_start is not null and {{ is_asked_late_enough('files') }}
),

days as (
    select
        billing_period,
        provider,
        provider_instance,
        usage_date,
        is_whole_month,
        sum(attempts) as attempts,
        sum(usage_rows) as usage_rows,
        sum(cost_rows) as cost_rows,
        sum(open_cost_rows) as open_cost_rows,
        sum(cost_rows_without_key) as cost_rows_without_key,
        sum(cost_rows_without_project) as cost_rows_without_project,
        sum(case when is_outside_gateway is null then cost_rows else 0 end) as cost_rows_of_unknown_key,
        sum(case when is_outside_gateway is null then usage_rows else 0 end) as usage_rows_of_unknown_key
    from slices
    group by billing_period, provider, provider_instance, usage_date, is_whole_month
),

bills as (
    select
        billing_period,
        provider,
        provider_instance,
        min(usage_date) as first_date,
        max(usage_date) as last_date
    from days
    where cost_rows > 0
    group by billing_period, provider, provider_instance
),

accounts_with_bills as (
    select distinct
        provider,
        provider_instance
    from bills
),

billing_sources as (
    select
        members.provider,
        members.provider_instance,
        costs.source_system,
        costs.source_instance
    from costs
    inner join members
        on
            members.member_kind = 'account'
            and costs.provider = members.provider
            and costs.source_instance = members.source_instance
    group by members.provider, members.provider_instance, costs.source_system, costs.source_instance
),

asked_days as (
    select
        billing_sources.provider,
        billing_sources.provider_instance,
        windows.usage_date
    from windows
    inner join billing_sources
        on
            windows.source_system = billing_sources.source_system
            and windows.source_instance = billing_sources.source_instance
    group by billing_sources.provider, billing_sources.provider_instance, windows.usage_date
),

asked_accounts as (
    select
        provider,
        provider_instance
    from asked_days
    group by provider, provider_instance
),

logs as (
    select
        source_system,
        source_instance,
        min(usage_date) as first_date,
        max(usage_date) as last_date
    from requests
    group by source_system, source_instance
),

logged_days as (
    select
        days.provider,
        days.provider_instance,
        days.usage_date,
        max(
            case
                when
                    days.is_whole_month
                    and days.billing_period >= {{ month_start('logs.first_date') }}
                    and days.billing_period <= logs.last_date
                    then 1
                when days.usage_date >= logs.first_date and days.usage_date <= logs.last_date then 1
                else 0
            end
        ) = 1 as is_logged
    from days
    inner join members
        on
            members.member_kind = 'gateway'
            and days.provider = members.provider
            and days.provider_instance = members.provider_instance
    inner join logs
        on members.source_system = logs.source_system and members.source_instance = logs.source_instance
    group by days.provider, days.provider_instance, days.usage_date
),

judged as (
    select
        days.*,
        accounts_with_bills.provider is not null as has_bills,
        logged_days.is_logged,
        days.cost_rows > 0
        or asked_days.provider is not null
        -- Bills as files leave out days without a line.
        or coalesce(
            asked_accounts.provider is null
            and days.usage_date >= bills.first_date
            and days.usage_date <= bills.last_date,
            false
        ) as is_billed
    from days
    left join accounts_with_bills
        on
            days.provider = accounts_with_bills.provider
            and days.provider_instance = accounts_with_bills.provider_instance
    left join bills
        on
            days.billing_period = bills.billing_period
            and days.provider = bills.provider
            and days.provider_instance = bills.provider_instance
    left join asked_days
        on
            days.provider = asked_days.provider
            and days.provider_instance = asked_days.provider_instance
            and days.usage_date = asked_days.usage_date
    left join asked_accounts
        on
            days.provider = asked_accounts.provider
            and days.provider_instance = asked_accounts.provider_instance
    left join logged_days
        on
            days.provider = logged_days.provider
            and days.provider_instance = logged_days.provider_instance
            and days.usage_date = logged_days.usage_date
),

final as (
    select
        billing_period,
        provider,
        provider_instance,
        usage_date,
        is_whole_month,
        case
            when not has_bills then 'no_bill'
            when not is_billed then 'bill_not_loaded'
            when is_logged is null then 'no_gateway'
            when not is_logged then 'log_not_loaded'
            else 'compared'
        end as comparison,
        open_cost_rows = 0 as is_final,
        usage_rows > 0 and usage_rows_of_unknown_key = 0 as is_usage_known,
        cost_rows_of_unknown_key = 0 as is_billed_by_caller,
        cost_rows > 0 and cost_rows_without_key = 0 as is_billed_by_key,
        cost_rows > 0 and cost_rows_without_project = 0 as is_billed_by_project
    from judged
)

select * from final
