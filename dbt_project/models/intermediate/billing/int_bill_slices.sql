{% set owner = llm_spend.bill_slice_owner() %}
{% set slice = llm_spend.bill_slice_columns() %}
{% set slices = llm_spend.bill_slices() %}
{% set classes = llm_spend.token_classes() | map(attribute='name') | list %}

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

charges as (
    select * from {{ ref('int_bill_charges') }}
    where is_charged and model is not null and token_class is not null
),

pools as (
    select * from {{ ref('int_bill_pools') }}
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
    from pools
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
        {% for class in classes -%}
        coalesce(requests.{{ class }}_cost_usd, 0) as {{ class }}_cost_usd,
        requests.{{ class }}_tokens,
        {% endfor -%}
        requests.unpriced_requests
    from requests
    inner join days_of_pools
        on {{ llm_spend.is_billed_day('requests', 'days_of_pools') }}
),

-- Classes of tokens that bills have lines of, and no others.
billed_classes as (
    select distinct
        case when charges.is_of_one_day then 'bill_by_day_model_and_class' else 'bill_by_month_model_and_class' end
            as allocation_method,
        charges.billing_period,
        charges.provider as billed_by,
        pools.pool_of_caller as pool,
        case when charges.is_of_one_day then charges.cost_date else charges.billing_period end as slice_date,
        charges.model as slice_model,
        charges.token_class as slice_class
    from charges
    inner join pools
        on {{ llm_spend.is_called_by('charges', 'pools') | indent(12) }}
),

known_classes as (
    select
        {% for class in ['cache_read', 'cache_write'] -%}
        max(case when slice_class = '{{ class }}' then 1 else 0 end)
            over (partition by {{ slice | reject('equalto', 'slice_class') | join(', ') }})
        = 1 as has_{{ class }},
        {% endfor -%}
        {{ slice | join(',\n        ') }}
    from billed_classes
),

-- Input that the bill has no line of its own for is in its line of input.
classed as (
    {% for method, parts in slices.items() if parts.has_class -%}
    select
        {{ llm_spend.columns_of('known_classes', slice) }},
        {% for measure in ['cost_usd', 'tokens'] -%}
        case known_classes.slice_class
            when 'uncached_input'
                then
                    billed.uncached_input_{{ measure }}
                    {%- for class in ['cache_read', 'cache_write'] %}
                    + case when known_classes.has_{{ class }} then 0 else billed.{{ class }}_{{ measure }} end
                    {%- endfor %}
            when 'cache_read' then billed.cache_read_{{ measure }}
            when 'cache_write' then billed.cache_write_{{ measure }}
            when 'output' then billed.output_{{ measure }}
        end as {{ measure }},
        {% endfor -%}
        {{ llm_spend.columns_of('billed', owner) }}
    from billed
    inner join known_classes
        on
            known_classes.allocation_method = '{{ method }}'
            and billed.billing_period = known_classes.billing_period
            and billed.billed_by = known_classes.billed_by
            and billed.pool = known_classes.pool
            and billed.{{ 'usage_date' if parts.span == 'day' else 'billing_period' }} = known_classes.slice_date
            and billed.model = known_classes.slice_model
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

sliced as (
    {% for method, parts in slices.items() if not parts.has_class -%}
    select
        '{{ method }}' as allocation_method,
        billing_period,
        billed_by,
        pool,
        {{ 'usage_date' if parts.span == 'day' else 'billing_period' }} as slice_date,
        {{ 'model' if parts.has_model else "''" }} as slice_model,
        '' as slice_class,
        {{ owner | join(',\n        ') }},
        cost_usd,
        total_tokens as tokens,
        unpriced_requests
    from billed
    {{ "where pool not like 'whole|%'" if parts.span == 'day' }}
    union all
    {% endfor -%}
    -- A class that nobody counted tokens of has no usage.
    select
        {{ (slice + owner) | join(',\n        ') }},
        cost_usd,
        tokens,
        0 as unpriced_requests
    from classed
),

measured as (
    select
        {{ (slice + owner) | join(',\n        ') }},
        coalesce(sum(cost_usd), 0) as cost_usd,
        -- Millionths of a USD, begun ones too: whole numbers are shared out alike on every warehouse.
        cast(ceil(greatest(coalesce(sum(cost_usd), 0), 0) * 1000000) as {{ dbt.type_bigint() }}) as cost_weight,
        cast(sum(tokens) as {{ dbt.type_bigint() }}) as tokens,
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
            and measured.slice_class = totals.slice_class
)

select * from final
