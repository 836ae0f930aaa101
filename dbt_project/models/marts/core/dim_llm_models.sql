{% set million = "cast(1000000 as " ~ dbt.type_bigint() ~ ")" %}
{% set prices = ['input', 'cache_read', 'output'] %}
{% set open_end = "cast('9999-12-31' as " ~ type_timestamp() ~ ")" %}

with days as (
    select
        coalesce(channel, '(unknown)') as channel,
        coalesce(model_id, '(unresolved)') as model_id,
        provider,
        resolved_model,
        first_seen_at,
        last_seen_at
    from {{ ref('int_requests_daily') }}
    where is_of_record
),

price_book as (
    select * from {{ ref('int_price_book') }}
),

known as (
    {{ known_usage() }}
),

-- Prices up to which there is usage, whatever source is late; the last ones when there is none.
moments as (
    select coalesce(max(newest_to), {{ open_end }}) as price_to from known
),

names as (
    select
        channel,
        model_id,
        coalesce(resolved_model, '(unknown)') as resolved_model,
        min(provider) as provider,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from days
    group by channel, model_id, coalesce(resolved_model, '(unknown)')
),

seen as (
    select
        channel,
        model_id,
        min(provider) as provider,
        {{ dbt.listagg('resolved_model', "', '", 'order by resolved_model') }} as names_seen,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from names
    group by channel, model_id
),

-- Of prices that differ by the time of the week the dearest.
candidates as (
    select
        price_book.*,
        row_number() over (
            partition by price_book.channel, price_book.model_id
            order by
                coalesce(price_book.input_price, -1) desc,
                coalesce(price_book.output_price, -1) desc,
                price_book.minute_from,
                price_book.weekdays
        ) as place
    from price_book
    inner join moments
        on price_book.valid_from < moments.price_to and price_book.valid_to >= moments.price_to
    where price_book.service_tier = 'standard' and price_book.region = '*' and price_book.input_tokens_gt = -1
),

listed as (
    select
        channel,
        model_id,
        min(provider) as provider
    from price_book
    group by channel, model_id
),

members as (
    select
        coalesce(seen.channel, listed.channel) as channel,
        coalesce(seen.model_id, listed.model_id) as model_id,
        coalesce(listed.provider, seen.provider, '(unknown)') as provider,
        seen.names_seen,
        seen.first_seen_at,
        seen.last_seen_at,
        seen.channel is not null as is_used
    from seen
    full outer join listed on seen.channel = listed.channel and seen.model_id = listed.model_id
),

final as (
    select
        members.channel,
        members.model_id,
        members.provider,
        members.names_seen,
        {%- for price in prices %}
        cast(candidates.{{ price }}_price * {{ million }} as {{ type_money() }}) as {{ price }}_usd_per_million,
        {%- endfor %}
        {%- for price in prices %}
        cast(candidates.contract_{{ price }}_price * {{ million }} as {{ type_money() }})
            as contract_{{ price }}_usd_per_million,
        {%- endfor %}
        candidates.channel is not null as is_priced,
        members.is_used,
        members.first_seen_at,
        members.last_seen_at,
        'USD' as currency
    from members
    left join candidates
        on
            members.channel = candidates.channel
            and members.model_id = candidates.model_id
            and candidates.place = 1
)

select * from final
