-- What a provider gives as one total is not the sum of its groups, on a day that it is not expected to change any more:
-- rows are missing, or two groupings of the same money were added.
{{ config(severity='error') }}

select
    source_system,
    source_instance,
    provider,
    usage_date,
    kind,
    usage_type,
    measure,
    unit,
    control_amount,
    grouped_amount,
    difference
from {{ ref('llm_provider_cost_check') }}
where is_final and not is_matching
