{# What decides on a cost; the rest of a row says where its prices come from. #}
{% set units = llm_spend.usage_units() %}
{% set slot_columns = [
    'channel', 'model_id', 'service_tier', 'region', 'input_tokens_gt', 'input_tokens_lte', 'minute_from', 'minute_to',
    'weekdays'
] %}
{% set price_columns = units | map(attribute='price') | list %}
{% for unit in units %}{% do price_columns.append('contract_' ~ unit.price) %}{% endfor %}
{% set names = slot_columns + price_columns %}
{% set texts = [] %}
{% set cast_end = ' as ' ~ dbt.type_string() ~ "), '')" %}
{% for name in names %}{% do texts.extend(['coalesce(cast(' ~ name ~ cast_end, "'|'"]) %}{% endfor %}
{% do texts.extend([llm_spend.date_text('first_date'), "' '", llm_spend.date_text('last_date'), "' '", 'minutes']) %}
with

closed_book as (

    select * from {{ ref('int_closed_price_book') }}

),

current_book as (

    select * from {{ ref('int_current_price_book') }}

),

periods as (

    select * from {{ ref('int_closed_periods') }}

),

models as (

    select distinct
        channel,
        model_id
    from {{ ref('int_model_resolution') }}

),

-- Of the models that occur: the rest of the book prices nothing.
both_books as (

    select
        periods.billing_period,
        greatest(closed_book.valid_from, periods.starts_at) as valid_from,
        least(closed_book.valid_to, periods.ends_at) as valid_to,
        1 as of_closing,
        {{ llm_spend.columns_of('closed_book', names) }}
    from closed_book
    inner join periods
        on closed_book.billing_period = periods.billing_period and closed_book.closed_at = periods.closed_at
    inner join models
        on closed_book.channel = models.channel and closed_book.model_id = models.model_id

    union all

    select
        periods.billing_period,
        greatest(current_book.valid_from, periods.starts_at) as valid_from,
        least(current_book.valid_to, periods.ends_at) as valid_to,
        0 as of_closing,
        {{ llm_spend.columns_of('current_book', names) }}
    from current_book
    inner join periods
        on
            current_book.valid_from < periods.ends_at
            and current_book.valid_to > periods.starts_at
    inner join models
        on current_book.channel = models.channel and current_book.model_id = models.model_id

),

-- A row that is in one book only; equal rows, unknown prices included, fall into one group.
differing as (

    select
        billing_period,
        valid_from,
        valid_to,
        {{ names | join(',\n        ') }},
        max(of_closing) = 1 as is_closed_price
    from both_books
    group by billing_period, valid_from, valid_to, {{ names | join(', ') }}
    having min(of_closing) = max(of_closing)

),

-- When a row holds, as text that is the same in every session.
timed as (

    select
        *,
        cast(valid_from as date) as first_date,
        cast(valid_to as date) as last_date,
        cast(
            {{ llm_spend.minute_of_day('valid_from') }} * 1440 + {{ llm_spend.minute_of_day('valid_to') }}
            as {{ dbt.type_string() }}
        ) as minutes
    from differing

),

final as (

    select
        billing_period,
        channel,
        model_id,
        valid_from,
        valid_to,
        first_date,
        is_closed_price,
        {{ dbt.hash(dbt.concat(texts)) }} as price_hash
    from timed

)

select * from final
