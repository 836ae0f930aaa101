with costs as (
    select * from {{ ref('fct_llm_provider_costs') }}
    where is_of_record
),

usage_rows as (
    select * from {{ ref('fct_llm_provider_usage') }}
    where is_of_record
),

requests as (
    select * from {{ ref('int_requests_reconciled_daily') }}
),

mapping_rows as (
    select * from {{ ref('stg_mapping__provider_accounts') }}
),

accounts as (
    select
        provider,
        source_instance as account
    from costs
    group by provider, source_instance
    {{ llm_spend.union_distinct() }}
    select
        provider,
        source_instance as account
    from usage_rows
    group by provider, source_instance
),

-- Invoices and seats may be of any account: of the only one, where there is one.
account_counts as (
    select
        provider,
        count(nullif(account, '')) as accounts,
        count(*) - count(nullif(account, '')) as unnamed_accounts,
        coalesce(min(nullif(account, '')), '') as only_account
    from accounts
    group by provider
),

gateways as (
    select
        channel as provider,
        source_system,
        source_instance
    from requests
    group by channel, source_system, source_instance
),

-- A gateway calls these accounts of the provider; only one of them can be told apart by its log.
mapped as (
    select
        gateways.provider,
        gateways.source_system,
        gateways.source_instance,
        count(distinct accounts.account) as accounts,
        min(accounts.account) as only_account
    from gateways
    inner join mapping_rows
        on
            gateways.provider = mapping_rows.provider
            and lower(gateways.source_system) = mapping_rows.source_system
            and gateways.source_instance = coalesce(mapping_rows.source_instance, gateways.source_instance)
    inner join accounts
        on
            gateways.provider = accounts.provider
            and accounts.account = coalesce(mapping_rows.provider_instance, accounts.account)
    where accounts.account <> ''
    group by gateways.provider, gateways.source_system, gateways.source_instance
),

assigned as (
    select
        gateways.provider,
        gateways.source_system,
        gateways.source_instance,
        case
            when account_counts.accounts < 2 then account_counts.only_account
            when account_counts.unnamed_accounts = 0 and mapped.accounts = 1 then mapped.only_account
        end as account
    from gateways
    left join account_counts on gateways.provider = account_counts.provider
    left join mapped
        on
            gateways.provider = mapped.provider
            and gateways.source_system = mapped.source_system
            and gateways.source_instance = mapped.source_instance
),

-- Where one gateway's requests can't be told apart, all accounts of the provider are one.
told_apart as (
    select
        provider,
        count(*) = count(account) as is_told_apart
    from assigned
    group by provider
),

final as (
    select
        accounts.provider,
        'account' as member_kind,
        cast(null as {{ dbt.type_string() }}) as source_system,
        accounts.account as source_instance,
        case
            when account_counts.accounts < 2 then account_counts.only_account
            when account_counts.unnamed_accounts > 0 or not coalesce(told_apart.is_told_apart, true) then '(all)'
            else accounts.account
        end as provider_instance
    from accounts
    inner join account_counts on accounts.provider = account_counts.provider
    left join told_apart on accounts.provider = told_apart.provider
    union all
    select
        assigned.provider,
        'gateway' as member_kind,
        assigned.source_system,
        assigned.source_instance,
        case when told_apart.is_told_apart then assigned.account else '(all)' end as provider_instance
    from assigned
    inner join told_apart on assigned.provider = told_apart.provider
)

select * from final
