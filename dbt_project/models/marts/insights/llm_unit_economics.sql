{% set usage = kpi_usage_measures() + ['unpriced_tokens', 'unpriced_requests'] %}
{% set member = ['billing_period', 'member_type', 'member_id'] %}

with kpis as (
    select
        *,
        numerator_event is not null or denominator_event is not null as needs_events
    from {{ ref('stg_mapping__kpis') }}
),

events as (
    select * from {{ ref('int_business_event_days') }}
),

coverage as (
    select * from {{ ref('int_kpi_coverage') }}
),

known as (
    {{ known_usage() }}
),

by_feature as (
    select * from {{ ref('llm_usage_by_feature_daily') }}
),

by_customer as (
    select * from {{ ref('llm_usage_by_customer_daily') }}
),

usage_days as (
    select
        {% for measure in usage -%}
        sum({{ measure }}) as {{ measure }},
        {% endfor -%}
        usage_date,
        'total' as member_type,
        '(all)' as member_id
    from by_feature
    group by usage_date
    union all
    select
        {{ usage | join(',\n        ') }},
        usage_date,
        'feature' as member_type,
        feature_id as member_id
    from by_feature
    union all
    select
        {{ usage | join(',\n        ') }},
        usage_date,
        'customer' as member_type,
        customer_id as member_id
    from by_customer
),

