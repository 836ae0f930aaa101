-- Nothing is lost and nothing counts twice: the keys that were loaded are the keys of the fact, each in one row.
{{ config(severity='error') }}

{% set facts = ref('fct_llm_requests') %}

with loaded as (
    select distinct request_key
    from {{ ref('int_requests_unioned') }}
    where {{ newly_loaded(facts) }}
),

new_facts as (
    select request_key
    from {{ facts }}
    where {{ newly_loaded(facts) }}
),

-- Also against rows that stand on another date, from an earlier version of the record.
copies as (
    select
        facts.request_key,
        count(*) as row_count
    from {{ facts }} as facts
    where facts.request_key in (select request_key from new_facts)
    group by facts.request_key
),

final as (
    select
        loaded.request_key,
        'loaded, but not in fct_llm_requests' as problem
    from loaded
    left join {{ facts }} as facts on loaded.request_key = facts.request_key
    where facts.request_key is null

    union all

    select
        copies.request_key,
        'more than one row in fct_llm_requests' as problem
    from copies
    where copies.row_count > 1

    union all

    select
        new_facts.request_key,
        'in fct_llm_requests, but never loaded' as problem
    from new_facts
    left join loaded on new_facts.request_key = loaded.request_key
    where loaded.request_key is null
)

select * from final
