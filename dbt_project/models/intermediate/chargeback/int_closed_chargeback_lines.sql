{{ config(
    materialized='incremental',
    incremental_strategy=llm_spend.add_rows(),
    on_schema_change='append_new_columns',
    full_refresh=false
) }}

with lines as (
    select * from {{ ref('int_chargeback_lines') }}
),

closed_periods as (
    select * from {{ ref('int_closed_periods') }}
),

{% if is_incremental() -%}
published as (
    select known.*
    from {{ this }} as known
    inner join closed_periods
        on known.billing_period = closed_periods.billing_period and known.closed_at = closed_periods.closed_at
),

new_periods as (
    select closed_periods.*
    from closed_periods
    left join (select distinct billing_period, closed_at from published) as known
        on closed_periods.billing_period = known.billing_period and closed_periods.closed_at = known.closed_at
    where known.billing_period is null
),

-- What the open month that is being closed had to say of months before it.
booked_in as (
    select min(billing_period) as billing_period
    from new_periods
    where billing_period > (select max(billing_period) from published)
),

restatements as (
    {{ llm_spend.restatement_lines('published', 'lines', 'booked_in') }}
),
{%- else -%}
new_periods as (
    select * from closed_periods
),
{%- endif %}

own_lines as (
    {{ llm_spend.own_lines('lines') }}
),

new_lines as (
    select * from own_lines
    {% if is_incremental() -%}
    union all
    select * from restatements
    {%- endif %}
),

-- A month without lines has a row too: else it would be taken for one that was never closed.
final as (
    select
        new_periods.billing_period,
        new_periods.closed_at,
        coalesce(new_lines.original_period, new_periods.billing_period) as original_period,
        {{ llm_spend.columns_of(
            'new_lines',
            llm_spend.chargeback_line_columns() | reject('in', ['billing_period', 'original_period']) | list
        ) }},
        {{ llm_spend.build_started_at() }} as kept_at
    from new_periods
    left join new_lines on new_periods.billing_period = new_lines.billing_period
)

select * from final
