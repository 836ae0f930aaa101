{% set slice = ['allocation_method', 'billing_period', 'billed_by', 'pool', 'slice_date', 'slice_model'] %}
{% set owner = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}

with allocations as (
    select * from {{ ref('int_bill_allocations') }}
    where allocation_method <> 'waiting'
),

slices as (
    select * from {{ ref('int_bill_slices') }}
),

bills as (
    select
        line_type,
        {{ slice | join(',\n        ') }},
        sum(billed_usd) as billed_usd
    from allocations
    where slice_date is not null
    group by line_type, {{ slice | join(', ') }}
),

shared as (
    select
        bills.line_type,
        {{ llm_spend.columns_of('slices', slice + owner) }},
        bills.billed_usd,
        {{ llm_spend.share_of('bills.billed_usd', 'slices.weight', 'slices.slice_weight') }} as share_usd,
        row_number() over (
            partition by bills.line_type, {{ llm_spend.columns_of('slices', slice) }}
            order by slices.weight desc, {{ llm_spend.columns_of('slices', owner) }}
        ) as share_rank
    from bills
    inner join slices
        on
            bills.allocation_method = slices.allocation_method
            and bills.billing_period = slices.billing_period
            and bills.billed_by = slices.billed_by
            and bills.pool = slices.pool
            and bills.slice_date = slices.slice_date
            and bills.slice_model = slices.slice_model
            and slices.weight > 0
),

-- What is lost in the last digit goes to the largest share.
shares as (
    select
        *,
        share_usd + case
            when share_rank = 1
                then billed_usd - sum(share_usd) over (partition by line_type, {{ slice | join(', ') }})
            else 0
        end as exact_share_usd
    from shared
),

billed_slices as (
    select distinct {{ slice | join(', ') }}
    from bills
    where line_type = 'true_up'
),

models_of_whole_accounts as (
    select distinct
        billing_period,
        billed_by,
        slice_model,
        allocation_method
    from billed_slices
    where pool like 'whole|%' and allocation_method = 'bill_by_month_and_model'
),

whole_accounts as (
    select
        billing_period,
        billed_by,
        min(allocation_method) as allocation_method
    from billed_slices
    where pool like 'whole|%'
    group by billing_period, billed_by
),

priced as (
    select * from slices
    where allocation_method = 'bill_by_day_and_model' and cost_usd <> 0
),

-- What the usage costs by the price book gives way to the bill, by the method that the bill takes there.
usage_costs as (
    select
        coalesce(
            of_day_and_model.allocation_method,
            of_day.allocation_method,
            of_month_and_model.allocation_method,
            of_month.allocation_method,
            models_of_whole_accounts.allocation_method,
            whole_accounts.allocation_method,
            priced.allocation_method
        ) as allocation_method,
        priced.billing_period,
        {{ llm_spend.columns_of('priced', owner) }},
        priced.cost_usd
    from priced
    left join models_of_whole_accounts
        on
            priced.billing_period = models_of_whole_accounts.billing_period
            and priced.billed_by = models_of_whole_accounts.billed_by
            and priced.slice_model = models_of_whole_accounts.slice_model
    left join whole_accounts
        on priced.billing_period = whole_accounts.billing_period and priced.billed_by = whole_accounts.billed_by
    {% for method, slice_date, slice_model in [
        ('day_and_model', 'priced.slice_date', 'priced.slice_model'),
        ('day', 'priced.slice_date', "''"),
        ('month_and_model', 'priced.billing_period', 'priced.slice_model'),
        ('month', 'priced.billing_period', "''")
    ] -%}
    left join billed_slices as of_{{ method }}
        on
            of_{{ method }}.allocation_method = 'bill_by_{{ method }}'
            and of_{{ method }}.billing_period = priced.billing_period
            and of_{{ method }}.billed_by = priced.billed_by
            and of_{{ method }}.pool = priced.pool
            and of_{{ method }}.slice_date = {{ slice_date }}
            and of_{{ method }}.slice_model = {{ slice_model }}
    {% endfor -%}
),

parts as (
    select
        billing_period,
        line_type,
        allocation_method,
        {{ owner | join(',\n        ') }},
        exact_share_usd as billed_usd,
        0 as usage_usd
    from shares
    union all
    select
        billing_period,
        'true_up' as line_type,
        allocation_method,
        {{ owner | join(',\n        ') }},
        0 as billed_usd,
        cost_usd as usage_usd
    from usage_costs
    union all
    -- No gateway has seen what it was for.
    select
        billing_period,
        line_type,
        allocation_method,
        billed_by as provider,
        coalesce(cost_center_id, {{ unallocated() }}) as cost_center_id,
        coalesce(team_id, {{ unallocated() }}) as team_id,
        model_id,
        billed_usd,
        0 as usage_usd
    from allocations
    where slice_date is null
),

final as (
    select
        billing_period,
        line_type,
        allocation_method,
        {{ owner | join(',\n        ') }},
        cast(sum(billed_usd) as {{ llm_spend.type_money() }}) as billed_usd,
        cast(sum(usage_usd) as {{ llm_spend.type_money() }}) as usage_usd,
        cast(sum(billed_usd) - sum(usage_usd) as {{ llm_spend.type_money() }}) as exact_cost_usd
    from parts
    group by billing_period, line_type, allocation_method, {{ owner | join(', ') }}
    having sum(parts.billed_usd) <> 0 or sum(parts.usage_usd) <> 0
)

select * from final
