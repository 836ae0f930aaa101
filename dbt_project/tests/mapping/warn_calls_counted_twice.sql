-- Two logs have the same calls, and both count, or none: a rule in seeds/mapping/sources_of_record.csv should say which one
-- does. Above llm_spend_overlap_share_limit of the requests of the source that has fewer.
{{ config(severity='warn') }}

select
    *,
    case when calls_counted_nowhere > calls_counted_twice then 'counted nowhere' else 'counted twice' end as problem
from {{ ref('llm_source_overlaps') }}
where
    share_counted_twice > cast('{{ var("llm_spend_overlap_share_limit") }}' as {{ type_decimal(18, 6) }})
    or calls_counted_nowhere > calls_counted_twice
