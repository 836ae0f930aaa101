{{ config(**llm_spend.by_usage_date()) }}

{% set members = [
    'source_system', 'source_instance', 'provider', 'channel', 'resolved_model', 'model_id', 'cost_center_id', 'team_id',
    'price_status', 'is_of_record'
] %}
{% set meters = ['uncached_input_tokens', 'cache_read_tokens', 'cache_write_tokens', 'output_tokens'] %}
{% set class_costs = llm_spend.token_classes() | map(attribute='cost') | list %}

with dates_to_build as (
    {{ dates_to_build() }}
),

month_starts as (
    select * from {{ ref('int_month_starts') }}
),

requests as (
    select
        facts.*,
        -- Where a chargeback month begins within the date; most dates, and in UTC all, have no row in month_starts.
        coalesce(facts.started_at < month_starts.starts_at, false) as is_of_month_before,
        coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0) as cache_write_tokens,
        -- The gateway's own cache answered: no provider worked on it.
        case when coalesce(is_gateway_cache_hit, false) then 0 else 1 end as is_provided,
        -- A request that cost nothing has its reason there (cache_hit, not_billed), not a price list.
        case when cost_usd <> 0 then cost_basis end as paid_basis
    from {{ ref('fct_llm_requests') }} as facts
    left join month_starts on facts.usage_date = month_starts.usage_date
    where {{ is_to_build('facts.usage_date') }}
),

measured as (
    select
        usage_date,
        is_of_month_before,
        {{ members | join(',\n        ') }},
        count(*) as attempts,
        sum(is_provided * coalesce(total_tokens, 0)) as total_tokens,
        {% for meter in meters -%}
        sum(is_provided * coalesce({{ meter }}, 0)) as {{ meter }},
        {% endfor -%}
        sum(list_cost_usd) as list_cost_usd,
        sum(cost_usd) as cost_usd,
        {% for cost in class_costs -%}
        sum({{ cost }}) as {{ cost }},
        {% endfor -%}
        sum(total_tokens) as logged_tokens,
        sum(gateway_reported_usd) as gateway_reported_usd,
        min(paid_basis) as first_cost_basis,
        max(paid_basis) as last_cost_basis,
        sum(case when cost_usd is null then 1 else 0 end) as unpriced_requests,
        sum(case when cost_usd is null then coalesce(total_tokens, 0) else 0 end) as unpriced_tokens,
        sum(case when cost_usd is null then coalesce(output_tokens, 0) else 0 end) as unpriced_output_tokens,
        sum(case when cost_usd is null then gateway_reported_usd end) as unpriced_gateway_usd,
        sum(case when token_quality = 'missing_usage' and status = 'success' then 1 else 0 end)
            as attempts_without_usage,
        sum(case when is_metadata_unreadable then 1 else 0 end) as attempts_with_unreadable_metadata,
        sum(case when is_gateway_cache_hit is null then 1 else 0 end) as attempts_of_unknown_cache_status,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at,
        max(loaded_at) as last_loaded_at
    from requests
    group by usage_date, is_of_month_before, {{ members | join(', ') }}
),

final as (
    select
        measured.usage_date,
        case
            when measured.is_of_month_before then {{ llm_spend.month_before('month_starts.billing_period') }}
            else coalesce(month_starts.billing_period, {{ llm_spend.month_start('measured.usage_date') }})
        end as billing_period,
        {{ members | join(',\n        ') }},
        cast(attempts as {{ dbt.type_bigint() }}) as attempts,
        cast(total_tokens as {{ dbt.type_bigint() }}) as total_tokens,
        {% for meter in meters -%}
        cast({{ meter }} as {{ dbt.type_bigint() }}) as {{ meter }},
        {% endfor -%}
        cast(list_cost_usd as {{ type_money() }}) as list_cost_usd,
        cast(cost_usd as {{ type_money() }}) as cost_usd,
        {% for cost in class_costs -%}
        cast({{ cost }} as {{ type_money() }}) as {{ cost }},
        {% endfor -%}
        cast(logged_tokens as {{ dbt.type_bigint() }}) as logged_tokens,
        cast(gateway_reported_usd as {{ type_money() }}) as gateway_reported_usd,
        first_cost_basis,
        last_cost_basis,
        cast(unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(unpriced_output_tokens as {{ dbt.type_bigint() }}) as unpriced_output_tokens,
        cast(unpriced_gateway_usd as {{ type_money() }}) as unpriced_gateway_usd,
        cast(attempts_without_usage as {{ dbt.type_bigint() }}) as attempts_without_usage,
        cast(attempts_with_unreadable_metadata as {{ dbt.type_bigint() }}) as attempts_with_unreadable_metadata,
        cast(attempts_of_unknown_cache_status as {{ dbt.type_bigint() }}) as attempts_of_unknown_cache_status,
        first_seen_at,
        last_seen_at,
        last_loaded_at,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
    left join month_starts on measured.usage_date = month_starts.usage_date
)

select * from final
