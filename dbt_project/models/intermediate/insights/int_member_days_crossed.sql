{{ config(**llm_spend.by_usage_date()) }}

{% set members = ['user_id', 'team_id', 'feature_id', 'customer_id', 'model_id', 'api_key_id'] %}

with dates_to_build as (
    {{ dates_to_build() }}
),

requests as (
    select
        usage_date,
        user_id,
        team_id,
        feature_id,
        customer_id,
        coalesce(model_id, '(unresolved)') as model_id,
        -- Either is what a program calls with.
        coalesce(api_key_id, virtual_account) as api_key_id,
        status,
        -- Tokens that the gateway's own cache replayed are nobody's work.
        case when coalesce(is_gateway_cache_hit, false) then 0 else 1 end as is_provided,
        input_tokens,
        cache_read_tokens,
        total_tokens,
        cost_usd
    from {{ ref('fct_llm_requests') }}
    where {{ is_to_build() }} and is_of_record
),

measured as (
    select
        usage_date,
        {{ members | join(',\n        ') }},
        count(*) as attempts,
        sum(case when status = 'error' then 1 else 0 end) as failed_attempts,
        sum(is_provided * coalesce(input_tokens, 0)) as input_tokens,
        sum(is_provided * coalesce(cache_read_tokens, 0)) as cache_read_tokens,
        sum(case when cost_usd is null then 0 else is_provided * coalesce(total_tokens, 0) end) as priced_tokens,
        sum(cost_usd) as cost_usd,
        sum(case when cost_usd is null then 1 else 0 end) as unpriced_requests,
        sum(case when cost_usd is null then coalesce(total_tokens, 0) else 0 end) as unpriced_tokens
    from requests
    group by usage_date, {{ members | join(', ') }}
),

final as (
    select
        measured.usage_date,
        {{ members | join(',\n        ') }},
        cast(attempts as {{ dbt.type_bigint() }}) as attempts,
        cast(failed_attempts as {{ dbt.type_bigint() }}) as failed_attempts,
        cast(input_tokens as {{ dbt.type_bigint() }}) as input_tokens,
        cast(cache_read_tokens as {{ dbt.type_bigint() }}) as cache_read_tokens,
        cast(priced_tokens as {{ dbt.type_bigint() }}) as priced_tokens,
        cast(cost_usd as {{ type_money() }}) as cost_usd,
        cast(unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
