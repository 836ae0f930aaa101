{{ config(**llm_spend.by_usage_date()) }}

{% set place = ['usage_date', 'source_system', 'team_id', 'environment'] %}
{% set measured_columns = place + ['is_final_attempt', 'cost_usd', 'total_tokens'] %}
{% set owners = {'all': 'true'} %}
{% for dimension in owner_dimensions() %}
{% do owners.update({dimension: dimension ~ "_attribution = 'tag'"}) %}
{% endfor %}

with dates_to_build as (
    {{ dates_to_build() }}
),

requests as (
    select
        {{ measured_columns | join(',\n        ') }},
        {{ metadata_map('metadata') }} as metadata_map
    from {{ ref('fct_llm_requests') }}
    where {{ is_to_build() }} and is_of_record
),

tags as (
    {{ unnest_map('requests', 'metadata_map', measured_columns) }}
),

keys_of_dates as (
    select
        usage_date,
        tag_key,
        max(values_of_key) as values_of_key,
        row_number() over (partition by usage_date order by sum(attempts) desc, tag_key) as place_of_key
    from {{ ref('llm_usage_by_tag_daily') }}
    where {{ is_to_build() }} and substr(tag_key, 1, 1) <> '('
    group by usage_date, tag_key
),

bounded as (
    select
        {{ columns_of('tags', measured_columns) }},
        tags.tag_key,
        case
            when keys_of_dates.values_of_key > {{ most_tag_values() }} then {{ too_many_values() }}
            else tags.tag_value
        end as tag_value,
        length(tags.tag_value) >= {{ longest_tag_value() }} as is_long
    from tags
    inner join keys_of_dates
        on tags.usage_date = keys_of_dates.usage_date and tags.tag_key = keys_of_dates.tag_key
    where {{ is_tag('tags.tag_value') }} and keys_of_dates.place_of_key <= {{ most_tag_keys() }}
),

-- Tags are not needed for these: the fact knows what they said.
owned as (
    select
        {% for owner, is_owned in owners.items() -%}
        sum(case when {{ is_owned }} then 1 else 0 end) as {{ owner }}_attempts,
        sum(case when {{ is_owned }} and is_final_attempt then 1 else 0 end) as {{ owner }}_requests,
        sum(case when {{ is_owned }} then cost_usd end) as {{ owner }}_cost_usd,
        sum(case when {{ is_owned }} and cost_usd is null then 1 else 0 end) as {{ owner }}_unpriced_requests,
        sum(case when {{ is_owned }} and cost_usd is null then total_tokens else 0 end) as {{ owner }}_unpriced_tokens,
        {% endfor -%}
        {{ place | join(',\n        ') }}
    from {{ ref('fct_llm_requests') }}
    where {{ is_to_build() }} and is_of_record
    group by {{ place | join(', ') }}
),

measured as (
    select
        {{ place | join(',\n        ') }},
        count(*) as attempts,
        sum(case when is_final_attempt then 1 else 0 end) as requests,
        sum(cost_usd) as cost_usd,
        sum(case when cost_usd is null then 1 else 0 end) as unpriced_requests,
        sum(case when cost_usd is null then coalesce(total_tokens, 0) else 0 end) as unpriced_tokens,
        tag_key,
        tag_value,
        is_long
    from bounded
    group by {{ place | join(', ') }}, tag_key, tag_value, is_long
    {% for owner in owners -%}
    union all
    select
        {{ place | join(',\n        ') }},
        {{ owner }}_attempts as attempts,
        {{ owner }}_requests as requests,
        {{ owner }}_cost_usd as cost_usd,
        {{ owner }}_unpriced_requests as unpriced_requests,
        coalesce({{ owner }}_unpriced_tokens, 0) as unpriced_tokens,
        {{ all_requests() if owner == 'all' else owner_key(owner) }} as tag_key,
        '(all)' as tag_value,
        false as is_long
    from owned
    where {{ owner }}_attempts > 0
    {% endfor -%}
),

final as (
    select
        {{ columns_of('measured', place) }},
        tag_key,
        tag_value,
        is_long,
        cast(attempts as {{ dbt.type_bigint() }}) as attempts,
        cast(requests as {{ dbt.type_bigint() }}) as requests,
        cast(cost_usd as {{ type_money() }}) as cost_usd,
        cast(unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
