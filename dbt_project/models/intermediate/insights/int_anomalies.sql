{# Weeks and days before a day that it is compared with, and how many of them must be known. #}
{% set weeks, least_weeks, days_before, least_days = 8, 4, 28, 10 %}
{% set sensitivity = var('llm_spend_anomaly_sensitivity') %}
{% set shares = var('llm_spend_anomaly_shares') %}
{# Robust standard deviations, of median distances; one number, since each product is rounded on Snowflake. #}
{% set width_of_spread = (1.4826 * sensitivity | float) | round(6) %}
{# Smallest changes that count: of a cost and a price as a part of what is expected, of a rate as it is. #}
{% set least_change = {'cost': 0.5, 'blended_price': 0.3, 'error_rate': 0.1, 'cache_miss_rate': 0.2} %}
{# Attempts of a day from which its rates are looked at, and attempts of the days that it is compared with. #}
{% set least_attempts, least_attempts_before = 20, 20 %}
{% set member = ['member_type', 'member_id'] %}
{% set finding = ['kind', 'usage_date'] + member %}

with known as (
    {{ known_usage() }}
),

numbers as (
    {{ numbers() }}
),

days as (
    select member_days.*
    from {{ ref('int_member_days') }} as member_days
    cross join known
    where member_days.usage_date < cast(known.newest_to as date)
),

members as (
    select
        member_type,
        member_id,
        min(usage_date) as first_usage_date
    from days
    group by member_type, member_id
),

-- What everybody together costs on a usual day, of every day that is judged.
usual as (
    select
        cast({{ dbt.dateadd('day', 'numbers.number', 'days.usage_date') }} as date) as usage_date,
        round({{ share_of('sum(coalesce(days.cost_usd, 0))', '1', days_before) }}, 6) as usual_usd
    from days
    cross join numbers
    where days.member_type = 'total' and numbers.number between 1 and {{ days_before }}
    group by cast({{ dbt.dateadd('day', 'numbers.number', 'days.usage_date') }} as date)
),

judged as (
    select
        usual.usage_date,
        usual.usual_usd,
        usual.usage_date < cast(known.known_to as date) as is_known,
        greatest(
            round(usual.usual_usd * {{ exact(shares['low']) }}, 12), {{ exact(var('llm_spend_anomaly_smallest_usd')) }}
        ) as smallest_usd
    from usual
    cross join known
    inner join members on members.member_type = 'total'
    where
        usual.usage_date < cast(known.newest_to as date)
        and usual.usage_date >= cast({{ dbt.dateadd('day', days_before, 'members.first_usage_date') }} as date)
        and usual.usual_usd > 0
),

least as (
    select min(smallest_usd) as smallest_usd
    from judged
),

-- A member that cost little on each of these days can neither have cost much more nor much less than usual.
costly as (
    select days.*
    from days
    cross join least
    where days.cost_usd >= least.smallest_usd
),

cost_candidates as (
    select
        'cost' as kind,
        judged.usage_date,
        costly.member_type,
        costly.member_id
    from costly
    cross join numbers
    inner join judged
        on judged.usage_date = cast({{ dbt.dateadd('day', 'numbers.number * 7', 'costly.usage_date') }} as date)
    where numbers.number <= {{ weeks }} and costly.cost_usd >= judged.smallest_usd
    group by judged.usage_date, costly.member_type, costly.member_id
),

rate_candidates as (
    select
        'error_rate' as kind,
        days.usage_date,
        days.member_type,
        days.member_id
    from days
    inner join judged on days.usage_date = judged.usage_date
    where
        days.member_type in ('total', 'team', 'feature', 'model', 'api_key')
        and days.attempts >= {{ least_attempts }}
        and days.failed_attempts >= 5
        and days.failed_attempts >= days.attempts * {{ exact(least_change['error_rate']) }}
    {% for kind, types in {
        'cache_miss_rate': ['total', 'team', 'feature', 'model', 'api_key'],
        'blended_price': ['total', 'team', 'feature', 'customer', 'model', 'api_key'],
    }.items() -%}
    {% set of = {'cache_miss_rate': 'input_tokens', 'blended_price': 'priced_tokens'} -%}
    union all
    select
        '{{ kind }}' as kind,
        costly.usage_date,
        costly.member_type,
        costly.member_id
    from costly
    inner join judged on costly.usage_date = judged.usage_date
    where
        costly.member_type in ('{{ types | join("', '") }}')
        and costly.attempts >= {{ least_attempts }}
        and costly.cost_usd >= judged.smallest_usd
        and costly.{{ of[kind] }} > 0
        {%- if kind == 'blended_price' %}
        and {{ is_nearly_all_priced('costly.') }}
        {%- endif %}
    {% endfor -%}
),

-- Costs are compared with the same weekdays, on which a day without usage is one of 0 since the member was first seen;
-- a day whose cost is not known, of whose tokens too many have no price, or with which a source is late is left out: it
-- would look cheap. Rates are compared with all days that have enough requests, prices with those of them whose tokens
-- nearly all have one.
weekdays as (
    select
        cost_candidates.kind,
        cost_candidates.usage_date,
        cost_candidates.member_type,
        cost_candidates.member_id,
        cast({{ dbt.dateadd('day', '(0 - numbers.number * 7)', 'cost_candidates.usage_date') }} as date) as other_date
    from cost_candidates
    cross join numbers
    where numbers.number between 1 and {{ weeks }}
),

compared as (
    select
        weekdays.kind,
        weekdays.usage_date,
        weekdays.member_type,
        weekdays.member_id,
        case when days.usage_date is null then 0 else days.cost_usd end as other_value
    from weekdays
    inner join known
        on weekdays.other_date < cast(known.known_to as date)
    inner join members
        on
            weekdays.member_type = members.member_type
            and weekdays.member_id = members.member_id
            and weekdays.other_date >= members.first_usage_date
    left join days
        on
            weekdays.member_type = days.member_type
            and weekdays.member_id = days.member_id
            and weekdays.other_date = days.usage_date
    where days.usage_date is null or (days.cost_usd is not null and {{ is_nearly_all_priced('days.') }})
    union all
    select
        found.kind,
        found.usage_date,
        found.member_type,
        found.member_id,
        cast({{ rate_of('found.kind', 'days') }} as {{ type_money() }}) as other_value
    from rate_candidates as found
    inner join days
        on
            found.member_type = days.member_type
            and found.member_id = days.member_id
            and found.usage_date > days.usage_date
            and cast({{ dbt.dateadd('day', -days_before, 'found.usage_date') }} as date) <= days.usage_date
    where
        days.attempts >= {{ least_attempts_before }}
        and case found.kind
            when 'error_rate' then true
            when 'cache_miss_rate' then days.input_tokens > 0
            else days.priced_tokens > 0 and {{ is_nearly_all_priced('days.') }}
        end
),

least_values as (
    select
        {{ finding | join(',\n        ') }},
        min(other_value) as least_value
    from compared
    group by {{ finding | join(', ') }}
),

medians as (
    {{ medians('compared', finding, 'other_value', 'expected') }}
),

deviations as (
    select
        compared.kind,
        compared.usage_date,
        compared.member_type,
        compared.member_id,
        abs(compared.other_value - medians.expected) as deviation
    from compared
    inner join medians
        on
            {{ same_keys('compared', 'medians', finding) }}
),

spreads as (
    {{ medians('deviations', finding, 'deviation', 'spread') }}
),

measured as (
    select
        medians.kind,
        medians.usage_date,
        medians.member_type,
        medians.member_id,
        medians.expected,
        medians.places as baseline_days,
        -- A spread of few days says less: with 4 it counts 1.75 times, with 8 1.375 times, with 28 1.11 times.
        cast(
            round(
                {{ share_of('spreads.spread * (medians.places + 3)', '1', 'medians.places') }}
                * {{ exact(width_of_spread) }},
                12
            ) as {{ type_money() }}
        ) as usual_change,
        least_values.least_value,
        judged.usual_usd,
        judged.smallest_usd,
        judged.is_known,
        coalesce(days.attempts, 0) as attempts,
        coalesce(days.failed_attempts, 0) as failed_attempts,
        coalesce(days.priced_tokens, 0) as priced_tokens,
        coalesce(days.unpriced_tokens, 0) as unpriced_tokens,
        case when days.usage_date is null then 0 else days.cost_usd end as cost_usd,
        cast(
            case
                when medians.kind <> 'cost' then {{ rate_of('medians.kind', 'days') }}
                when days.usage_date is not null then days.cost_usd
                else 0
            end as {{ type_money() }}
        ) as observed
    from medians
    inner join spreads
        on
            {{ same_keys('medians', 'spreads', finding) }}
    inner join least_values
        on
            {{ same_keys('medians', 'least_values', finding) }}
    inner join judged on medians.usage_date = judged.usage_date
    left join days
        on
            medians.member_type = days.member_type
            and medians.member_id = days.member_id
            and medians.usage_date = days.usage_date
    where medians.places >= case when medians.kind = 'cost' then {{ least_weeks }} else {{ least_days }} end
),

changes as (
    select
        measured.*,
        case kind
            when 'cost' then greatest(round(expected * {{ exact(least_change['cost']) }}, 12), smallest_usd)
            when 'blended_price' then round(expected * {{ exact(least_change['blended_price']) }}, 12)
            when 'error_rate' then {{ exact(least_change['error_rate']) }}
            else {{ exact(least_change['cache_miss_rate']) }}
        end as least_change
    from measured
),

-- A cost can't be below 0, however much it varies: less than a third of the least is a drop in any case.
banded as (
    select
        changes.*,
        expected + greatest(usual_change, least_change) as upper_bound,
        case
            when kind <> 'cost' then greatest(expected - greatest(usual_change, least_change), 0)
            else greatest(
                least(
                    greatest(expected - usual_change, {{ share_of('least_value', '1', '3') }}), expected - least_change
                ),
                0
            )
        end as lower_bound
    from changes
),

-- What the change is worth. What failed calls would have cost is not known: of a rate it is its excess as a part of the
-- cost of the day; of a price, what the tokens of the day cost more or less by it.
valued as (
    select
        banded.*,
        -- Where much has no price, a lower cost is no drop; and people, with their keys, have days off.
        {{ is_nearly_all_priced('') }} and member_type not in ('user', 'api_key') as can_drop,
        -- The square of the excess is above the variance of a chance, times the square of the sensitivity.
        (failed_attempts - attempts * expected) * (failed_attempts - attempts * expected)
        > {{ exact(sensitivity) }} * {{ exact(sensitivity) }} * (attempts * expected + 1) as failed_more_than_by_chance,
        case kind
            when 'cost' then abs(observed - expected)
            when 'blended_price'
                then round(abs(observed - expected) * priced_tokens * {{ exact('0.000001') }}, 12)
            else round((observed - expected) * coalesce(cost_usd, 0), 12)
        end as severity_usd
    from banded
),

outside as (
    select
        case
            when kind <> 'cost' then kind
            when observed > expected then 'cost_spike'
            else 'cost_drop'
        end as kind,
        usage_date,
        member_type,
        member_id,
        observed,
        expected,
        lower_bound,
        upper_bound,
        case
            when observed > expected then {{ whole_ratio(
                millionths('(observed - expected) * ' ~ exact(sensitivity)), millionths('upper_bound - expected')
            ) }}
            else {{ whole_ratio(
                millionths('(observed - expected) * ' ~ exact(sensitivity)), millionths('expected - lower_bound')
            ) }}
        end as score,
        severity_usd,
        usual_usd,
        cast(baseline_days as {{ dbt.type_bigint() }}) as baseline_days
    from valued
    where
        (observed > upper_bound or observed < lower_bound)
        -- What a late source still brings can only make a spike higher.
        and (is_known or (kind = 'cost' and observed > expected))
        and case kind
            when 'cost' then observed > expected or can_drop
            when 'error_rate' then observed > expected and failed_more_than_by_chance
            when 'cache_miss_rate' then observed > expected and severity_usd >= smallest_usd
            else severity_usd >= smallest_usd
        end
),

-- Who calls with something new, after four weeks in which everything was: of a key only if it costs what matters.
arrived as (
    select
        members.member_type,
        members.member_id,
        members.first_usage_date as usage_date,
        judged.usual_usd,
        judged.smallest_usd,
        sum(days.cost_usd) as cost_usd
    from members
    inner join judged on members.first_usage_date = judged.usage_date
    inner join days
        on
            members.member_type = days.member_type
            and members.member_id = days.member_id
            and days.usage_date < cast({{ dbt.dateadd('day', 7, 'members.first_usage_date') }} as date)
    where members.member_type in ('model', 'api_key') and members.member_id <> '(unresolved)'
    group by
        members.member_type, members.member_id, members.first_usage_date, judged.usual_usd, judged.smallest_usd
),

final as (
    select
        kind,
        usage_date,
        member_type,
        member_id,
        cast(observed as {{ type_money() }}) as observed,
        cast(expected as {{ type_money() }}) as expected,
        cast(lower_bound as {{ type_money() }}) as lower_bound,
        cast(upper_bound as {{ type_money() }}) as upper_bound,
        score,
        cast(severity_usd as {{ type_money() }}) as severity_usd,
        cast(usual_usd as {{ type_money() }}) as usual_usd,
        baseline_days
    from outside
    union all
    select
        case when member_type = 'model' then 'new_model' else 'new_api_key' end as kind,
        usage_date,
        member_type,
        member_id,
        cast(cost_usd as {{ type_money() }}) as observed,
        cast(0 as {{ type_money() }}) as expected,
        cast(null as {{ type_money() }}) as lower_bound,
        cast(null as {{ type_money() }}) as upper_bound,
        cast(null as {{ type_decimal(18, 6) }}) as score,
        cast(cost_usd as {{ type_money() }}) as severity_usd,
        cast(usual_usd as {{ type_money() }}) as usual_usd,
        cast(0 as {{ dbt.type_bigint() }}) as baseline_days
    from arrived
    where member_type = 'model' or cost_usd is null or cost_usd >= smallest_usd
)

select * from final
