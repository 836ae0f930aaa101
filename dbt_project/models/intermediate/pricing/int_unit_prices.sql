{% set most_discounts = 8 %}
{% set price_type = llm_spend.type_contract_price() %}
with

cells as (

    select * from {{ ref('int_price_cells') }}

),

holidays as (

    select distinct holiday_calendar, holiday_date, next_date from {{ ref('stg_prices__holidays') }}

),

multipliers as (

    select * from {{ ref('stg_prices__price_multipliers') }}

),

discounts as (

    select * from {{ ref('stg_prices__negotiated_discounts') }}

),

models as (

    select distinct channel, model_id, lower(model_id) as model_name from cells

),

model_multipliers as (

    select models.channel, models.model_id, {{ llm_spend.columns_of('multipliers', [
        'model_pattern', 'usage_unit', 'service_tier', 'region', 'multiplier', 'valid_from', 'valid_to'
    ]) }}
    from models
    inner join multipliers
        on
            {{ llm_spend.matches_pattern('models.channel', 'multipliers.channel') }}
            and {{ llm_spend.matches_pattern('models.model_name', 'multipliers.model_pattern') }}

),

model_discounts as (

    select models.channel, models.model_id, {{ llm_spend.columns_of('discounts', [
        'contract_id', 'model_pattern', 'usage_unit', 'service_tier', 'factor', 'fixed_price', 'stack_order',
        'valid_from', 'valid_to'
    ]) }}
    from models
    inner join discounts
        on
            {{ llm_spend.matches_pattern('models.channel', 'discounts.channel') }}
            and {{ llm_spend.matches_pattern('models.model_name', 'discounts.model_pattern') }}

),

-- 1. Spans: between two neighbours of these instants nothing changes. Holidays in a row are one span.
first_holidays as (

    select holidays.holiday_calendar, holidays.holiday_date as changed_on
    from holidays
    left join holidays as days_before
        on holidays.holiday_calendar = days_before.holiday_calendar and holidays.holiday_date = days_before.next_date
    where days_before.holiday_date is null

),

days_after_holidays as (

    select holidays.holiday_calendar, holidays.next_date as changed_on
    from holidays
    left join holidays as days_after
        on holidays.holiday_calendar = days_after.holiday_calendar and holidays.next_date = days_after.holiday_date
    where days_after.holiday_date is null

),

holiday_changes as (

    select * from first_holidays
    union all
    select * from days_after_holidays

),

instants as (

    {% for relation in ['cells', 'model_multipliers', 'model_discounts'] %}
    select channel, model_id, valid_from as instant from {{ relation }}
    {{ llm_spend.union_distinct() }}
    select channel, model_id, valid_to as instant from {{ relation }}
    {{ llm_spend.union_distinct() }}
    {% endfor %}
    select
        cells.channel,
        cells.model_id,
        cast(holiday_changes.changed_on as {{ llm_spend.type_timestamp() }}) as instant
    from cells
    inner join holiday_changes
        on
            cells.holiday_calendar = holiday_changes.holiday_calendar
            and holiday_changes.changed_on >= cast(cells.valid_from as date)
            and holiday_changes.changed_on <= cast(cells.valid_to as date)

),

spans as (

    select
        channel,
        model_id,
        instant as valid_from,
        lead(instant) over (partition by channel, model_id order by instant) as valid_to,
        row_number() over (order by channel, model_id, instant) as span_number
    from instants

),

-- 2. The cells that hold in a span, at some time of the week.
span_cells as (

    select spans.span_number, {{ llm_spend.columns_of('cells', [
        'price_channel', 'provider', 'service_tier', 'region_scope', 'usage_unit', 'input_tokens_gt', 'minute_from',
        'minute_to', 'weekdays', 'minutes_per_week', 'holiday_calendar', 'price_per_unit', 'is_override', 'valid_from'
    ]) }}
    from spans
    inner join cells
        on
            spans.channel = cells.channel
            and spans.model_id = cells.model_id
            and spans.valid_from >= cells.valid_from
            and spans.valid_from < cells.valid_to
    left join holidays
        on
            cells.holiday_calendar = holidays.holiday_calendar
            and cast(spans.valid_from as date) = holidays.holiday_date
    where
        spans.valid_to is not null
        and holidays.holiday_date is null

),

