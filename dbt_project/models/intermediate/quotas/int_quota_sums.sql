{{ config(**llm_spend.by_usage_date('quota_version')) }}

{%- set requests %}
    (
        select * from {{ ref('fct_llm_requests') }}
        where is_of_record and {{ llm_spend.is_to_build(version='quota_version') }}
    )
{%- endset %}

with dates_to_build as (
    {{ llm_spend.dates_to_build('quota_version') }}
),

rules as (
    {{ llm_spend.quota_match_rules() }}
),

-- Apart, since each takes much memory: what earlier rules took of a contest, and the many windows of rules alone.
{% for kind, contested in {'contested': true, 'uncontested': false}.items() -%}
{{ kind }}_matches as (
    {{ llm_spend.quota_matches('rules', requests, contested=contested) }}
),

{{ kind }}_sums as (
    select
        usage_date,
        key_number,
        counter_subject,
        window_start,
        -- Windows that end on their date are whole here, and there are many; the others are parts.
        case when is_by_load then loaded_at end as loaded_at,
        cast(sum(quantity) as {{ dbt.type_bigint() }}) as quantity,
        cast(sum(cost_usd) as {{ llm_spend.type_money() }}) as cost_usd,
        cast(count(case when is_blocked then 1 end) as {{ dbt.type_bigint() }}) as observed_blocks,
        cast(count(case when is_unmeasured then 1 end) as {{ dbt.type_bigint() }}) as unmeasured_requests,
        cast(count(unpriced_tokens) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(coalesce(sum(unpriced_tokens), 0) as {{ dbt.type_bigint() }}) as unpriced_tokens
    from {{ kind }}_matches
    group by usage_date, key_number, counter_subject, window_start, case when is_by_load then loaded_at end
),

{% endfor -%}
-- A rule is in one contest, so its windows are in one of them.
sums as (
    select * from contested_sums
    union all
    select * from uncontested_sums
),

-- What all rows of a rule share.
rule_keys as (
    select distinct key_number, rule_key, counter_subject_type, is_by_load from rules
),

final as (
    select
        sums.usage_date,
        rule_keys.rule_key,
        rule_keys.counter_subject_type,
        sums.counter_subject,
        sums.window_start,
        sums.loaded_at,
        sums.quantity,
        sums.cost_usd,
        sums.observed_blocks,
        sums.unmeasured_requests,
        sums.unpriced_requests,
        sums.unpriced_tokens,
        rule_keys.is_by_load,
        dates_to_build.date_version
    from sums
    inner join rule_keys on sums.key_number = rule_keys.key_number
    inner join dates_to_build on sums.usage_date = dates_to_build.usage_date
)

select * from final
