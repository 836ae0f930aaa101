-- Which row of business_events, kpis, plan_designs or features can't be read, or can't be meant, and why; and what is wrong
-- with events of models of your own. One row per seed, row and problem.
{{ config(severity='error') }}

{% set measures = llm_spend.kpi_usage_measures() + llm_spend.kpi_revenue_measures() %}
{% set measure_list = "'" ~ (measures | join("', '")) ~ "'" %}
{% set word = "'^[a-z][a-z0-9_]*$'" %}
{% set number = "'^-?[0-9]{1,18}([.][0-9]{1,6})?$'" %}

with event_rows as (
    select
        *,
        {{ llm_spend.seed_number('event_date', 'date') }} as parsed_date,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as parsed_rate,
        coalesce(lower(trim(covers)), '') as covers_text,
        {{ llm_spend.seed_line([
            'event_date', 'trim(event_type)', 'trim(feature_id)', 'trim(customer_id)', 'upper(trim(currency))',
            "case when lower(trim(covers)) = 'month' then 'month' end"
        ]) }} as seed_row
    from {{ ref('business_events') }}
),

events as (
    select * from {{ ref('int_business_events') }}
),

kpi_rows as (
    select * from {{ ref('kpis') }}
),

design_rows as (
    select
        *,
        coalesce(lower(trim(assignment)), '') as assignment_text,
        {{ llm_spend.seed_line(['design_id', 'plan_id', 'tier_from_tokens']) }} as seed_row
    from {{ ref('plan_designs') }}
),

designs as (
    select * from {{ ref('stg_rules__plan_designs') }}
),

features as (
    select * from {{ ref('stg_mapping__features') }}
),

problems as (
    select
        'business_events' as seed,
        seed_row,
        case
            when parsed_date is null then 'event_date is no date, written as YYYY-MM-DD'
            when not {{ llm_spend.regex_found("coalesce(trim(event_type), '')", word) }}
                then 'event_type is no word of lower case letters, digits and _'
            when trim(event_type) in ({{ measure_list }}) then 'event_type is the name of a measure'
            when not {{ llm_spend.regex_found("coalesce(trim(quantity), '')", number) }}
                then 'quantity is no number with at most 6 decimals'
            when
                coalesce(trim(currency), '') <> ''
                and not {{ llm_spend.regex_found('trim(currency)', "'^[A-Za-z]{3}$'") }}
                then 'currency is no code of three letters'
            when trim(event_type) = 'revenue' and coalesce(trim(currency), '') = ''
                then 'revenue has no currency: it is never assumed'
            when coalesce(trim(usd_per_unit), '') <> '' and coalesce(parsed_rate, 0) <= 0
                then 'usd_per_unit is not a positive number'
            when upper(trim(currency)) = 'USD' and parsed_rate <> 1 then 'usd_per_unit is not 1 for USD'
            when covers_text not in ('', 'day', 'month') then 'covers is neither day nor month'
        end as problem
    from event_rows
    union all
    select
        'business_events' as seed,
        seed_row,
        'two rows say the same: add them up' as problem
    from event_rows
    group by seed_row
    having count(*) > 1
    union all
    select
        'business_events' as seed,
        {{ llm_spend.seed_line([llm_spend.date_text('event_date'), 'event_type', 'feature_id', 'customer_id']) }} as seed_row,
        case
            when covers_month and event_date <> billing_period
                then 'what covers a month has its first day as event_date'
            when not is_amount and quantity < 0 then 'a number of events is below 0'
            when feature_id = {{ llm_spend.unallocated() }} or customer_id = {{ llm_spend.unallocated() }}
                then 'a feature or customer that is not known is left empty'
        end as problem
    from events
    union all
    select
        'business_events' as seed,
        event_type as seed_row,
        'some rows of the type are amounts, with a currency, and some are not' as problem
    from events
    group by event_type
    having min(case when is_amount then 1 else 0 end) <> max(case when is_amount then 1 else 0 end)
    union all
    select
        'kpis' as seed,
        kpi_id as seed_row,
        case
            when not {{ llm_spend.regex_found("coalesce(trim(kpi_id), '')", word) }}
                then 'kpi_id is no word of lower case letters, digits and _'
            when not {{ llm_spend.regex_found("coalesce(trim(numerator), '')", word) }}
                then 'numerator is neither a measure nor a type of business event'
            when not {{ llm_spend.regex_found("coalesce(trim(denominator), '')", word) }}
                then 'denominator is neither a measure nor a type of business event'
            when
                coalesce(trim(per), '') <> ''
                and not {{ llm_spend.regex_found('trim(per)', "'^[1-9][0-9]{0,8}$'") }}
                then 'per is not a whole number from 1 on'
        end as problem
    from kpi_rows
    union all
    select
        'kpis' as seed,
        trim(kpi_id) as seed_row,
        'two rows have the same kpi_id' as problem
    from kpi_rows
    group by trim(kpi_id)
    having count(*) > 1
    union all
    select
        'plan_designs' as seed,
        seed_row,
        case
            when coalesce(trim(design_id), '') = '' then 'design_id is empty'
            when trim(plan_id) = '(none)' then 'plan_id is the name of usage without a plan'
            when assignment_text not in ('', 'cheapest', 'by_usage')
                then 'assignment is neither cheapest nor by_usage'
            {{ llm_spend.plan_problems() }}
        end as problem
    from design_rows
    union all
    select
        'plan_designs' as seed,
        {{ llm_spend.seed_line(['design_id', 'plan_id']) }} as seed_row,
        case
            when {{ llm_spend.plan_rows_differ() }} then 'its rows differ in more than tier and price'
            when count(*) > count(distinct tier_from_tokens) then 'two rows have the same tier_from_tokens'
            when min(tier_from_tokens) > 0 then 'no tier begins with 0'
        end as problem
    from designs
    where tier_from_tokens is not null
    group by design_id, plan_id
    union all
    select
        'plan_designs' as seed,
        design_id as seed_row,
        'its rows have different names or assignments' as problem
    from designs
    group by design_id
    having count(distinct design_name) > 1 or count(distinct assignment) > 1
    union all
    select
        'features' as seed,
        feature_id as seed_row,
        case
            when coalesce(feature_id, '') = '' then 'feature_id is empty'
            when feature_id = {{ llm_spend.unallocated() }} then 'feature_id is the name of usage without a feature'
        end as problem
    from features
    union all
    select
        'features' as seed,
        feature_id as seed_row,
        'two rows have the same feature_id' as problem
    from features
    group by feature_id
    having count(*) > 1
)

select *
from problems
where problem is not null
