-- Which row of a seed of bills can't be read, or can't be meant, and why. One row per seed, row and problem.
{% set categories = "'Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment'" %}
{% set is_code = llm_spend.regex_found("coalesce(trim(currency), '')", "'^[A-Za-z]{3}$'") %}

with invoices as (
    select
        *,
        {{ llm_spend.seed_number('billing_period', 'date') }} as period,
        coalesce(trim(invoice_date), '') as date_text,
        {{ llm_spend.seed_number('invoice_date', 'date') }} as parsed_date,
        {{ llm_spend.seed_number('amount', llm_spend.type_money()) }} as parsed_amount,
        coalesce(trim(usd_per_unit), '') as rate_text,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as parsed_rate
    from {{ ref('provider_invoices') }}
),

seat_rows as (
    select * from {{ ref('stg_rules__seats') }}
),

problems as (
    select
        'provider_invoices' as seed,
        {{ llm_spend.seed_line(['billing_period', 'provider', 'invoice_id', 'charge_category', 'amount']) }}
            as seed_row,
        case
            when coalesce(trim(provider), '') = '' then 'provider is empty'
            when period is null or period <> {{ llm_spend.month_start('period') }}
                then 'billing_period is not the first of a month, written as YYYY-MM-01'
            when parsed_amount is null then 'amount is no number'
            when not {{ is_code }} then 'currency is no code of three letters: it is never assumed'
            when coalesce(nullif(trim(charge_category), ''), 'Usage') not in ({{ categories }})
                then 'charge_category is none of Usage, Purchase, Tax, Credit, Adjustment'
            when coalesce(trim(cost_type), '') <> '' and coalesce(trim(charge_category), '') <> 'Purchase'
                then 'cost_type is of a Purchase only: leave it empty'
            when lower(coalesce(trim(cost_type), '')) not in ('', 'commitment', 'unused_commitment')
                then 'cost_type is none of commitment, unused_commitment'
            when date_text <> '' and parsed_date is null then 'invoice_date is no date, written as YYYY-MM-DD'
            when rate_text <> '' and coalesce(parsed_rate, 0) <= 0 then 'usd_per_unit is not a positive number'
            when upper(trim(currency)) = 'USD' and parsed_rate <> 1 then 'usd_per_unit is not 1 for USD'
            when upper(trim(currency)) <> 'USD' and rate_text = '' and date_text = ''
                then 'there is neither an invoice_date, whose rate would hold, nor usd_per_unit'
        end as problem
    from invoices
    union all
    select
        'seats' as seed,
        {{ llm_spend.seed_line(['provider', 'product', 'team_id', 'cost_center_id']) }} as seed_row,
        case
            when coalesce(provider, '') = '' or coalesce(product, '') = '' then 'provider or product is empty'
            when coalesce(seats, -1) < 0 then 'seats is not a whole number from 0 on'
            when coalesce(price_per_seat, -1) < 0 then 'price_per_seat is not a number from 0 on'
            when not {{ is_code }} then 'currency is no code of three letters'
            when valid_from is null or valid_from <> {{ llm_spend.month_start('valid_from') }}
                then 'valid_from is not the first of a month, written as YYYY-MM-01'
            when valid_to is null or valid_to <> {{ llm_spend.month_start('valid_to') }}
                then 'valid_to is not the first of a month, written as YYYY-MM-01'
            when valid_from >= valid_to then 'valid_to is not after valid_from'
        end as problem
    from seat_rows
    union all
    select
        'seats' as seed,
        {{ llm_spend.seed_line([
            'seat_rows.provider', 'seat_rows.product', 'seat_rows.team_id', 'seat_rows.cost_center_id'
        ]) }} as seed_row,
        'two rows of one product and owner overlap' as problem
    from seat_rows
    inner join seat_rows as others
        on
            seat_rows.provider = others.provider
            and seat_rows.provider_instance = others.provider_instance
            and seat_rows.product = others.product
            and coalesce(seat_rows.team_id, '') = coalesce(others.team_id, '')
            and coalesce(seat_rows.cost_center_id, '') = coalesce(others.cost_center_id, '')
            and seat_rows.valid_from < others.valid_from
            and seat_rows.valid_to > others.valid_from
    union all
    select
        'seats' as seed,
        {{ llm_spend.seed_line(['provider', 'product', 'team_id', 'cost_center_id']) }} as seed_row,
        'two rows of one product and owner begin at the same time' as problem
    from seat_rows
    group by provider, provider_instance, product, team_id, cost_center_id, valid_from
    having count(*) > 1
    union all
    select
        'provider_invoices' as seed,
        {{ llm_spend.seed_line([
            llm_spend.date_text('billing_period'), 'provider', 'invoice_id', 'charge_category', 'description'
        ]) }} as seed_row,
        'two lines of an invoice are alike: describe them, or leave one out' as problem
    from {{ ref('stg_rules__provider_invoices') }}
    where billing_period is not null
    group by billing_period, provider, provider_instance, invoice_id, charge_category, description
    having count(*) > 1
)

select *
from problems
where problem is not null
