-- Nothing is lost and nothing counts twice: every request that was loaded has exactly one row in the fact, on the date on
-- which it was loaded or, with versions on several dates, on one of them.
{{ config(severity='error') }}

with loaded as (
    select request_key
    from {{ ref('int_requests_unioned') }}
    where {{ recently_built(started_at='started_at') }}
    group by request_key
),

facts as (
    select request_key
    from {{ ref('fct_llm_requests') }}
    where {{ recently_built() }}
),

-- Told by a hash: no other request is taken for one of these where keys are compared.
moved as (
    select
        request_hash,
        usage_date
    from {{ ref('int_moved_requests') }}
    where request_hash is not null
),

moved_loaded as (
    select request_key
    from loaded
    where {{ short_hash('request_key') }} in (select request_hash from moved)
),

moved_facts as (
    select request_key
    from {{ ref('fct_llm_requests') }}
    where
        usage_date in (
            select usage_date from moved
            where request_hash in (select {{ short_hash('request_key') }} from moved_loaded)
        )
        and request_key in (select request_key from moved_loaded)
        and {{ on_constant_dates(['date_version', 'quota_version', 'moved_from']) }}
),

-- Counts, not lists of keys: ten million keys side by side would not fit beside the models.
counted as (
    select
        'requests of one date' as kind,
        (select count(*) from loaded where {{ short_hash('request_key') }} not in (select request_hash from moved))
            as loaded_keys,
        (
            select count(distinct request_key) from facts
            where {{ short_hash('request_key') }} not in (select request_hash from moved)
        ) as fact_keys,
        (select count(*) from facts where {{ short_hash('request_key') }} not in (select request_hash from moved))
            as fact_rows
    union all
    select
        'requests with versions on several dates' as kind,
        (select count(*) from moved_loaded) as loaded_keys,
        (select count(distinct request_key) from moved_facts) as fact_keys,
        (select count(*) from moved_facts) as fact_rows
),

final as (
    select
        *,
        case
            when fact_rows > fact_keys then 'requests have more than one row in fct_llm_requests'
            when fact_keys < loaded_keys then 'requests were loaded that are not in fct_llm_requests'
            else 'fct_llm_requests has requests that were never loaded'
        end as problem
    from counted
    where fact_rows <> fact_keys or fact_keys <> loaded_keys
)

select * from final