usage_months as (
    select
        {{ month_start('usage_date') }} as billing_period,
        member_type,
        member_id,
        {%- for measure in usage %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
        count(*) as days_with_usage
    from usage_days
    group by {{ month_start('usage_date') }}, member_type, member_id
),

-- A month without requests of anybody is one that nothing is known of.
months as (
    select
        {{ month_start('usage_days.usage_date') }} as billing_period,
        max(usage_days.usage_date) as last_usage_date,
        max(known.known_to) as known_to
    from usage_days
    cross join known
    where usage_days.member_type = 'total'
    group by {{ month_start('usage_days.usage_date') }}
),

event_sums as (
    select
        {{ columns_of('events', member) }},
        events.event_type,
        events.is_level,
        cast(sum(events.quantity) as {{ type_money() }}) as all_quantity,
        cast(sum(case when not events.covers_month then events.quantity end) as {{ type_money() }}) as day_quantity,
        cast(sum(case when not events.covers_month then 1 end) as {{ type_money() }}) as day_rows,
        max(case when events.covers_month then events.quantity end) as month_quantity,
        max(case when events.covers_month then 1 else 0 end) as month_rows,
        count(*) - count(events.quantity) as unknown_rows
    from events
    inner join months on events.billing_period = months.billing_period
    group by events.{{ member | join(', events.') }}, events.event_type, events.is_level
),

event_months as (
    select
        {{ member | join(',\n        ') }},
        event_type,
        case
            when unknown_rows > 0 then null
            when not is_level then all_quantity
            when month_rows = 1 then month_quantity
            else {{ exact_ratio('day_quantity', 'day_rows') }}
        end as quantity
    from event_sums
),

-- Of which kinds of members something is recorded in the month at all.
recorded as (
    select distinct
        billing_period,
        member_type,
        event_type
    from event_months
    where member_id <> {{ unallocated() }}
),

shown as (
    select distinct
        recorded.billing_period,
        recorded.member_type,
        kpis.kpi_id
    from recorded
    inner join kpis on recorded.event_type in (kpis.numerator_event, kpis.denominator_event)
    union all
    select distinct
        usage_months.billing_period,
        usage_months.member_type,
        kpis.kpi_id
    from usage_months
    cross join kpis
    where not kpis.needs_events
),

members as (
    select {{ member | join(', ') }} from usage_months
    {{ llm_spend.union_distinct() }}
    select {{ member | join(', ') }} from event_months
),

measured as (
    select
        {{ columns_of('members', member) }},
        -- Who used nothing cost nothing; of who did, the cost may not be known.
        {%- for measure in usage %}
        case when usage_months.member_id is null then 0 else usage_months.{{ measure }} end as {{ measure }},
        {%- endfor %}
        coalesce(usage_months.days_with_usage, 0) as days_with_usage,
        revenues.quantity as revenue_usd,
        revenues.quantity
        - case when usage_months.member_id is null then 0 else usage_months.cost_usd end as margin_usd
    from members
    left join usage_months
        on
            members.billing_period = usage_months.billing_period
            and members.member_type = usage_months.member_type
            and members.member_id = usage_months.member_id
    left join event_months as revenues
        on
            members.billing_period = revenues.billing_period
            and members.member_type = revenues.member_type
            and members.member_id = revenues.member_id
            and revenues.event_type = 'revenue'
),

sides as (
    select
        {{ columns_of('measured', member) }},
        kpis.kpi_id,
        kpis.kpi_name,
        kpis.unit,
        kpis.numerator,
        kpis.denominator,
        kpis.per,
        cast({{ kpi_side('kpis.numerator', 'measured', 'numerators') }} as {{ type_money() }}) as numerator_value,
        cast({{ kpi_side('kpis.denominator', 'measured', 'denominators') }} as {{ type_money() }})
            as denominator_value,
        {{ columns_of('measured', usage) }},
        measured.revenue_usd,
        measured.margin_usd,
        measured.days_with_usage,
        case when kpis.needs_events then coalesce(coverage.days_with_events, 0) end as days_with_events,
        case when kpis.needs_events then coalesce(coverage.cost_usd, 0) end as covered_cost_usd,
        months.last_usage_date,
        months.known_to >= cast({{ dbt.dateadd('month', 1, 'months.billing_period') }} as {{ type_timestamp() }})
            as is_whole_month
    from measured
    inner join months on measured.billing_period = months.billing_period
    inner join shown
        on measured.billing_period = shown.billing_period and measured.member_type = shown.member_type
    inner join kpis on shown.kpi_id = kpis.kpi_id
    left join event_months as numerators
        on
            measured.billing_period = numerators.billing_period
            and measured.member_type = numerators.member_type
            and measured.member_id = numerators.member_id
            and kpis.numerator = numerators.event_type
    left join event_months as denominators
        on
            measured.billing_period = denominators.billing_period
            and measured.member_type = denominators.member_type
            and measured.member_id = denominators.member_id
            and kpis.denominator = denominators.event_type
    left join coverage
        on
            measured.billing_period = coverage.billing_period
            and measured.member_type = coverage.member_type
            and measured.member_id = coverage.member_id
            and kpis.kpi_id = coverage.kpi_id
),

divided as (
    select
        *,
        cast(numerator_value * per as {{ type_money() }}) as numerator_per,
        case when denominator_value > 0 then denominator_value end as divisor,
        cast(case when cost_usd > 0 then cost_usd end as {{ type_money() }}) as whole_cost_usd
    from sides
),

final as (
    select
        {{ member | join(',\n        ') }},
        kpi_id,
        kpi_name,
        {{ exact_ratio('numerator_per', 'divisor') }} as kpi_value,
        unit,
        numerator as numerator_name,
        numerator_value,
        denominator as denominator_name,
        denominator_value,
        per,
        cast(cost_usd as {{ type_money() }}) as cost_usd,
        cast(total_tokens as {{ dbt.type_bigint() }}) as total_tokens,
        cast(requests as {{ dbt.type_bigint() }}) as requests,
        cast(revenue_usd as {{ type_money() }}) as revenue_usd,
        cast(margin_usd as {{ type_money() }}) as margin_usd,
        cast(days_with_usage as {{ dbt.type_bigint() }}) as days_with_usage,
        cast(days_with_events as {{ dbt.type_bigint() }}) as days_with_events,
        cast(
            round({{ exact_ratio('covered_cost_usd', 'whole_cost_usd') }}, 6) as {{ type_decimal(18, 6) }}
        ) as coverage_ratio,
        cast(unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        unpriced_requests > 0 as has_unpriced_usage,
        'USD' as currency,
        last_usage_date,
        is_whole_month
    from divided
)

select * from final
