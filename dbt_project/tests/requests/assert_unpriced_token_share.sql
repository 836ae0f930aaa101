-- Months in which more tokens than llm_spend_unpriced_token_share_limit allows have no price: what they cost is missing
-- from every total. One row a model, with the line to paste (seed_line; docs of llm_unpriced_models). Usage that nobody
-- measured, or that contradicts itself, is no matter of prices and not counted; nor are the models of unpriced_models.
-- It reads llm_unpriced_models, which nothing is made from: what dbt skips behind a failed test is nothing then.
{{ config(severity='error') }}

with known_gaps as (
    select
        models.resolved_model,
        gaps.valid_from,
        gaps.valid_to
    from (select distinct resolved_model from {{ ref('llm_unpriced_models') }}) as models
    inner join {{ ref('stg_prices__unpriced_models') }} as gaps
        on {{ matches_pattern('lower(models.resolved_model)', 'gaps.model_pattern') }}
),

days as (
    select
        *,
        cast(usage_date as {{ type_timestamp() }}) as starts_at,
        coalesce(resolved_model, '(unknown)') as logged_model
    from {{ ref('int_requests_daily') }}
    where is_of_record
),

models as (
    select
        billing_period,
        source_system,
        coalesce(provider, '(unknown)') as provider,
        coalesce(channel, '(unknown)') as channel,
        logged_model as resolved_model,
        coalesce(model_id, '(unresolved)') as model_id,
        sum(unpriced_tokens) as unpriced_tokens
    from days
    where
        price_status = 'unpriced'
        and not exists (
            select 1 from known_gaps
            where
                known_gaps.resolved_model = days.logged_model
                and days.starts_at >= known_gaps.valid_from
                and days.starts_at < known_gaps.valid_to
        )
    group by 1, 2, 3, 4, 5, 6
),

unpriced_months as (
    select
        billing_period,
        sum(unpriced_tokens) as unpriced_tokens
    from models
    group by billing_period
),

months as (
    select
        billing_period,
        sum(total_tokens) as total_tokens
    from days
    group by billing_period
),

final as (
    select
        models.billing_period,
        models.resolved_model,
        models.unpriced_tokens,
        unpriced_months.unpriced_tokens as unpriced_tokens_of_month,
        months.total_tokens as tokens_of_month,
        remedies.seed_file,
        remedies.seed_line
    from models
    inner join unpriced_months on models.billing_period = unpriced_months.billing_period
    inner join months on models.billing_period = months.billing_period
    inner join {{ ref('llm_unpriced_models') }} as remedies
        on
            models.source_system = remedies.source_system
            and models.provider = remedies.provider
            and models.channel = remedies.channel
            and models.resolved_model = remedies.resolved_model
            and models.model_id = remedies.model_id
            and remedies.price_status = 'unpriced'
    where
        models.unpriced_tokens > 0
        and unpriced_months.unpriced_tokens
        > months.total_tokens * cast('{{ var("llm_spend_unpriced_token_share_limit") }}' as {{ type_decimal(18, 6) }})
)

select * from final
-- A build shows the first rows: those that miss most.
order by unpriced_tokens desc, resolved_model
