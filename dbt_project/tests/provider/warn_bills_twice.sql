-- Two sources bill the same provider for the same month under the same name of the account: an API and a file,
-- probably, of the same money. Give accounts that differ different instances, or stop one of the two.
{{ config(severity='warn') }}

select
    provider,
    source_instance,
    billing_period,
    count(distinct source_system) as sources,
    min(source_system) as first_source,
    max(source_system) as last_source
from {{ ref('fct_llm_provider_costs') }}
where is_of_record and origin in ('api', 'file')
group by provider, source_instance, billing_period
having count(distinct source_system) > 1
