{% set slices = llm_spend.bill_slices() %}

with charges as (
    select * from {{ ref('int_bill_charges') }}
    where is_charged and billed_usd is not null
),

pools as (
    select distinct
        charges.cost_key,
        bill_pools.pool_of_caller as pool
    from charges
    inner join {{ ref('int_bill_pools') }} as bill_pools
        on {{ llm_spend.is_called_by('charges', 'bill_pools') | indent(12) }}
    where charges.origin <> 'seat'
),

billed_days as (
    select distinct
        provider,
        pool,
        usage_date
    from {{ ref('int_billed_days') }}
),

slices as (
    select distinct {{ llm_spend.bill_slice_columns() | join(', ') }}
    from {{ ref('int_bill_slices') }}
    where slice_weight > 0
),

owners as (
    select * from {{ ref('stg_mapping__provider_owners') }}
),

teams as (
    select * from {{ ref('stg_mapping__org_teams') }}
),

-- Whoever is named most closely: key, user, project, account.
ranked_owners as (
    select
        charges.cost_key,
        owners.team_id,
        owners.cost_center_id,
        row_number() over (
            partition by charges.cost_key
            order by
                case when owners.api_key_id is null then 1 else 0 end,
                case when owners.user_id is null then 1 else 0 end,
                case when owners.project_id is null then 1 else 0 end,
                case when owners.provider_instance is null then 1 else 0 end
        ) as choice
    from charges
    inner join owners
        on
            charges.provider = owners.provider
            and charges.account = coalesce(owners.provider_instance, charges.account)
            and charges.project = coalesce(owners.project_id, charges.project)
            and charges.api_key = coalesce(owners.api_key_id, charges.api_key)
            and coalesce(charges.user_id, '') = coalesce(owners.user_id, charges.user_id, '')
            and charges.cost_date >= owners.valid_from
            and charges.cost_date < owners.valid_to
),

placed as (
    select
        charges.*,
        pools.pool,
        billed_days.usage_date is not null as is_complete,
        case
            when charges.team_id is not null or charges.cost_center_id is not null then 'owner_of_seat'
            when ranked_owners.cost_key is not null then 'owner_of_key'
            else 'unallocated'
        end as owner_method,
        case
            when charges.team_id is null and charges.cost_center_id is null then ranked_owners.team_id
            else charges.team_id
        end as owner_team_id,
        case
            when charges.team_id is null and charges.cost_center_id is null then ranked_owners.cost_center_id
            else charges.cost_center_id
        end as owner_cost_center_id,
        case
            {%- for method, slice in slices.items() %}
            when
                {{ method }}.pool is not null
                {{ 'and charges.is_of_one_day' if slice.span == 'day' }}
                {{ 'and not charges.is_of_one_day' if slice.span == 'month' and slice.has_model }}
                then '{{ method }}'
            {%- endfor %}
        end as slice_method
    from charges
    left join pools on charges.cost_key = pools.cost_key
    left join billed_days
        on
            charges.provider = billed_days.provider
            and pools.pool = billed_days.pool
            and charges.cost_date = billed_days.usage_date
    left join ranked_owners
        on charges.cost_key = ranked_owners.cost_key and ranked_owners.choice = 1
    {%- for method, slice in slices.items() %}
    left join slices as {{ method }}
        on
            {{ method }}.allocation_method = '{{ method }}'
            and {{ method }}.billing_period = charges.billing_period
            and {{ method }}.billed_by = charges.provider
            and {{ method }}.pool = pools.pool
            and {{ method }}.slice_date = {{ 'charges.cost_date' if slice.span == 'day' else 'charges.billing_period' }}
            and {{ method }}.slice_model = {{ 'charges.model' if slice.has_model else "''" }}
            and {{ method }}.slice_class = {{ 'charges.token_class' if slice.has_class else "''" }}
    {%- endfor %}
),

judged as (
    select
        *,
        case
            -- What is paid whether it is used or not is its owner's, if it has one.
            when charge_category = 'Purchase' and owner_method <> 'unallocated' then owner_method
            when charge_category = 'Usage' and caller = {{ whole_account() }} and pool is not null
                then coalesce(slice_method, 'waiting')
            when charge_category = 'Usage' and pool is not null and not is_complete then 'waiting'
            else coalesce(slice_method, owner_method)
        end as allocation_method
    from placed
),

final as (
    select
        judged.cost_key,
        judged.billing_period,
        judged.provider as billed_by,
        judged.account,
        judged.cost_date,
        judged.charge_category,
        judged.line_type,
        judged.commitment,
        judged.allocation_method,
        judged.model_id,
        judged.pool,
        {% for part in ['date', 'model', 'class'] -%}
        case judged.allocation_method
            {%- for method, slice in slices.items() %}
            when '{{ method }}' then {{ {
                'date': 'judged.cost_date' if slice.span == 'day' else 'judged.billing_period',
                'model': 'judged.model' if slice.has_model else "''",
                'class': 'judged.token_class' if slice.has_class else "''"
            }[part] }}
            {%- endfor %}
        end as slice_{{ part }},
        {% endfor -%}
        case when judged.allocation_method like 'owner_%' then judged.owner_team_id end as team_id,
        case
            when judged.allocation_method like 'owner_%'
                then coalesce(judged.owner_cost_center_id, teams.cost_center_id)
        end as cost_center_id,
        judged.billed_usd
    from judged
    left join teams
        on
            judged.owner_team_id = teams.team_id
            and judged.cost_date >= teams.valid_from
            and judged.cost_date < teams.valid_to
)

select * from final
