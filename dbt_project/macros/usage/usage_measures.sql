{#
    The measures of every usage mart, one select item a line. Written once, so that every mart counts alike.

    - A logical request counts once, at its last attempt; an attempt is a call that the gateway made.
    - Tokens are those that a provider worked on: a gateway's own cache hit replays tokens that nobody bills.
    - cost_usd leaves out what has no known cost; unpriced_requests and unpriced_tokens say how much that is.
#}
{% macro usage_measures() %}
        cast(sum(case when is_final_attempt then 1 else 0 end) as {{ dbt.type_bigint() }}) as requests,
        cast(count(*) as {{ dbt.type_bigint() }}) as attempts,
        cast(sum(case when is_final_attempt and status = 'error' then 1 else 0 end) as {{ dbt.type_bigint() }}) as errors,
        cast(sum(case when is_final_attempt and status like 'blocked%' then 1 else 0 end) as {{ dbt.type_bigint() }})
            as blocked_requests,
        cast(sum(case when is_gateway_cache_hit then 1 else 0 end) as {{ dbt.type_bigint() }}) as cache_hits,
        {% for bucket in ['input', 'output', 'cache_read', 'total'] -%}
        cast(sum(case when coalesce(is_gateway_cache_hit, false) then 0 else coalesce({{ bucket }}_tokens, 0) end) as {{ dbt.type_bigint() }})
            as {{ bucket }}_tokens,
        {% endfor -%}
        cast(sum(cost_usd) as {{ type_money() }}) as cost_usd,
        cast(sum(gateway_reported_usd) as {{ type_money() }}) as gateway_reported_usd,
        cast(sum(case when cost_usd is null then 1 else 0 end) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(sum(case when cost_usd is null then coalesce(total_tokens, 0) else 0 end) as {{ dbt.type_bigint() }})
            as unpriced_tokens,
        cast(sum(feedback_score) as {{ type_decimal(38, 6) }}) as feedback_score_sum,
        cast(count(feedback_score) as {{ dbt.type_bigint() }}) as requests_with_feedback,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
{% endmacro %}

{# The names of those measures that marts show, with the averages in place of their parts. #}
{% macro usage_columns() %}
        requests,
        attempts,
        errors,
        blocked_requests,
        cache_hits,
        input_tokens,
        output_tokens,
        cache_read_tokens,
        total_tokens,
        cost_usd,
        gateway_reported_usd,
        unpriced_requests,
        unpriced_tokens,
        {{ whole_ratio('total_tokens', 'requests') }} as avg_tokens,
        {{ whole_ratio('cast(feedback_score_sum * 1000000 as ' ~ dbt.type_bigint() ~ ')', 'requests_with_feedback * 1000000') }}
            as avg_weighted_feedback,
        requests_with_feedback,
        first_seen_at,
        last_seen_at
{% endmacro %}

{#
    A usage mart: one row per usage date and member. keys: the fact's columns that name the member; unknown: for a key
    that can be NULL, the text that stands for it, so that BI tools get no empty member; parts: measures that are shown
    beside the averages made of them; costs: columns of the fact in USD that are added up beside cost_usd.
#}
{% macro usage_by(keys, unknown={}, parts=[], costs=[]) %}
with dates_to_build as (
    {{ dates_to_build() }}
),

requests as (
    select
        *,
        {%- for key in keys %}
        {% if key in unknown %}coalesce({{ key }}, '{{ unknown[key] }}'){% else %}{{ key }}{% endif %} as member_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('fct_llm_requests') }}
    where {{ is_to_build() }} and is_of_record
),

measured as (
    select
        usage_date,
        {%- for key in keys %}
        member_{{ loop.index }} as {{ key }},
        {%- endfor %}
        {%- for cost in costs %}
        cast(sum({{ cost }}) as {{ type_money() }}) as {{ cost }},
        {%- endfor %}
{{ usage_measures() }}
    from requests
    group by usage_date{% for key in keys %}, member_{{ loop.index }}{% endfor %}
),

final as (
    select
        measured.usage_date,
        {{ keys | join(',\n        ') }},
{{ usage_columns() }},
        {%- for part in costs + parts %}
        {{ part }},
        {%- endfor %}
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
{% endmacro %}
