with requests as (
    select * from {{ ref('llm_spend', 'fct_llm_requests') }}
),

final as (
    select
        cost_center_id,
        source_system,
        count(*) as attempts,
        sum(total_tokens) as total_tokens,
        cast(sum(cost_usd) as {{ llm_spend.type_money() }}) as cost_usd
    from requests
    group by cost_center_id, source_system
)

select * from final
