{{ config(
    materialized='incremental',
    incremental_strategy=llm_spend.replace_by_key(),
    unique_key='usage_date',
    on_schema_change='fail'
) }}

{# Of int_model_resolution; when a row holds is decided by seeds that are in the version anyway. #}
{% set resolved_columns = [
    'resolution.source_system', 'resolution.raw_provider', 'resolution.raw_model', llm_spend.date_text('cast(resolution.valid_from as date)'),
    'resolution.provider', 'resolution.channel', 'resolution.model_id', 'resolution.matched_by'
] %}
with contents as (
    select * from {{ ref('int_load_contents') }}
),

moved as (
    select * from {{ ref('int_moved_requests') }}
),

loads as (
    select * from {{ ref('int_loads') }}
),

basis as (
    select * from {{ ref('int_basis') }}
),

closed_periods as (
    select * from {{ ref('int_closed_periods') }}
),

month_starts as (
    select * from {{ ref('int_month_starts') }}
),

restated_prices as (
    select * from {{ ref('int_restated_prices') }}
),

resolution as (
    select * from {{ ref('int_model_resolution') }}
),

-- A version of a request that arrives on one date changes what holds on the others.
touched as (
    select
        usage_date,
        load_id
    from contents
    where usage_date is not null
    {{ llm_spend.union_distinct() }}
    select
        moved.usage_date,
        others.load_id
    from moved
    inner join moved as others on moved.request_hash = others.request_hash
),

-- Loads that count no more are left out: a date that had only such rows is built again, and is empty then.
loads_of_date as (
    select
        touched.usage_date,
        coalesce({{ dbt.listagg('loads.load_id', "','", 'order by loads.load_id') }}, '') as load_ids
    from touched
    left join loads on touched.load_id = loads.load_id
    group by touched.usage_date
),

-- Prices that are others today than when the month of the date was closed.
restated_dates as (
    select
        loads_of_date.usage_date,
        {{ dbt.hash(dbt.listagg('restated_prices.price_hash', "','", 'order by restated_prices.price_hash')) }}
            as price_hash
    from loads_of_date
    inner join restated_prices
        on
            loads_of_date.usage_date >= restated_prices.first_date
            and cast(loads_of_date.usage_date as {{ llm_spend.type_timestamp() }}) < restated_prices.valid_to
    group by loads_of_date.usage_date
),

-- What names mean in closed months: a model that gets its first price, or a fallback, can change that.
names_of_date as (
    select distinct
        contents.usage_date,
        contents.source_system,
        contents.raw_provider,
        contents.raw_model
    from contents
    inner join closed_periods
        on {{ llm_spend.month_start('contents.usage_date') }} = closed_periods.billing_period
),

meanings as (
    select
        names_of_date.usage_date,
        {{ dbt.hash(llm_spend.seed_line(resolved_columns)) }} as meaning_hash
    from names_of_date
    inner join resolution
        on
            names_of_date.source_system = resolution.source_system
            and coalesce(names_of_date.raw_provider, '') = coalesce(resolution.raw_provider, '')
            and coalesce(names_of_date.raw_model, '') = coalesce(resolution.raw_model, '')
            and names_of_date.usage_date >= cast(resolution.valid_from as date)
            and names_of_date.usage_date <= cast(resolution.valid_to as date)
),

meanings_of_date as (
    select
        usage_date,
        {{ dbt.hash(dbt.listagg('meaning_hash', "','", 'order by meaning_hash')) }} as meaning_hash
    from meanings
    group by usage_date
),

-- The billing months that a date is of: two where one ends within it, and then since when it is of the second.
months_of_date as (
    select
        loads_of_date.*,
        coalesce(month_starts.billing_period, {{ llm_spend.month_start('loads_of_date.usage_date') }}) as last_period,
        coalesce(
            {{ llm_spend.month_before('month_starts.billing_period') }},
            {{ llm_spend.month_start('loads_of_date.usage_date') }}
        ) as first_period,
        {{ llm_spend.minute_of_day('month_starts.starts_at') }} as minute_of_start
    from loads_of_date
    left join month_starts
        on loads_of_date.usage_date = month_starts.usage_date
),

-- A changed price reaches a closed month only where it is to be restated.
bases_of_date as (
    select
        months_of_date.*,
        coalesce(
            {{ dbt.concat([
                "'closed '", 'case when opening.closing is not null then ending.closing end', "' '",
                'basis.closed_basis_id', "' '", "coalesce(restated_dates.price_hash, '')", "' '",
                "coalesce(meanings_of_date.meaning_hash, '')"
            ]) }},
            basis.basis_id
        )
        || case
            when months_of_date.minute_of_start is null then ''
            else {{ dbt.concat([
                "' '", 'cast(months_of_date.minute_of_start as ' ~ dbt.type_string() ~ ')', "' '",
                "coalesce(opening.closing, '')", "' '", "coalesce(ending.closing, '')"
            ]) }}
        end as basis_id,
        basis.quota_basis_id
    from months_of_date
    cross join basis
    left join closed_periods as opening
        on months_of_date.first_period = opening.billing_period
    left join closed_periods as ending
        on months_of_date.last_period = ending.billing_period
    left join restated_dates
        on months_of_date.usage_date = restated_dates.usage_date
    left join meanings_of_date
        on months_of_date.usage_date = meanings_of_date.usage_date
),

versions as (
    select
        usage_date,
        {{ dbt.hash(dbt.concat([
            llm_spend.date_text('usage_date'), "'|'", 'basis_id', "'|'", 'load_ids'
        ])) }} as date_version,
        quota_basis_id
    from bases_of_date
),

named as (
    select
        usage_date,
        date_version,
        {{ dbt.hash(dbt.concat(['date_version', "'|'", 'quota_basis_id'])) }} as quota_version
    from versions
),

final as (
    select
        named.usage_date,
        named.date_version,
        named.quota_version,
        {{ llm_spend.build_started_at() }} as versioned_at
    from named
    {% if is_incremental() %}
    left join {{ this }} as known
        on named.usage_date = known.usage_date and named.quota_version = known.quota_version
    where known.usage_date is null
    {% endif %}
)

select * from final
