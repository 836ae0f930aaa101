{{ config(**llm_spend.by_usage_date()) }}

{% set call_columns = [
    'usage_date', 'source_key', 'source_system', 'source_instance', 'lacks_response_id', 'is_of_record', 'cost_usd'
] %}

with dates_to_build as (
    {{ llm_spend.dates_to_build() }}
),

-- Dates on which more than one log has requests: who has one log only, reads nothing more.
shared_dates as (
    select usage_date
    from {{ ref('int_load_contents') }}
    where usage_date in (select usage_date from dates_to_build)
    group by usage_date
    having count(distinct {{ dbt.concat(['source_system', "'|'", 'source_instance']) }}) > 1
),

requests as (
    select
        usage_date,
        {{ dbt.concat(['source_system', "'|'", 'source_instance']) }} as source_key,
        source_system,
        source_instance,
        provider_response_id,
        provider_response_id is null as lacks_response_id,
        -- Text that two logs of one call have in common, most likely: a trace has many calls, few of the same size.
        case
            when trace_id is not null and total_tokens > 0
                then {{ dbt.concat([
                    'trace_id', "'|'", "coalesce(model_id, lower(resolved_model), '')", "'|'",
                    'cast(input_tokens as ' ~ dbt.type_string() ~ ')', "'|'",
                    'cast(output_tokens as ' ~ dbt.type_string() ~ ')'
                ]) }}
        end as trace_call,
        is_of_record,
        cost_usd
    from {{ ref('fct_llm_requests') }}
    where
        {{ llm_spend.is_to_build() }}
        and usage_date in (select usage_date from shared_dates)
),

-- By hashes first, since nearly all calls are in one log only.
{% for kind, key in {'responses': 'provider_response_id', 'traces': 'trace_call'}.items() -%}
shared_{{ kind }} as (
    select
        usage_date,
        {{ llm_spend.short_hash(key) }} as key_hash
    from requests
    where {{ key }} is not null
    group by usage_date, {{ llm_spend.short_hash(key) }}
    having min(source_key) <> max(source_key)
),

{% endfor -%}
found as (
    select
        requests.{{ call_columns | join(',\n        requests.') }},
        'response_id' as matched_by,
        requests.provider_response_id as call_key
    from requests
    inner join shared_responses as shared
        on
            requests.usage_date = shared.usage_date
            and {{ llm_spend.short_hash('requests.provider_response_id') }} = shared.key_hash
    union all
    select
        requests.{{ call_columns | join(',\n        requests.') }},
        'trace' as matched_by,
        requests.trace_call as call_key
    from requests
    inner join shared_traces as shared
        on
            requests.usage_date = shared.usage_date
            and {{ llm_spend.short_hash('requests.trace_call') }} = shared.key_hash
),

calls as (
    select
        usage_date,
        matched_by,
        call_key,
        source_key,
        source_system,
        source_instance,
        max(case when lacks_response_id then 1 else 0 end) = 1 as lacks_response_id,
        max(case when is_of_record then 1 else 0 end) = 1 as is_of_record,
        max(case when is_of_record then cost_usd end) as cost_usd
    from found
    group by usage_date, matched_by, call_key, source_key, source_system, source_instance
),

-- What two logs name by response ids is told by these; the trace is a guess for the rest.
pairs as (
    select
        calls.usage_date,
        calls.source_system,
        calls.source_instance,
        others.source_system as other_source_system,
        others.source_instance as other_source_instance,
        calls.matched_by,
        count(*) as calls_in_common,
        sum(case when calls.is_of_record and others.is_of_record then 1 else 0 end) as calls_counted_twice,
        sum(case when calls.is_of_record or others.is_of_record then 0 else 1 end) as calls_counted_nowhere,
        sum(
            case
                when not (calls.is_of_record and others.is_of_record) then null
                when calls.cost_usd <= others.cost_usd then calls.cost_usd
                when calls.cost_usd > others.cost_usd then others.cost_usd
            end
        ) as cost_counted_twice_usd
    from calls
    inner join calls as others
        on
            calls.usage_date = others.usage_date
            and calls.matched_by = others.matched_by
            and calls.call_key = others.call_key
            and calls.source_key < others.source_key
    where
        calls.matched_by = 'response_id'
        or calls.lacks_response_id
        or others.lacks_response_id
    group by
        calls.usage_date, calls.source_system, calls.source_instance, others.source_system, others.source_instance,
        calls.matched_by
),

-- A date without such calls has a row too: else it would be looked at again in every build.
final as (
    select
        dates_to_build.usage_date,
        source_system,
        source_instance,
        other_source_system,
        other_source_instance,
        matched_by,
        cast(calls_in_common as {{ dbt.type_bigint() }}) as calls_in_common,
        cast(calls_counted_twice as {{ dbt.type_bigint() }}) as calls_counted_twice,
        cast(calls_counted_nowhere as {{ dbt.type_bigint() }}) as calls_counted_nowhere,
        cast(cost_counted_twice_usd as {{ llm_spend.type_money() }}) as cost_counted_twice_usd,
        dates_to_build.date_version
    from dates_to_build
    left join pairs on dates_to_build.usage_date = pairs.usage_date
)

select * from final
