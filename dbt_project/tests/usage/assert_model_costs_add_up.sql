-- Per day, what each class of tokens costs by model adds up to all of it, and the five parts to the cost, to the last
-- digit.
{{ config(severity='error') }}

{% set classes = ['uncached_input_cost_usd', 'cache_read_cost_usd', 'cache_write_cost_usd', 'output_cost_usd'] %}

with days as (
    select
        usage_date,
        {% for class in classes -%}
        coalesce(sum({{ class }}), 0) as {{ class }},
        {% endfor -%}
        coalesce(sum(cost_usd), 0) as cost_usd
    from {{ ref('int_requests_daily') }}
    where {{ recently_built() }} and is_of_record
    group by usage_date
),

models as (
    select
        usage_date,
        {% for class in classes -%}
        coalesce(sum({{ class }}), 0) as {{ class }},
        {% endfor -%}
        coalesce(sum({{ classes | join(' + ') }} + other_cost_usd), 0) as cost_usd
    from {{ ref('llm_usage_by_model_daily') }}
    where {{ recently_built() }}
    group by usage_date
),

final as (
    select
        coalesce(days.usage_date, models.usage_date) as usage_date,
        {% for class in classes -%}
        models.{{ class }} - days.{{ class }} as {{ class }}_off,
        {% endfor -%}
        models.cost_usd - days.cost_usd as cost_usd_off
    from days
    full outer join models on days.usage_date = models.usage_date
)

select *
from final
where {% for class in classes %}coalesce({{ class }}_off <> 0, true) or {% endfor %}coalesce(cost_usd_off <> 0, true)
