{{ config(**llm_spend.by_usage_date()) }}

with dates_to_build as (
    {{ dates_to_build() }}
),

requests as (
    select
        usage_date,
        customer_id,
        coalesce(model_id, '(unresolved)') as model_id,
        total_tokens
    from {{ ref('fct_llm_requests') }}
    where
        {{ is_to_build() }}
        and is_of_record
        and not coalesce(is_gateway_cache_hit, false)
        and total_tokens > 0
        and customer_id <> {{ unallocated() }}
),

measured as (
    select
        usage_date,
        customer_id,
        model_id,
        sum(total_tokens) as total_tokens
    from requests
    group by usage_date, customer_id, model_id
),

final as (
    select
        measured.usage_date,
        measured.customer_id,
        measured.model_id,
        cast(measured.total_tokens as {{ dbt.type_bigint() }}) as total_tokens,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
