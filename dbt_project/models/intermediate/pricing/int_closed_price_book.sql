{{ config(
    materialized='incremental',
    incremental_strategy=llm_spend.add_rows(),
    on_schema_change='append_new_columns',
    full_refresh=false
) }}

with

book as (

    select * from {{ ref('int_current_price_book') }}

),

periods as (

    select * from {{ ref('int_closed_periods') }}

),

final as (

    select
        periods.billing_period,
        periods.closed_at,
        book.valid_from,
        book.valid_to,
        {{ llm_spend.columns_of('book', llm_spend.price_book_columns()) }}
    from periods
    inner join book
        on
            periods.ends_at > book.valid_from
            and periods.starts_at < book.valid_to
    {% if is_incremental() %}
    where
        not exists (
            select 1
            from {{ this }} as known
            where periods.billing_period = known.billing_period and periods.closed_at = known.closed_at
        )
    {% endif %}

)

select * from final
