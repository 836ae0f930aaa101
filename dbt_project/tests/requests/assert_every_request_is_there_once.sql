-- Nothing is lost and nothing counts twice: every key that was loaded has exactly one row in the fact. Counts, not
-- lists of keys: ten million keys side by side would not fit beside the models.
{{ config(severity='error') }}

{% set facts = ref('fct_llm_requests') %}

with loaded as (
    select distinct request_key
    from {{ ref('int_requests_unioned') }}
    where {{ newly_loaded(facts) }}
),

counted as (
    select
        (select count(*) from loaded) as loaded_keys,
        (select count(*) from {{ facts }} where request_key in (select request_key from loaded)) as fact_rows,
        (select count(*) from {{ facts }} where {{ newly_loaded(facts) }}) as new_fact_rows
),

final as (
    select
        loaded_keys,
        fact_rows,
        new_fact_rows,
        case
            when fact_rows < loaded_keys then 'requests were loaded that are not in fct_llm_requests'
            when fact_rows > loaded_keys then 'requests have more than one row in fct_llm_requests'
            else 'fct_llm_requests has rows that were never loaded'
        end as problem
    from counted
    where fact_rows <> loaded_keys or new_fact_rows > fact_rows
)

select * from final
