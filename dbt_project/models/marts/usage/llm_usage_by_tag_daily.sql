{{ config(**llm_spend.by_usage_date()) }}

{% set measured_columns = [
    'usage_date', 'is_final_attempt', 'status', 'is_gateway_cache_hit', 'input_tokens', 'output_tokens',
    'cache_read_tokens', 'total_tokens', 'cost_usd', 'gateway_reported_usd', 'feedback_score', 'started_at'
] %}

with dates_to_build as (
    {{ dates_to_build() }}
),

requests as (
    select
        {{ measured_columns | join(', ') }},
        {{ metadata_map('metadata') }} as metadata_map
    from {{ ref('fct_llm_requests') }}
    where usage_date in (select usage_date from dates_to_build)
),

tags as (
    {{ unnest_map('requests', 'metadata_map', measured_columns) }}
),

measured as (
    select
        usage_date,
        tag_key,
        tag_value,
        {{ usage_measures() }}
    from tags
    -- A nested document is no tag, and reads differently on every warehouse.
    where tag_value <> '' and substr(tag_value, 1, 1) not in ('{', '[')
    group by usage_date, tag_key, tag_value
),

counted as (
    select
        *,
        count(*) over (partition by usage_date, tag_key) as values_of_key
    from measured
),

-- A session id is a tag too, but a row per session is no summary: such keys keep one row a day.
named as (
    select
        *,
        case
            when values_of_key > {{ var('llm_spend_tag_cardinality_limit') }} then '(too many values)' else tag_value
        end as bounded_tag_value
    from counted
),

bounded as (
    select
        usage_date,
        tag_key,
        bounded_tag_value,
        max(values_of_key) as values_of_key,
        {% for measure in [
            'requests', 'attempts', 'errors', 'blocked_requests', 'cache_hits', 'input_tokens', 'output_tokens',
            'cache_read_tokens', 'total_tokens', 'unpriced_requests', 'unpriced_tokens', 'requests_with_feedback'
        ] -%}
        cast(sum({{ measure }}) as {{ dbt.type_bigint() }}) as {{ measure }},
        {% endfor -%}
        cast(sum(cost_usd) as {{ type_money() }}) as cost_usd,
        cast(sum(gateway_reported_usd) as {{ type_money() }}) as gateway_reported_usd,
        cast(sum(feedback_score_sum) as {{ type_decimal(38, 6) }}) as feedback_score_sum,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from named
    group by usage_date, tag_key, bounded_tag_value
),

final as (
    select
        bounded.usage_date,
        tag_key,
        bounded_tag_value as tag_value,
        values_of_key,
        {{ usage_columns() }},
        dates_to_build.date_version
    from bounded
    inner join dates_to_build on bounded.usage_date = dates_to_build.usage_date
)

select * from final
