{{ config(**llm_spend.by_usage_date()) }}

{% set members = ['provider', 'channel', 'model_id', 'cost_center_id', 'team_id', 'is_of_record'] %}
{% set meters = ['uncached_input_tokens', 'cache_read_tokens', 'cache_write_tokens', 'output_tokens'] %}

with dates_to_build as (
    {{ llm_spend.dates_to_build() }}
),

requests as (
    select
        *,
        coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0) as cache_write_tokens,
        -- The gateway's own cache answered: no provider worked on it.
        case when coalesce(is_gateway_cache_hit, false) then 0 else 1 end as is_provided
    from {{ ref('fct_llm_requests') }}
    where {{ llm_spend.is_to_build() }}
),

measured as (
    select
        usage_date,
        {{ members | join(',\n        ') }},
        count(*) as attempts,
        sum(is_provided * coalesce(total_tokens, 0)) as total_tokens,
        {% for meter in meters -%}
        sum(is_provided * coalesce({{ meter }}, 0)) as {{ meter }},
        {% endfor -%}
        sum(list_cost_usd) as list_cost_usd,
        sum(cost_usd) as cost_usd
    from requests
    group by usage_date, {{ members | join(', ') }}
),

final as (
    select
        measured.usage_date,
        {{ llm_spend.columns_of('measured', members) }},
        cast(measured.attempts as {{ dbt.type_bigint() }}) as attempts,
        cast(measured.total_tokens as {{ dbt.type_bigint() }}) as total_tokens,
        {% for meter in meters -%}
        cast(measured.{{ meter }} as {{ dbt.type_bigint() }}) as {{ meter }},
        {% endfor -%}
        cast(measured.list_cost_usd as {{ llm_spend.type_money() }}) as list_cost_usd,
        cast(measured.cost_usd as {{ llm_spend.type_money() }}) as cost_usd,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
