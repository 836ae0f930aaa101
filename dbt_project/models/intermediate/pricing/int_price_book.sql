{% set open_end = "cast('9999-12-31' as " ~ llm_spend.type_timestamp() ~ ")" %}
{% set names = llm_spend.price_book_columns() %}
with

current_book as (

    select * from {{ ref('int_current_price_book') }}

),

closed_book as (

    select * from {{ ref('int_closed_price_book') }}

),

periods as (

    select * from {{ ref('int_closed_periods') }}

),

-- The times that are not closed: from the beginning, or the end of a closed period, to the next one.
openings as (

    select cast('1970-01-01' as {{ llm_spend.type_timestamp() }}) as starts_at
    union all
    select ends_at as starts_at from periods

),

closings as (

    select starts_at from periods
    union all
    select {{ open_end }} as starts_at

),

open_times as (

    select
        openings.starts_at,
        min(closings.starts_at) as ends_at
    from openings
    inner join closings on openings.starts_at <= closings.starts_at
    group by openings.starts_at

),

priced as (

    select
        {{ llm_spend.columns_of('current_book', names) }},
        greatest(current_book.valid_from, open_times.starts_at) as valid_from,
        least(current_book.valid_to, open_times.ends_at) as valid_to
    from current_book
    inner join open_times
        on
            current_book.valid_from < open_times.ends_at
            and current_book.valid_to > open_times.starts_at
            and open_times.starts_at < open_times.ends_at

    union all

    select
        {{ llm_spend.columns_of('closed_book', names) }},
        greatest(closed_book.valid_from, periods.starts_at) as valid_from,
        least(closed_book.valid_to, periods.ends_at) as valid_to
    from closed_book
    inner join periods
        on closed_book.billing_period = periods.billing_period and closed_book.closed_at = periods.closed_at

),

final as (

    select
        row_number() over (
            order by
                channel, model_id, service_tier, region, input_tokens_gt, valid_from, minute_from, weekdays
        ) as price_key,
        *
    from priced

)

select * from final
