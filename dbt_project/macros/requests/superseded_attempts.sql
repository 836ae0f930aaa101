{#
    The last attempt of every logical request that took several on one usage date: request_key of attempts that are
    NOT the last. One logical request counts once a date, at the attempt that ended it.

    relation and condition: as in deduplicate_requests.
#}
{% macro superseded_attempts(relation, condition) %}
    with retried as (
        select
            source_system,
            source_instance,
            logical_request_id,
            usage_date
        from {{ relation }}
        where {{ condition }}
        group by source_system, source_instance, logical_request_id, usage_date
        having min(request_key) <> max(request_key)
    ),

    attempts as (
        select
            requests.request_key,
            max(requests.started_at) as started_at,
            requests.source_system,
            requests.source_instance,
            requests.logical_request_id,
            requests.usage_date
        from {{ relation }} as requests
        inner join retried
            on
                requests.source_system = retried.source_system
                and requests.source_instance = retried.source_instance
                and requests.logical_request_id = retried.logical_request_id
                and requests.usage_date = retried.usage_date
        where {{ condition.replace('usage_date', 'requests.usage_date') }}
        group by
            requests.request_key,
            requests.source_system,
            requests.source_instance,
            requests.logical_request_id,
            requests.usage_date
    ),

    ranked as (
        select
            request_key,
            row_number() over (
                partition by source_system, source_instance, logical_request_id, usage_date
                order by started_at desc, request_key desc
            ) as attempt_rank
        from attempts
    )

    select request_key from ranked
    where attempt_rank > 1
{% endmacro %}
