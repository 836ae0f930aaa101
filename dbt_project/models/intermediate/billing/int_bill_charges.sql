{% set charged = "'" ~ var('llm_spend_bill_charges') | join("', '") ~ "'" %}
{% set day_after = 'cast(' ~ dbt.dateadd('day', 1, 'cost_date') ~ ' as date)' %}

with costs as (
    select * from {{ ref('fct_llm_provider_costs') }}
    where profile = 'primary'
),

dated as (
    select
        *,
        case when origin in ('invoice', 'invoice_difference') then billing_period else cost_date end as covers_from,
        case
            when origin in ('invoice', 'invoice_difference') then {{ llm_spend.month_after('billing_period') }}
            else greatest(cast(bucket_end as date), {{ day_after }})
        end as covers_to
    from costs
),

callers as (
    select
        *,
        -- `*` stands for a dimension that was not asked for: the charge may be of any.
        coalesce(
            project_id,
            case
                when {{ llm_spend.names_dimension('dated.grouping', 'project_id') }} then '(none)'
                else '*'
            end
        ) as project,
        coalesce(
            api_key_id,
            case
                when {{ llm_spend.names_dimension('dated.grouping', 'api_key_id') }} then '(none)'
                else '*'
            end
        ) as api_key,
        covers_to = {{ day_after }} and covers_from = cost_date as is_of_one_day
    from dated
),

final as (
    select
        cost_key,
        billing_period,
        provider,
        source_instance as account,
        source_system,
        load_id,
        project,
        api_key,
        case
            when project = '*' and api_key = '*' and not is_of_one_day then {{ whole_account() }}
            else project || '|' || api_key
        end as caller,
        lower(user_id) as user_id,
        team_id,
        cost_center_id,
        cost_date,
        covers_from,
        covers_to,
        is_of_one_day,
        coalesce(model_id, lower(resolved_model)) as model,
        {{ llm_spend.token_class('token_type') | indent(8) }} as token_class,
        case
            when resolved_model is null and model_id is null then '(none)' else coalesce(model_id, '(unresolved)')
        end as model_id,
        charge_category,
        origin,
        case charge_category when 'Purchase' then 'commitment' when 'Credit' then 'credit' else 'true_up' end
            as line_type,
        case
            when charge_category = 'Purchase' and lower(cost_type) in ('commitment', 'unused_commitment')
                then lower(cost_type)
        end as commitment,
        billed_usd,
        is_of_record and charge_category in ({{ charged }}) as is_charged
    from callers
    -- What was asked for before its days were over is half a bill. Invoices and seats are known at once.
    where
        asked_at is null
        or origin in ('invoice', 'invoice_difference', 'seat')
        or asked_at >= cast(covers_to as {{ llm_spend.type_timestamp() }})
)

select * from final
