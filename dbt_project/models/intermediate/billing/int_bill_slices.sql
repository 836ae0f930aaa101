{# From the finest to the coarsest, and what a slice has of a day and of a model. #}
{% set slices = {
    'bill_by_day_and_model': ['usage_date', 'model'],
    'bill_by_day': ['usage_date', "''"],
    'bill_by_month_and_model': ['billing_period', 'model'],
    'bill_by_month': ['billing_period', "''"]
} %}
{% set owner = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}
{% set slice = ['allocation_method', 'billing_period', 'billed_by', 'pool', 'slice_date', 'slice_model'] %}

with requests as (
    select
        *,
        coalesce(channel, provider) as billed_by,
        coalesce(model_id, lower(resolved_model), '(unknown)') as model
    from {{ ref('int_requests_daily') }}
    where is_of_record
),

billed_days as (
    select * from {{ ref('int_billed_days') }}
),

whole_accounts as (
    select distinct
        provider,
        source_system,
        source_instance,
        valid_from,
        valid_to,
        billing_period,
        pool_of_caller as pool
    from {{ ref('int_bill_pools') }}
    where caller = {{ whole_account() }}
),

-- A gateway is in one pool of its own, and in that of each account that is billed as a whole.
days_of_pools as (
    select
        billing_period,
        usage_date,
        provider,
        source_system,
        source_instance,
        pool
    from billed_days
    union all
    select distinct
        billed_days.billing_period,
        billed_days.usage_date,
        billed_days.provider,
        billed_days.source_system,
        billed_days.source_instance,
        whole_accounts.pool
    from billed_days
    inner join whole_accounts
        on
            billed_days.billing_period = whole_accounts.billing_period
            and billed_days.provider = whole_accounts.provider
            and billed_days.source_system = whole_accounts.source_system
            and billed_days.source_instance = whole_accounts.source_instance
            and billed_days.usage_date >= whole_accounts.valid_from
            and billed_days.usage_date < whole_accounts.valid_to
),

billed as (
    select
        days_of_pools.billing_period,
        days_of_pools.pool,
        requests.usage_date,
        requests.billed_by,
        requests.model,
        coalesce(requests.provider, '(unknown)') as provider,
        requests.cost_center_id,
        requests.team_id,
        coalesce(requests.model_id, '(unresolved)') as model_id,
        requests.cost_usd,
        requests.total_tokens,
        requests.unpriced_requests
    from requests
    inner join days_of_pools
        on {{ llm_spend.is_billed_day('requests', 'days_of_pools') }}
),

sliced as (
    {% for method, parts in slices.items() -%}
    select
        '{{ method }}' as allocation_method,
        billing_period,
        billed_by,
        pool,
        {{ parts[0] }} as slice_date,
        {{ parts[1] }} as slice_model,
        {{ owner | join(',\n        ') }},
        cost_usd,
        total_tokens,
        unpriced_requests
    from billed
    {{ "where pool not like 'whole|%'" if parts[0] == 'usage_date' }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

measured as (
    select
        {{ (slice + owner) | join(',\n        ') }},
        coalesce(sum(cost_usd), 0) as cost_usd,
        -- Millionths of a USD, begun ones too: whole numbers are shared out alike on every warehouse.
        cast(ceil(greatest(coalesce(sum(cost_usd), 0), 0) * 1000000) as {{ dbt.type_bigint() }}) as cost_weight,
        cast(sum(total_tokens) as {{ dbt.type_bigint() }}) as tokens,
        cast(sum(unpriced_requests) as {{ dbt.type_bigint() }}) as unpriced_requests
    from sliced
    group by {{ (slice + owner) | join(', ') }}
),

totals as (
    select
        {{ slice | join(',\n        ') }},
        sum(cost_weight) as cost_weight,
        sum(tokens) as tokens,
        sum(unpriced_requests) as unpriced_requests
    from measured
    group by {{ slice | join(', ') }}
),

-- Where nothing has a price, tokens have to do, and attempts where nobody counted tokens.
final as (
    select
        {{ llm_spend.columns_of('measured', slice + owner) }},
        cast(measured.cost_usd as {{ llm_spend.type_money() }}) as cost_usd,
        case
            when totals.cost_weight > 0 then measured.cost_weight
            when totals.tokens > 0 then measured.tokens
            else measured.unpriced_requests
        end as weight,
        cast(
            case
                when totals.cost_weight > 0 then totals.cost_weight
                when totals.tokens > 0 then totals.tokens
                else totals.unpriced_requests
            end as {{ dbt.type_bigint() }}
        ) as slice_weight
    from measured
    inner join totals
        on
            measured.allocation_method = totals.allocation_method
            and measured.billing_period = totals.billing_period
            and measured.billed_by = totals.billed_by
            and measured.pool = totals.pool
            and measured.slice_date = totals.slice_date
            and measured.slice_model = totals.slice_model
)

select * from final
