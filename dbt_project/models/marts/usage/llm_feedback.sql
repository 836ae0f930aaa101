with feedback as (
    select
        *,
        row_number() over (
            partition by
                load_id, source_system, source_instance, given_at, record_id, trace_id, feedback_value, weight
            order by given_at
        ) as copy_number
    from {{ ref('stg_gateway__feedback') }}
    where load_id in (select load_id from {{ ref('int_loads') }})
),

-- Windows may overlap without one lying within the other: the same feedback counts once.
ranked as (
    select
        *,
        row_number() over (
            partition by
                source_system, source_instance, given_at, record_id, trace_id, feedback_value, weight, copy_number
            order by load_id desc
        ) as choice
    from feedback
),

given as (
    select
        *,
        row_number() over (
            partition by source_system, source_instance, given_at
            -- Warehouses disagree on where NULL is sorted.
            order by
                coalesce(record_id, ''),
                coalesce(trace_id, ''),
                coalesce(feedback_value, 0),
                case when feedback_value is null then 0 else 1 end,
                weight,
                copy_number
        ) as feedback_number
    from ranked
    where choice = 1
),

requests as (
    select
        request_key,
        source_system,
        source_instance,
        source_record_id,
        trace_id,
        usage_date,
        started_at
    from {{ ref('fct_llm_requests') }}
    where exists (select 1 from given)
),

candidates as (
    select
        given.source_system,
        given.source_instance,
        given.given_at,
        given.feedback_number,
        'record' as matched_by,
        requests.request_key,
        requests.usage_date,
        requests.started_at
    from requests
    inner join given
        on
            requests.source_system = given.source_system
            and requests.source_instance = given.source_instance
            and requests.source_record_id = given.record_id
    union all
    select
        given.source_system,
        given.source_instance,
        given.given_at,
        given.feedback_number,
        'trace' as matched_by,
        requests.request_key,
        requests.usage_date,
        requests.started_at
    from requests
    inner join given
        on
            requests.source_system = given.source_system
            and requests.source_instance = given.source_instance
            and requests.trace_id = given.trace_id
),

-- A trace with three attempts has one feedback: it belongs to the last of them before it was given.
chosen as (
    select
        *,
        row_number() over (
            partition by source_system, source_instance, given_at, feedback_number
            order by
                matched_by,
                case when started_at <= given_at then 0 else 1 end,
                started_at desc,
                request_key desc
        ) as choice
    from candidates
),

final as (
    select
        given.source_system,
        given.source_instance,
        given.given_at,
        cast(given.feedback_number as {{ dbt.type_bigint() }}) as feedback_number,
        given.record_id,
        given.trace_id,
        given.feedback_value,
        given.weight,
        cast(given.feedback_value * given.weight as {{ type_decimal(18, 6) }}) as weighted_value,
        chosen.request_key,
        chosen.usage_date,
        chosen.matched_by
    from given
    left join chosen
        on
            given.source_system = chosen.source_system
            and given.source_instance = chosen.source_instance
            and given.given_at = chosen.given_at
            and given.feedback_number = chosen.feedback_number
            and chosen.choice = 1
)

select * from final
