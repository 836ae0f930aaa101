with charges as (
    select * from {{ ref('int_bill_charges') }}
    where origin <> 'seat'
),

callers as (
    select
        billing_period,
        provider,
        account,
        project,
        api_key,
        caller,
        min(covers_from) as first_date,
        max(covers_to) as end_date
    from charges
    group by billing_period, provider, account, project, api_key, caller
),

months as (
    select distinct
        billing_period,
        provider,
        account,
        {{ llm_spend.month_after('billing_period') }} as next_period
    from callers
),

gateways as (
    select distinct
        {{ llm_spend.month_start('usage_date') }} as billing_period,
        coalesce(channel, provider) as provider,
        source_system,
        source_instance
    from {{ ref('int_requests_daily') }}
    where is_of_record
),

-- What the seed says, month by month, of gateways with requests; of an account that never came as well. An invoice that
-- names no account is of all that the seed names.
named as (
    select distinct
        gateways.billing_period,
        gateways.provider,
        case
            when months.account = '' then '' else coalesce(named_accounts.provider_instance, months.account)
        end as account,
        named_accounts.project_id,
        named_accounts.api_key_id,
        gateways.source_system,
        gateways.source_instance,
        named_accounts.valid_from,
        named_accounts.valid_to
    from gateways
    inner join {{ ref('stg_mapping__provider_accounts') }} as named_accounts
        on
            gateways.provider = named_accounts.provider
            and lower(gateways.source_system) = named_accounts.source_system
            and gateways.source_instance = coalesce(named_accounts.source_instance, gateways.source_instance)
    inner join months
        on
            gateways.billing_period = months.billing_period
            and gateways.provider = months.provider
            and named_accounts.valid_from < months.next_period
            and named_accounts.valid_to > months.billing_period
),

named_months as (
    select distinct
        months.billing_period,
        months.provider,
        months.account
    from months
    inner join {{ ref('stg_mapping__provider_accounts') }} as named_accounts
        on
            months.provider = named_accounts.provider
            and (
                months.account = ''
                or months.account = coalesce(named_accounts.provider_instance, months.account)
            )
            and months.next_period > named_accounts.valid_from
            and months.billing_period < named_accounts.valid_to
),

unnamed_callers as (
    select callers.*
    from callers
    left join named_months
        on
            callers.billing_period = named_months.billing_period
            and callers.provider = named_months.provider
            and callers.account = named_months.account
    where named_months.account is null
),

links as (
    select distinct
        named.billing_period,
        named.provider,
        named.account,
        callers.caller,
        named.source_system,
        named.source_instance,
        named.valid_from,
        named.valid_to,
        true as is_named
    from named
    left join callers
        on
            named.billing_period = callers.billing_period
            and named.provider = callers.provider
            and named.account = callers.account
            -- A key that is given away counts whatever its project, as in int_reconciliation_slices.
            and (
                named.api_key_id = callers.api_key
                or (
                    callers.project in (coalesce(named.project_id, callers.project), '*')
                    and callers.api_key in (coalesce(named.api_key_id, callers.api_key), '*')
                )
            )
            and named.valid_from < callers.end_date
            and named.valid_to > callers.first_date
    union all
    -- Nothing is said of the account: it may be called by every gateway of which nothing is said either.
    select
        unnamed_callers.billing_period,
        unnamed_callers.provider,
        unnamed_callers.account,
        unnamed_callers.caller,
        gateways.source_system,
        gateways.source_instance,
        cast('1900-01-01' as date) as valid_from,
        cast('9999-12-31' as date) as valid_to,
        false as is_named
    from unnamed_callers
    inner join gateways
        on
            unnamed_callers.billing_period = gateways.billing_period
            and unnamed_callers.provider = gateways.provider
    where
        not exists (
            select 1 from named
            where
                named.billing_period = gateways.billing_period
                and named.provider = gateways.provider
                and named.source_system = gateways.source_system
                and named.source_instance = gateways.source_instance
        )
),

callers_gateways as (
    select distinct
        billing_period,
        provider,
        account,
        caller,
        source_system,
        source_instance
    from links
    where caller <> {{ whole_account() }}
),

caller_sizes as (
    select
        *,
        count(*) over (partition by billing_period, provider, account, caller) as gateways_of_caller
    from callers_gateways
),

gateway_accounts as (
    select
        billing_period,
        provider,
        source_system,
        source_instance,
        max(gateways_of_caller) as most_gateways,
        count(distinct account) as accounts
    from caller_sizes
    group by billing_period, provider, source_system, source_instance
),

-- Accounts whose charges can't be told apart by gateway, and whether other accounts call through these gateways too.
joint_accounts as (
    select
        caller_sizes.billing_period,
        caller_sizes.provider,
        caller_sizes.account,
        max(gateway_accounts.accounts) as accounts
    from caller_sizes
    inner join gateway_accounts
        on
            caller_sizes.billing_period = gateway_accounts.billing_period
            and caller_sizes.provider = gateway_accounts.provider
            and caller_sizes.source_system = gateway_accounts.source_system
            and caller_sizes.source_instance = gateway_accounts.source_instance
    where gateway_accounts.most_gateways > 1
    group by caller_sizes.billing_period, caller_sizes.provider, caller_sizes.account
),

gateway_pools as (
    select distinct
        caller_sizes.billing_period,
        caller_sizes.provider,
        caller_sizes.source_system,
        caller_sizes.source_instance,
        case
            when gateway_accounts.most_gateways = 1
                then 'gateway|' || caller_sizes.source_system || '|' || caller_sizes.source_instance
            when joint_accounts.accounts = 1 then 'account|' || caller_sizes.account
            else 'shared'
        end as pool
    from caller_sizes
    inner join gateway_accounts
        on
            caller_sizes.billing_period = gateway_accounts.billing_period
            and caller_sizes.provider = gateway_accounts.provider
            and caller_sizes.source_system = gateway_accounts.source_system
            and caller_sizes.source_instance = gateway_accounts.source_instance
    left join joint_accounts
        on
            caller_sizes.billing_period = joint_accounts.billing_period
            and caller_sizes.provider = joint_accounts.provider
            and caller_sizes.account = joint_accounts.account
),

final as (
    select
        links.billing_period,
        links.provider,
        links.account,
        links.caller,
        links.source_system,
        links.source_instance,
        links.valid_from,
        links.valid_to,
        links.is_named,
        coalesce(gateway_pools.pool, 'gateway|' || links.source_system || '|' || links.source_instance) as pool,
        case
            when links.caller = {{ whole_account() }} then 'whole|' || links.account
            else coalesce(gateway_pools.pool, 'gateway|' || links.source_system || '|' || links.source_instance)
        end as pool_of_caller
    from links
    left join gateway_pools
        on
            links.billing_period = gateway_pools.billing_period
            and links.provider = gateway_pools.provider
            and links.source_system = gateway_pools.source_system
            and links.source_instance = gateway_pools.source_instance
)

select * from final
