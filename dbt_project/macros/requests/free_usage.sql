{#
    What of a request's usage is free: the first units of a UTC day, shared by all models of one allowance.

    relation: all requests of whole dates that have usage beside tokens. Gives request_key and free_<unit> (0 or more)
    of the requests that have something free. An answer of the gateway's own cache uses nothing up.
    is_named: the relation has channel and model_id already.
#}
{% macro free_usage(relation, is_named=false) %}
    {%- set units = units_beside_tokens() | map(attribute='quantity') | list %}
    with allowances as (
        select * from {{ ref('stg_prices__free_allowances') }}
    ),

    resolution as (
        select * from {{ ref('int_model_resolution') }}
    ),

    metered as (
        select
            requests.*
            {%- if not is_named %},
            resolution.channel,
            resolution.model_id
            {%- endif %}
        from {{ relation }} as requests
        {% if not is_named -%}
        inner join resolution
            on {{ names_model('requests', 'resolution') }}
        {% endif -%}
        where
            not coalesce(requests.is_gateway_cache_hit, false)
            and exists (select 1 from allowances)
    ),

    quantities as (
        {%- for unit in units %}
        select
            request_key,
            usage_date,
            started_at,
            channel,
            model_id,
            '{{ unit }}' as usage_unit,
            cast({{ unit }} as {{ type_decimal(18, 3) }}) as quantity
        from metered
        where {{ unit }} > 0
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    -- The allowance that names the model most closely.
    ranked as (
        select
            quantities.*,
            allowances.allowance_id,
            allowances.quantity as free_quantity,
            row_number() over (
                partition by quantities.request_key, quantities.usage_unit
                order by length(allowances.model_pattern) desc, allowances.allowance_id, allowances.quantity desc
            ) as choice
        from quantities
        inner join allowances
            on
                {{ matches_pattern('quantities.channel', 'allowances.channel') }}
                and quantities.usage_unit = allowances.usage_unit
                and {{ matches_pattern('lower(quantities.model_id)', 'allowances.model_pattern') }}
                and quantities.started_at >= allowances.valid_from
                and quantities.started_at < allowances.valid_to
    ),

    used as (
        select
            *,
            sum(quantity) over (
                partition by allowance_id, usage_unit, usage_date
                order by started_at, request_key
                rows between unbounded preceding and current row
            ) as used_quantity
        from ranked
        where choice = 1
    ),

    freed as (
        select
            request_key,
            usage_unit,
            least(quantity, free_quantity - (used_quantity - quantity)) as quantity
        from used
        where used_quantity - quantity < free_quantity
    ),

    final as (
        select
            request_key
            {%- for unit in units %},
            sum(case when usage_unit = '{{ unit }}' then quantity else 0 end) as free_{{ unit }}
            {%- endfor %}
        from freed
        group by request_key
    )

    select * from final
{% endmacro %}
