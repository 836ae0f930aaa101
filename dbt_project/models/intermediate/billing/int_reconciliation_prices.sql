{% set key = 'channel, model_id, service_tier, region' %}
{% set prices = [] %}
{% for bucket in llm_spend.token_buckets() %}{% do prices.append(bucket.price) %}{% endfor %}

with price_book as (
    select
        channel,
        model_id,
        service_tier,
        region,
        {% for price in prices -%}
        contract_{{ price }} as {{ price }},
        {% endfor -%}
        valid_from,
        valid_to
    from {{ ref('int_price_book') }}
    where input_tokens_gt = -1 and is_all_week
),

compared as (
    select
        *,
        lag(valid_to) over (partition by {{ key }} order by valid_from) as last_valid_to,
        {% for price in prices -%}
        lag({{ price }}) over (partition by {{ key }} order by valid_from) as last_{{ price }},
        {% endfor -%}
        row_number() over (partition by {{ key }} order by valid_from) as row_no
    from price_book
),

changes as (
    select
        *,
        case
            when row_no = 1 or valid_from > last_valid_to then 1
            {% for price in prices -%}
            when coalesce({{ price }}, -1) <> coalesce(last_{{ price }}, -1) then 1
            {% endfor -%}
            else 0
        end as is_change
    from compared
),

-- A row of the book may end without another price: where a closed month does, for one.
numbered as (
    select
        *,
        sum(is_change) over (
            partition by {{ key }} order by valid_from rows between unbounded preceding and current row
        ) as price_no
    from changes
),

final as (
    select
        {{ key }},
        cast(min(valid_from) as date) as valid_from,
        cast(max(valid_to) as date) as valid_to,
        {% for price in prices -%}
        min({{ price }}) as {{ price }},
        max(case when is_change = 1 then last_{{ price }} end) as last_{{ price }},
        {% endfor -%}
        min(row_no) > 1 as has_changed
    from numbered
    group by {{ key }}, price_no
)

select * from final
