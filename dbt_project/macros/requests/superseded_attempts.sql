{#
    request_key of attempts that are not the last of their logical request on their usage date. One logical request
    counts once a date, at the attempt that ended it; a copy of an attempt on another date does not end anything.

    relation and condition: as in deduplicate_requests. Retries are few, so only requests with several rows are
    looked at closely.
#}
{% macro superseded_attempts(relation, condition) %}
    with repeated as (
        select
            requests.logical_request_id,
            requests.usage_date
        from {{ relation }} as requests
        where {{ condition }}
        group by requests.logical_request_id, requests.usage_date
        having count(*) > 1
    ),

    candidates as (
        select distinct requests.request_key
        from {{ relation }} as requests
        inner join repeated
            on
                requests.logical_request_id = repeated.logical_request_id
                and requests.usage_date = repeated.usage_date
        where {{ condition }}
    ),

    candidate_versions as (
        select requests.*
        from {{ relation }} as requests
        inner join candidates on requests.request_key = candidates.request_key
        where {{ condition }}
    ),

    attempts as (
        {{ deduplicate_requests('candidate_versions', 'true') }}
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
