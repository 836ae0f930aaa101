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
    where {{ is_to_build() }} and is_of_record
),

tags as (
    {{ unnest_map('requests', 'metadata_map', measured_columns) }}
),

values_alone as (
    {{ unnest_map('requests', 'metadata_map', ['usage_date']) }}
),

-- Counted before anything is summed: a session id would else make a group of all measures for every request. By hash,
-- which could count one value too few in a million days of ten million values.
tag_keys as (
    select
        usage_date,
        tag_key,
        count(distinct {{ llm_spend.short_hash('tag_value') }}) as values_of_key
    from values_alone
    where {{ is_tag('tag_value') }}
    group by usage_date, tag_key
),

-- A session id is a tag too, but a row per session is no summary: such keys keep one row a day.
bounded as (
    select
        tags.*,
        tag_keys.values_of_key,
        case
            when tag_keys.values_of_key > {{ var('llm_spend_tag_cardinality_limit') }} then {{ too_many_values() }}
            else tags.tag_value
        end as bounded_tag_value
    from tags
    inner join tag_keys on tags.usage_date = tag_keys.usage_date and tags.tag_key = tag_keys.tag_key
    where {{ is_tag('tag_value') }}
),

measured as (
    select
        usage_date,
        tag_key,
        bounded_tag_value,
        values_of_key,
        {{ usage_measures() }}
    from bounded
    group by usage_date, tag_key, bounded_tag_value, values_of_key
),

final as (
    select
        measured.usage_date,
        tag_key,
        bounded_tag_value as tag_value,
        cast(values_of_key as {{ dbt.type_bigint() }}) as values_of_key,
        {{ usage_columns() }},
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
