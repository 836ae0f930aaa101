{% set slice = llm_spend.bill_slice_columns() %}
{% set owner = llm_spend.bill_slice_owner() %}
{% set methods = llm_spend.bill_slices() %}

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
        coalesce(commitment, '') as commitment,
        {{ slice | join(',\n        ') }},
        sum(billed_usd) as billed_usd
    from allocations
    where slice_date is not null
    group by line_type, coalesce(commitment, ''), {{ slice | join(', ') }}
),

shared as (
    select
        bills.line_type,
        bills.commitment,
        {{ llm_spend.columns_of('slices', slice + owner) }},
        bills.billed_usd,
        {{ llm_spend.share_of('bills.billed_usd', 'slices.weight', 'slices.slice_weight') }} as share_usd,
        row_number() over (
            partition by bills.line_type, bills.commitment, {{ llm_spend.columns_of('slices', slice) }}
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
            and bills.slice_class = slices.slice_class
            and slices.weight > 0
),

-- What is lost in the last digit goes to the largest share.
shares as (
    select
        *,
        share_usd + case
            when share_rank = 1
                then billed_usd - sum(share_usd) over (partition by line_type, commitment, {{ slice | join(', ') }})
            else 0
        end as exact_share_usd
    from shared
),

billed_slices as (
    select distinct {{ slice | reject('equalto', 'slice_class') | join(', ') }}
    from bills
    where line_type = 'true_up'
),

-- By class of tokens, where the bill has both: that name is the later one.
models_of_whole_accounts as (
    select
        billing_period,
        billed_by,
        slice_model,
        max(allocation_method) as allocation_method
    from billed_slices
    where pool like 'whole|%' and slice_model <> ''
    group by billing_period, billed_by, slice_model
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

-- What the usage costs by the price book gives way to the bill, by the finest method that the bill takes there: all
-- classes of a model by the same.
usage_costs as (
    select
        coalesce(
            {% for method in methods -%}
            {{ method }}.allocation_method,
            {% endfor -%}
            models_of_whole_accounts.allocation_method,
            whole_accounts.allocation_method,
            priced.allocation_method
        ) as allocation_method,
        priced.billing_period,
        priced.billed_by,
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
    {% for method, parts in methods.items() -%}
    left join billed_slices as {{ method }}
        on
            {{ method }}.allocation_method = '{{ method }}'
            and {{ method }}.billing_period = priced.billing_period
            and {{ method }}.billed_by = priced.billed_by
            and {{ method }}.pool = priced.pool
            and {{ method }}.slice_date = {{ 'priced.slice_date' if parts.span == 'day' else 'priced.billing_period' }}
            and {{ method }}.slice_model = {{ 'priced.slice_model' if parts.has_model else "''" }}
    {% endfor -%}
),

parts as (
    select
        billing_period,
        billed_by,
        line_type,
        commitment,
        allocation_method,
        {{ owner | join(',\n        ') }},
        exact_share_usd as billed_usd,
        0 as usage_usd
    from shares
    union all
    select
        billing_period,
        billed_by,
        'true_up' as line_type,
        '' as commitment,
        allocation_method,
        {{ owner | join(',\n        ') }},
        0 as billed_usd,
        cost_usd as usage_usd
    from usage_costs
    union all
    -- No gateway has seen what it was for.
    select
        billing_period,
        billed_by,
        line_type,
        coalesce(commitment, '') as commitment,
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

-- What the provider's usage costs more than is billed for it, the commitments of the month have paid.
covered as (
    select
        billing_period,
        billed_by,
        cost_usd as covered_usd
    from usage_costs
    union all
    select
        billing_period,
        billed_by,
        -billed_usd as covered_usd
    from allocations
    where slice_date is not null and charge_category in ('Usage', 'Adjustment')
),

covered_months as (
    select
        billing_period,
        billed_by,
        greatest(sum(covered_usd), 0) as covered_usd
    from covered
    group by billing_period, billed_by
),

committed_months as (
    select
        billing_period,
        billed_by,
        sum(billed_usd) as committed_usd
    from allocations
    where commitment = 'commitment'
    group by billing_period, billed_by
),

unused_months as (
    select
        committed_months.billing_period,
        committed_months.billed_by,
        committed_months.committed_usd,
        committed_months.committed_usd - coalesce(covered_months.covered_usd, 0) as unused_usd
    from committed_months
    left join covered_months
        on
            committed_months.billing_period = covered_months.billing_period
            and committed_months.billed_by = covered_months.billed_by
    where committed_months.committed_usd > coalesce(covered_months.covered_usd, 0)
),

committed as (
    select
        billing_period,
        billed_by,
        line_type,
        allocation_method,
        {{ owner | join(',\n        ') }},
        sum(billed_usd) as billed_usd,
        cast(ceil(greatest(sum(billed_usd), 0) * 1000000) as {{ dbt.type_bigint() }}) as weight
    from parts
    where commitment = 'commitment'
    group by billing_period, billed_by, line_type, allocation_method, {{ owner | join(', ') }}
),

weighed as (
    select
        *,
        cast(sum(weight) over (partition by billing_period, billed_by) as {{ dbt.type_bigint() }}) as total_weight,
        row_number() over (
            partition by billing_period, billed_by
            order by weight desc, allocation_method, {{ owner | join(', ') }}
        ) as share_rank
    from committed
),

-- Who pays a commitment pays the same part of what is left of it.
unused_shares as (
    select
        weighed.*,
        unused_months.unused_usd,
        case
            when unused_months.unused_usd = unused_months.committed_usd then weighed.billed_usd
            else {{ llm_spend.share_of('unused_months.unused_usd', 'weighed.weight', 'weighed.total_weight') }}
        end as share_usd
    from weighed
    inner join unused_months
        on weighed.billing_period = unused_months.billing_period and weighed.billed_by = unused_months.billed_by
),

unused as (
    select
        *,
        share_usd + case
            when share_rank = 1 then unused_usd - sum(share_usd) over (partition by billing_period, billed_by)
            else 0
        end as exact_unused_usd
    from unused_shares
),

split_parts as (
    select
        billing_period,
        line_type,
        case when commitment = 'unused_commitment' then commitment else allocation_method end as allocation_method,
        {{ owner | join(',\n        ') }},
        billed_usd,
        usage_usd
    from parts
    union all
    select
        billing_period,
        line_type,
        allocation_method,
        {{ owner | join(',\n        ') }},
        -exact_unused_usd as billed_usd,
        0 as usage_usd
    from unused
    union all
    select
        billing_period,
        line_type,
        'unused_commitment' as allocation_method,
        {{ owner | join(',\n        ') }},
        exact_unused_usd as billed_usd,
        0 as usage_usd
    from unused
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
    from split_parts
    group by billing_period, line_type, allocation_method, {{ owner | join(', ') }}
    having sum(split_parts.billed_usd) <> 0 or sum(split_parts.usage_usd) <> 0
)

select * from final
