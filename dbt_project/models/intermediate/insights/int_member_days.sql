{{ config(**llm_spend.by_usage_date()) }}

{% set counts = [
    'attempts', 'failed_attempts', 'input_tokens', 'cache_read_tokens', 'priced_tokens', 'unpriced_requests',
    'unpriced_tokens'
] %}

with dates_to_build as (
    {{ dates_to_build() }}
),

crossed as (
    select * from {{ ref('int_member_days_crossed') }}
    where {{ is_to_build() }}
),

members as (
    {% for member_type, column in insight_members().items() -%}
    select
        usage_date,
        '{{ member_type }}' as member_type,
        {{ column or "'(all)'" }} as member_id,
        {% for each in counts -%}
        cast(sum({{ each }}) as {{ dbt.type_bigint() }}) as {{ each }},
        {% endfor -%}
        cast(sum(cost_usd) as {{ type_money() }}) as cost_usd
    from crossed
    {% if member_type == 'api_key' -%}
    where api_key_id is not null
    {% endif -%}
    group by usage_date{{ ', ' ~ column if column }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

final as (
    select
        members.*,
        dates_to_build.date_version
    from members
    inner join dates_to_build on members.usage_date = dates_to_build.usage_date
)

select * from final