-- 3. Slots of the week: minutes of the day between which nothing changes, times days of the week that are alike.
minutes as (

    select span_number, 0 as minute_from from span_cells
    {{ llm_spend.union_distinct() }}
    select span_number, minute_from from span_cells
    {{ llm_spend.union_distinct() }}
    select span_number, minute_to as minute_from from span_cells where minute_to < 1440

),

parts_of_day as (

    select
        span_number,
        minute_from,
        coalesce(lead(minute_from) over (partition by span_number order by minute_from), 1440) as minute_to
    from minutes

),

masks as (

    select distinct span_number, weekdays from span_cells

),

days_of_week as (

    {% for day in range(1, 8) %}
    select
        span_number,
        '{{ day }}' as weekday,
        {{ dbt.listagg(
            "case when " ~ dbt.position("'" ~ day ~ "'", "weekdays") ~ " > 0 then weekdays else '-' end",
            "','",
            'order by weekdays'
        ) }} as masks_with_day
    from masks
    group by span_number
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

weekday_groups as (

    select
        span_number,
        {{ dbt.listagg('weekday', "''", 'order by weekday') }} as weekdays
    from days_of_week
    group by span_number, masks_with_day

),

-- 4. The rows of the price book.
tiers as (

    select distinct span_number, service_tier from span_cells

),

thresholds as (

    select distinct span_number, input_tokens_gt from span_cells

),

regions as (

    select span_number, region_scope as region from span_cells
    {{ llm_spend.union_distinct() }}
    select span_number, '*' as region from span_cells
    {{ llm_spend.union_distinct() }}
    select spans.span_number, model_multipliers.region
    from spans
    inner join model_multipliers
        on
            spans.channel = model_multipliers.channel
            and spans.model_id = model_multipliers.model_id
            and spans.valid_from >= model_multipliers.valid_from
            and spans.valid_from < model_multipliers.valid_to

),

book_rows as (

    select
        spans.*,
        tiers.service_tier,
        regions.region,
        thresholds.input_tokens_gt,
        parts_of_day.minute_from,
        parts_of_day.minute_to,
        weekday_groups.weekdays,
        row_number() over (
            order by
                spans.span_number,
                tiers.service_tier,
                regions.region,
                thresholds.input_tokens_gt,
                parts_of_day.minute_from,
                weekday_groups.weekdays
        ) as row_no
    from spans
    inner join tiers on spans.span_number = tiers.span_number
    inner join thresholds on spans.span_number = thresholds.span_number
    inner join regions on spans.span_number = regions.span_number
    inner join parts_of_day on spans.span_number = parts_of_day.span_number
    inner join weekday_groups on spans.span_number = weekday_groups.span_number

),

-- 5. Of the cells that apply to a row and a unit: the row's own service tier, its region, the highest threshold, what
-- was corrected by hand, what is meant for the least of the week.
candidates as (

    select
        book_rows.*,
        span_cells.price_channel,
        span_cells.provider,
        span_cells.usage_unit,
        span_cells.region_scope,
        span_cells.price_per_unit,
        span_cells.is_override,
        span_cells.service_tier = book_rows.service_tier as is_own_tier,
        max(case when span_cells.input_tokens_gt = book_rows.input_tokens_gt then 1 else 0 end) over (
            partition by book_rows.row_no
        ) as names_threshold,
        row_number() over (
            partition by book_rows.row_no, span_cells.usage_unit
            order by
                case when span_cells.service_tier = book_rows.service_tier then 0 else 1 end,
                case when span_cells.region_scope = book_rows.region then 0 else 1 end,
                span_cells.input_tokens_gt desc,
                case when span_cells.is_override then 0 else 1 end,
                span_cells.minutes_per_week,
                case when span_cells.holiday_calendar is null then 1 else 0 end,
                span_cells.valid_from desc,
                span_cells.price_per_unit
        ) as choice
    from book_rows
    inner join span_cells
        on
            book_rows.span_number = span_cells.span_number
            and span_cells.service_tier in (book_rows.service_tier, 'standard')
            and span_cells.region_scope in (book_rows.region, '*')
            and book_rows.input_tokens_gt >= span_cells.input_tokens_gt
            and book_rows.minute_from >= span_cells.minute_from
            and book_rows.minute_to <= span_cells.minute_to
            and {{ dbt.position("left(book_rows.weekdays, 1)", "span_cells.weekdays") }} > 0

),

chosen as (

    select * from candidates
    where choice = 1 and (input_tokens_gt = -1 or names_threshold = 1)

),

-- 6. At most one multiplier a price. A price of the region itself has what the region adds.
multiplier_candidates as (

    select
        chosen.row_no,
        chosen.usage_unit,
        model_multipliers.multiplier,
        row_number() over (
            partition by chosen.row_no, chosen.usage_unit
            order by
                case when model_multipliers.region = '*' then 1 else 0 end,
                length(model_multipliers.model_pattern) desc,
                case when model_multipliers.usage_unit = chosen.usage_unit then 0 else 1 end,
                case when model_multipliers.service_tier = chosen.service_tier then 0 else 1 end,
                model_multipliers.valid_from desc,
                model_multipliers.multiplier
        ) as choice
    from chosen
    inner join model_multipliers
        on
            chosen.channel = model_multipliers.channel
            and chosen.model_id = model_multipliers.model_id
            and chosen.valid_from >= model_multipliers.valid_from
            and chosen.valid_from < model_multipliers.valid_to
            and (
                model_multipliers.region = '*'
                or (chosen.region = model_multipliers.region and chosen.region_scope = '*')
            )
            and {{ llm_spend.matches_pattern('chosen.usage_unit', 'model_multipliers.usage_unit') }}
            and {{ llm_spend.matches_pattern('chosen.service_tier', 'model_multipliers.service_tier') }}

),

listed as (

    select
        chosen.*,
        cast(
            round(chosen.price_per_unit * coalesce(multiplier_candidates.multiplier, 1), 12)
            as {{ llm_spend.type_price() }}
        ) as list_price
    from chosen
    left join multiplier_candidates
        on
            chosen.row_no = multiplier_candidates.row_no
            and chosen.usage_unit = multiplier_candidates.usage_unit
            and multiplier_candidates.choice = 1

),

-- 7. Contract prices: the discounts of a price, one after the other.
steps as (

    select
        listed.row_no,
        listed.usage_unit,
        model_discounts.factor,
        model_discounts.fixed_price,
        row_number() over (
            partition by listed.row_no, listed.usage_unit
            order by
                model_discounts.stack_order,
                model_discounts.contract_id,
                model_discounts.model_pattern,
                model_discounts.usage_unit,
                model_discounts.service_tier,
                model_discounts.factor,
                model_discounts.fixed_price
        ) as step
    from listed
    inner join model_discounts
        on
            listed.channel = model_discounts.channel
            and listed.model_id = model_discounts.model_id
            and listed.valid_from >= model_discounts.valid_from
            and listed.valid_from < model_discounts.valid_to
            and {{ llm_spend.matches_pattern('listed.usage_unit', 'model_discounts.usage_unit') }}
            and {{ llm_spend.matches_pattern('listed.service_tier', 'model_discounts.service_tier') }}

),

discounted as (

    select
        row_no,
        usage_unit,
        {%- for step in range(1, most_discounts + 1) %}
        max(case when step = {{ step }} then fixed_price end) as fixed_price_{{ step }},
        max(case when step = {{ step }} then factor end) as factor_{{ step }},
        {%- endfor %}
        count(*) as discounts
    from steps
    group by row_no, usage_unit

),

final as (

    select
        {{ llm_spend.columns_of('listed', [
            'channel', 'model_id', 'service_tier', 'region', 'input_tokens_gt', 'valid_from', 'valid_to',
            'minute_from', 'minute_to', 'weekdays', 'usage_unit', 'price_channel', 'provider', 'is_override',
            'list_price'
        ]) }},
        case
            when discounted.discounts is null then cast(listed.list_price as {{ price_type }})
            else {{ llm_spend.discounted_price(
                'listed.list_price', most_discounts, factor='discounted.factor_', fixed='discounted.fixed_price_'
            ) }}
        end as contract_price,
        coalesce(discounted.discounts, 0) as discounts
    from listed
    left join discounted
        on listed.row_no = discounted.row_no and listed.usage_unit = discounted.usage_unit

)

select * from final
