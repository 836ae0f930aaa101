{%- set one_day = 86400000 %}

with known as (
    {{ llm_spend.known_usage() }}
),

-- What comes after known_to is spent, and tells no rate: other sources are late there.
sums as (
    select
        quota_sums.*,
        case
            when known.known_to = known.newest_to or quota_sums.usage_date < cast(known.known_to as date)
                then quota_sums.cost_usd
        end as known_cost_usd
    from {{ ref('int_quota_sums') }} as quota_sums
    cross join known
    where quota_sums.is_by_load
),

versions as (
    {{ llm_spend.quota_rule_versions() }}
),

rules as (
    select * from versions
    where measure = 'cost' and window_unit not in ('minute', 'hour')
),

windows as (
    {{ llm_spend.added_up_quota_windows('sums', others=['known_cost_usd']) }}
),

judged as (
    {{ llm_spend.quota_windows('windows', 'rules', others=['known_cost_usd']) }}
),

-- A version of a rule counts the days from which to which it holds, whenever the period began.
bounded as (
    select
        judged.*,
        known.as_of,
        known.newest_to,
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
        cast(coalesce(known_cost_usd, 0) as {{ llm_spend.type_money() }}) as known_used,
        mod(period_ms, known_ms) as rest_ms,
        cast((period_ms - mod(period_ms, known_ms)) / known_ms as {{ dbt.type_bigint() }}) as whole_times
    from timed
),

estimated as (
    select
        divided.*,
        known_used * whole_times + {{ llm_spend.share_of('known_used', 'rest_ms', 'known_ms') }} as estimated_usd
    from divided
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
            -- No less than what is spent. Where there is no estimate, there is none of these two either.
            when estimated_usd is not null
                then cast(round(greatest(used, estimated_usd), 2) as {{ llm_spend.type_money() }})
        end as forecast_usd,
        status,
        case when unpriced_requests = 0 then 'exact' else 'unreliable' end as reliability,
        unpriced_tokens,
        unpriced_requests,
        counted_from < newest_to and (counted_to is null or counted_to >= newest_to) as is_current,
        as_of,
        known_to,
        rule_key
    from estimated
)

select * from final
