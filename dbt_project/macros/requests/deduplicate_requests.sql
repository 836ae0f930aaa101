{#
    One row per request_key: the newest version (source_updated_at), then the one with the most tokens (a stream is
    logged with placeholder usage first), then the one loaded last.

    relation: canonical requests; condition: SQL that restricts them, about `requests`. Duplicates are few, so only they are ranked:
    ranking every row would sort the whole log.
#}
{% macro deduplicate_requests(relation, condition) %}
    with duplicated_keys as (
        select requests.request_key
        from {{ relation }} as requests
        where {{ condition }}
        group by requests.request_key
        having count(*) > 1
    ),

    versions as (
        select
            requests.*,
            row_number() over (
                partition by requests.request_key
                order by
                    coalesce(requests.source_updated_at, cast('1900-01-01' as {{ llm_spend.type_timestamp() }})) desc,
                    coalesce(requests.total_tokens, -1) desc,
                    requests.load_id desc,
                    -- Copies in one load that still differ: any order will do, as long as it is always the same.
                    requests.status,
                    coalesce(requests.http_status, 0),
                    coalesce(requests.gateway_reported_usd, -1) desc,
                    coalesce({{ document_text('requests.metadata') }}, '')
            ) as version_rank
        from {{ relation }} as requests
        inner join duplicated_keys on requests.request_key = duplicated_keys.request_key
        where {{ condition }}
    ),

    singles as (
        select
            requests.*,
            1 as version_rank
        from {{ relation }} as requests
        where
            requests.request_key not in (select duplicated_keys.request_key from duplicated_keys)
            and {{ condition }}
    )

    select * from singles
    union all
    select * from versions
    where version_rank = 1
{% endmacro %}
