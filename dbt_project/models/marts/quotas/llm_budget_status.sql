{%- set one_day = 86400000 %}

with sums as (
    select * from {{ ref('int_quota_sums') }}
    where is_by_load
),

versions as (
    {{ llm_spend.quota_rule_versions() }}
),

rules as (
    select * from versions
    where measure = 'cost' and window_unit not in ('minute', 'hour')
),

known as (
    {{ llm_spend.known_usage() }}
),

windows as (
    {{ llm_spend.added_up_quota_windows('sums') }}
),

judged as (
    {{ llm_spend.quota_windows('windows', 'rules') }}
),

-- A version of a rule counts the days from which to which it holds, whenever the period began.
bounded as (
    select
        judged.*,
        known.as_of,
        known.known_to,
        {{ llm_spend.quota_midnight('judged.valid_from', 'judged.time_zone') }} as rule_start,
        {{ llm_spend.quota_midnight('judged.valid_to', 'judged.time_zone') }} as rule_end
    from judged
    cross join known
),

counted as (
    select
        bounded.*,
        greatest(window_start, rule_start) as counted_from,
        least(coalesce(window_end, rule_end), coalesce(rule_end, window_end)) as counted_to
    from bounded
),

-- Milliseconds, since a period in a zone does not begin with a UTC day; NULL when less than a day is known.
timed as (
    select
        counted.*,
        {{ llm_spend.milliseconds_between('counted_from', 'counted_to') }} as period_ms,
        case
            when {{ llm_spend.milliseconds_between('counted_from', 'known_to') }} >= {{ one_day }}
                then {{ llm_spend.milliseconds_between('counted_from', 'known_to') }}
        end as known_ms
    from counted
),

divided as (
    select
        timed.*,
        mod(period_ms, known_ms) as rest_ms,
        cast((period_ms - mod(period_ms, known_ms)) / known_ms as {{ dbt.type_bigint() }}) as whole_times
    from timed
),

final as (
    select
        rule_set,
        rule_id,
        subject_type,
        subject,
        unit,
        enforcement,
        window_start as period_start,
        window_end as period_end,
        limit_to as budget_usd,
        used as spent_usd,
        limit_to - used as remaining_usd,
        used_ratio,
        case
            when counted_to <= known_to then used
            else cast(
                round(used * whole_times + {{ llm_spend.share_of('used', 'rest_ms', 'known_ms') }}, 2)
                as {{ llm_spend.type_money() }}
            )
        end as forecast_usd,
        status,
        case when unpriced_requests = 0 then 'exact' else 'unreliable' end as reliability,
        unpriced_tokens,
        unpriced_requests,
        counted_from < known_to and (counted_to is null or counted_to >= known_to) as is_current,
        as_of,
        known_to,
        rule_key
    from divided
)

select * from final
