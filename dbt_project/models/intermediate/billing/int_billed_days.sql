with charges as (
    select * from {{ ref('int_bill_charges') }}
),

pools as (
    select * from {{ ref('int_bill_pools') }}
),

files as (
    select * from {{ ref('stg_loads__files') }}
),

bills as (
    select distinct
        billing_period,
        provider,
        account,
        origin,
        source_system,
        load_id,
        covers_from,
        covers_to,
        is_charged and billed_usd is null as is_unknown
    from charges
    where charge_category = 'Usage' and origin <> 'seat'
),

-- What was asked for of the same account, though nothing may have been billed there.
streams as (
    select distinct
        bills.provider,
        bills.source_system,
        bills.account,
        files.entity
    from bills
    inner join files on bills.load_id = files.load_id
),

windows as (
    select
        {{ llm_spend.month_start('files.window_start') }} as billing_period,
        streams.provider,
        streams.account,
        cast(files.window_start as date) as covers_from,
        cast(files.window_end as date) as covers_to
    from files
    inner join streams
        on
            files.source = streams.source_system
            and files.source_instance = streams.account
            and files.entity = streams.entity
    where files.window_start is not null and {{ llm_spend.is_asked_late_enough('files') }}
),

ranges as (
    select
        billing_period,
        provider,
        account,
        covers_from,
        covers_to
    from bills
    union all
    -- A day that a file leaves out between others cost nothing.
    select
        billing_period,
        provider,
        account,
        min(covers_from) as covers_from,
        max(covers_to) as covers_to
    from bills
    where origin = 'file'
    group by billing_period, provider, account
    union all
    select * from windows
),

dates as (
    select
        billing_period,
        provider,
        cost_date as usage_date
    from charges
    {{ llm_spend.union_distinct() }}
    select
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(channel, provider) as provider,
        usage_date
    from {{ ref('int_requests_daily') }}
),

unknown_days as (
    select distinct
        dates.provider,
        dates.usage_date,
        bills.account
    from dates
    inner join bills
        on
            dates.provider = bills.provider
            and dates.usage_date >= bills.covers_from
            and dates.usage_date < bills.covers_to
    where bills.is_unknown
),

known_days as (
    select distinct
        dates.provider,
        dates.usage_date,
        ranges.account
    from dates
    inner join ranges
        on
            dates.billing_period = ranges.billing_period
            and dates.provider = ranges.provider
            and dates.usage_date >= ranges.covers_from
            and dates.usage_date < ranges.covers_to
    left join unknown_days
        on
            ranges.provider = unknown_days.provider
            and ranges.account = unknown_days.account
            and dates.usage_date = unknown_days.usage_date
    where unknown_days.usage_date is null
),

accounts_with_bills as (
    select distinct
        billing_period,
        provider,
        account
    from bills
),

-- An account that only had a credit has no usage to wait for; one that the seed names may have some.
wanted as (
    select distinct
        pools.billing_period,
        pools.provider,
        pools.pool,
        dates.usage_date,
        pools.account
    from pools
    inner join dates
        on
            pools.billing_period = dates.billing_period
            and pools.provider = dates.provider
            and pools.valid_from <= dates.usage_date
            and pools.valid_to > dates.usage_date
    left join accounts_with_bills
        on
            pools.billing_period = accounts_with_bills.billing_period
            and pools.provider = accounts_with_bills.provider
            and pools.account = accounts_with_bills.account
    where accounts_with_bills.account is not null or (pools.is_named and pools.account <> '')
),

complete as (
    select
        wanted.billing_period,
        wanted.provider,
        wanted.pool,
        wanted.usage_date
    from wanted
    left join known_days
        on
            wanted.provider = known_days.provider
            and wanted.usage_date = known_days.usage_date
            -- An invoice of no account is of all.
            and known_days.account in (wanted.account, '')
    group by wanted.billing_period, wanted.provider, wanted.pool, wanted.usage_date
    having
        count(distinct wanted.account)
        = count(distinct case when known_days.account is not null then wanted.account end)
),

covered as (
    select distinct
        complete.billing_period,
        complete.provider,
        complete.usage_date,
        complete.pool,
        pools.source_system,
        pools.source_instance
    from complete
    inner join pools
        on
            complete.billing_period = pools.billing_period
            and complete.provider = pools.provider
            and complete.pool = pools.pool
            and complete.usage_date >= pools.valid_from
            and complete.usage_date < pools.valid_to
),

usage_days as (
    select distinct
        coalesce(channel, provider) as provider,
        source_system,
        source_instance,
        usage_date
    from {{ ref('int_requests_daily') }}
    where is_of_record
),

-- A bill of several days can't be cut: it would be spread over the complete ones, while the others cost their usage.
open_accounts as (
    select distinct
        pools.billing_period,
        pools.provider,
        pools.account
    from charges
    inner join pools
        on
            charges.billing_period = pools.billing_period
            and charges.provider = pools.provider
            and charges.account = pools.account
            and charges.caller = pools.caller
    inner join usage_days
        on
            pools.provider = usage_days.provider
            and pools.source_system = usage_days.source_system
            and pools.source_instance = usage_days.source_instance
            and charges.covers_from <= usage_days.usage_date
            and charges.covers_to > usage_days.usage_date
            and pools.valid_from <= usage_days.usage_date
            and pools.valid_to > usage_days.usage_date
    left join covered
        on
            usage_days.provider = covered.provider
            and usage_days.source_system = covered.source_system
            and usage_days.source_instance = covered.source_instance
            and usage_days.usage_date = covered.usage_date
    where
        charges.charge_category = 'Usage'
        and charges.origin <> 'seat'
        and not charges.is_of_one_day
        and covered.usage_date is null
),

open_pools as (
    select distinct
        pools.billing_period,
        pools.provider,
        pools.pool
    from pools
    inner join open_accounts
        on
            pools.billing_period = open_accounts.billing_period
            and pools.provider = open_accounts.provider
            and pools.account = open_accounts.account
),

final as (
    select covered.*
    from covered
    left join open_pools
        on
            covered.billing_period = open_pools.billing_period
            and covered.provider = open_pools.provider
            and covered.pool = open_pools.pool
    where open_pools.pool is null
)

select * from final
