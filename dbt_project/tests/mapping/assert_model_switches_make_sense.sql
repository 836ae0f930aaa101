-- Which row of the seed model_switches can't be read, or can't be meant, and why.

with seed_rows as (
    select
        {{ llm_spend.seed_line(['from_model_id', 'to_channel', 'to_model_id', 'valid_from']) }} as seed_row,
        coalesce(trim(from_model_id), '') as from_model_id,
        coalesce(lower(trim(to_channel)), '') as to_channel,
        coalesce(trim(to_model_id), '') as to_model_id,
        {{ llm_spend.seed_number('token_factor', llm_spend.type_decimal(12, 6), when_empty='1') }} as token_factor,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as valid_from,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-31') }} as valid_to
    from {{ ref('model_switches') }}
),

price_book as (
    select * from {{ ref('int_current_price_book') }}
),

problems as (
    select
        seed_row,
        case
            when from_model_id = '' then 'from_model_id is empty'
            when to_model_id = '' then 'to_model_id is empty'
            when from_model_id = to_model_id and to_channel = '' then 'the model would replace itself'
            when token_factor is null or token_factor <= 0 then 'token_factor is not a number above 0'
            when valid_from is null then 'valid_from is not a date, written as YYYY-MM-DD'
            when valid_to is null then 'valid_to is not a date, written as YYYY-MM-DD'
            when valid_from >= valid_to then 'valid_to is not after valid_from'
            when
                to_channel = '' and to_model_id not in (select model_id from price_book)
                then 'the price book has no model to_model_id: see int_current_price_book'
        end as problem
    from seed_rows
    union all
    select
        seed_rows.seed_row,
        'the price book has no model to_model_id on to_channel: see int_current_price_book' as problem
    from seed_rows
    left join price_book
        on seed_rows.to_channel = price_book.channel and seed_rows.to_model_id = price_book.model_id
    where seed_rows.to_channel <> '' and price_book.model_id is null
    union all
    select
        seed_rows.seed_row,
        'another row of the pair names no channel, which means every one' as problem
    from seed_rows
    inner join seed_rows as others
        on
            seed_rows.from_model_id = others.from_model_id
            and seed_rows.to_model_id = others.to_model_id
            and others.to_channel = ''
            and seed_rows.valid_from < others.valid_to
            and seed_rows.valid_to > others.valid_from
    where seed_rows.to_channel <> ''
    union all
    select
        seed_row,
        'two rows of the pair begin on the same day' as problem
    from seed_rows
    group by seed_row
    having count(*) > 1
    union all
    select
        seed_rows.seed_row,
        'it overlaps a later row of the pair: give it a valid_to' as problem
    from seed_rows
    inner join seed_rows as others
        on
            seed_rows.from_model_id = others.from_model_id
            and seed_rows.to_channel = others.to_channel
            and seed_rows.to_model_id = others.to_model_id
            and seed_rows.valid_from < others.valid_from
            and seed_rows.valid_to > others.valid_from
)

select *
from problems
where problem is not null
