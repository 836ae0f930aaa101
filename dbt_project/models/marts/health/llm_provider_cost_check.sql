{% set names = [
    'source_system', 'source_instance', 'provider', 'usage_date', 'kind', 'usage_type', 'measure', 'unit'
] %}

-- What an invoice or a seat says has no control.
with costs as (
    select
        source_system,
        source_instance,
        provider,
        cost_date as usage_date,
        'costs' as kind,
        '' as usage_type,
        'billed_amount' as measure,
        billing_currency as unit,
        profile,
        billed_amount as amount,
        is_final
    from {{ ref('fct_llm_provider_costs') }}
    where is_cash and origin in ('api', 'file') and profile in ('primary', 'control')
),

provider_usage as (
    select * from {{ ref('fct_llm_provider_usage') }}
    where profile in ('primary', 'control')
),

measured as (
    select * from costs
    {% for measure, unit in {'total_tokens': 'tokens', 'requests': 'requests'}.items() -%}
    union all
    select
        source_system,
        source_instance,
        provider,
        usage_date,
        'usage' as kind,
        usage_type,
        '{{ measure }}' as measure,
        '{{ unit }}' as unit,
        profile,
        cast({{ measure }} as {{ type_money() }}) as amount,
        is_final
    from provider_usage
    {% endfor %}
),

-- A sum of which parts are unknown is unknown.
summed as (
    select
        {{ names | join(',\n        ') }},
        profile,
        count(*) as line_count,
        case when count(*) = count(amount) then sum(amount) end as amount,
        min(case when is_final then 1 else 0 end) = 1 as is_final
    from measured
    group by {{ names | join(', ') }}, profile
),

controls as (
    select * from summed
    where profile = 'control'
),

grouped as (
    select * from summed
    where profile = 'primary'
),

-- A day with a control and without any line has a sum of 0.
compared as (
    select
        {% for name in names -%}
        controls.{{ name }},
        {% endfor -%}
        coalesce(grouped.line_count, 0) as grouped_lines,
        controls.amount as control_amount,
        case when grouped.line_count is null then 0 else grouped.amount end as grouped_amount,
        controls.is_final and coalesce(grouped.is_final, true) as is_final,
        controls.line_count + coalesce(grouped.line_count, 0) as line_count
    from controls
    left join grouped
        on
            controls.source_system = grouped.source_system
            {%- for name in names[1:] %}
            and controls.{{ name }} = grouped.{{ name }}
            {%- endfor %}
),

-- Some providers add amounts as floating-point numbers: a hundred-millionth a line is beyond what they can show.
final as (
    select
        source_system,
        source_instance,
        provider,
        usage_date,
        kind,
        usage_type,
        measure,
        unit,
        cast(grouped_lines as {{ dbt.type_bigint() }}) as grouped_lines,
        cast(control_amount as {{ type_money() }}) as control_amount,
        cast(grouped_amount as {{ type_money() }}) as grouped_amount,
        cast(grouped_amount - control_amount as {{ type_money() }}) as difference,
        abs(grouped_amount - control_amount) <= case
            when kind = 'costs' then line_count * cast('0.00000001' as {{ type_decimal(8, 8) }})
            else 0
        end as is_matching,
        is_final
    from compared
)

select * from final
