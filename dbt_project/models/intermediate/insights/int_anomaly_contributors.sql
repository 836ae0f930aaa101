{% set finding = ['kind', 'usage_date', 'member_type', 'member_id'] %}
{# In the order in which one of two contributors of the same share is told first: whom one would ask first. #}
{% set contributors = ['user', 'api_key', 'customer', 'feature', 'model', 'team'] %}
{% set columns = [] %}
{% for contributor in contributors %}{% do columns.append(insight_members()[contributor]) %}{% endfor %}

with known as (
    {{ known_usage() }}
),

numbers as (
    {{ numbers() }}
),

findings as (
    select * from {{ ref('int_anomalies') }}
),

first_days as (
    select
        member_type,
        member_id,
        min(usage_date) as first_usage_date
    from {{ ref('int_member_days') }}
    group by member_type, member_id
),

-- The day, or the first week of something new, and the same weekdays before, since the member was first seen; a price
-- is compared with that which was expected, whatever these days cost.
looked_at as (
    select
        {{ columns_of('findings', finding) }},
        cast({{ dbt.dateadd('day', 'numbers.number', 'findings.usage_date') }} as date) as other_date,
        1 as is_day
    from findings
    cross join numbers
    where numbers.number < case when findings.kind in ('new_model', 'new_api_key') then 7 else 1 end
    union all
    select
        {{ columns_of('findings', finding) }},
        cast({{ dbt.dateadd('day', '(0 - numbers.number * 7)', 'findings.usage_date') }} as date) as other_date,
        0 as is_day
    from findings
    inner join first_days
        on
            findings.member_type = first_days.member_type
            and findings.member_id = first_days.member_id
    cross join numbers
    where
        findings.kind <> 'blended_price'
        and numbers.number between 1 and 8
        and cast({{ dbt.dateadd('day', '(0 - numbers.number * 7)', 'findings.usage_date') }} as date)
        >= first_days.first_usage_date
),

days_before as (
    select
        {{ finding | join(',\n        ') }},
        sum(1 - is_day) as days_before
    from looked_at
    group by {{ finding | join(', ') }}
),

crossed as (
    select
        int_member_days_crossed.*,
        '(all)' as everybody
    from {{ ref('int_member_days_crossed') }} as int_member_days_crossed
    cross join known
    where
        int_member_days_crossed.usage_date < cast(known.newest_to as date)
        and int_member_days_crossed.usage_date in (select other_date from looked_at)
),

-- What counts: money, failed calls, or input tokens that no cache of the provider held.
counted as (
    {% for member_type, column in insight_members().items() -%}
    select
        {{ columns_of('looked_at', finding) }},
        looked_at.is_day,
        {{ columns_of('crossed', columns) }},
        case looked_at.kind
            when 'error_rate' then crossed.failed_attempts
            when 'cache_miss_rate' then crossed.input_tokens - crossed.cache_read_tokens
            else coalesce(crossed.cost_usd, 0)
        end as measure,
        case when looked_at.kind = 'blended_price' then crossed.priced_tokens else 0 end as priced_tokens
    from looked_at
    inner join crossed
        on
            looked_at.other_date = crossed.usage_date
            and looked_at.member_id = crossed.{{ column or 'everybody' }}
    where looked_at.member_type = '{{ member_type }}'
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- The change from the mean of the days before, times their number: divided at the end.
changed as (
    select
        {{ columns_of('counted', finding) }},
        {{ columns_of('counted', columns) }},
        sum(
            case when counted.is_day = 1 then greatest(days_before.days_before, 1) else -1 end * counted.measure
        ) as change_in_days,
        sum(counted.priced_tokens) as priced_tokens
    from counted
    inner join days_before
        on
            {{ same_keys('counted', 'days_before', finding) }}
    group by
        {{ columns_of('counted', finding + columns) }}
),

-- What a contributor's change is a part of: of a cost and a price the distance from what was expected, since a mean of
-- days with an earlier spike would hide the next one.
totals as (
    select
        {{ columns_of('changed', finding) }},
        max(findings.expected) as expected,
        max(case when findings.observed < findings.expected then -1 else 1 end) as direction,
        case
            when changed.kind in ('cost_spike', 'cost_drop', 'blended_price')
                then max(findings.severity_usd) * max(greatest(days_before.days_before, 1))
            else sum(changed.change_in_days)
        end as change_in_days
    from changed
    inner join findings
        on
            {{ same_keys('changed', 'findings', finding) }}
    inner join days_before
        on
            {{ same_keys('changed', 'days_before', finding) }}
    group by
        {{ columns_of('changed', finding) }}
),

parts as (
    {% for contributor in contributors -%}
    select
        {{ finding | join(',\n        ') }},
        '{{ contributor }}' as contributor_type,
        {{ loop.index }} as type_order,
        {{ insight_members()[contributor] }} as contributor_id,
        sum(change_in_days) as change_in_days,
        cast(sum(priced_tokens) as {{ dbt.type_bigint() }}) as priced_tokens
    from changed
    where member_type <> '{{ contributor }}' and {{ insight_members()[contributor] }} is not null
    group by {{ finding | join(', ') }}, {{ insight_members()[contributor] }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- Of a price: what the tokens cost, less what they would have at the price that was expected.
valued as (
    select
        {{ columns_of('parts', finding) }},
        parts.contributor_type,
        parts.type_order,
        parts.contributor_id,
        totals.direction,
        totals.change_in_days as whole_change_in_days,
        case
            when parts.kind = 'blended_price'
                then
                    parts.change_in_days
                    - round(totals.expected * parts.priced_tokens * {{ exact('0.000001') }}, 12)
            else parts.change_in_days
        end as change_in_days
    from parts
    inner join totals
        on
            {{ same_keys('parts', 'totals', finding) }}
),

shared as (
    select
        {{ columns_of('valued', finding) }},
        valued.contributor_type,
        valued.type_order,
        valued.contributor_id,
        {% set days = 'greatest(days_before.days_before, 1)' -%}
        {{ share_of('cast(valued.change_in_days as ' ~ type_money() ~ ')', '1', days) }} as change,
        {{ whole_ratio(
            millionths('valued.direction * valued.change_in_days'), millionths('valued.whole_change_in_days')
        ) }} as share_ratio
    from valued
    inner join days_before
        on
            {{ same_keys('valued', 'days_before', finding) }}
),

-- The first of each kind of contributor, and of these the first three; whom nobody knows comes after the others.
firsts as (
    select
        shared.*,
        row_number() over (
            partition by {{ finding | join(', ') }}, contributor_type
            order by case when contributor_id like '(%' then 1 else 0 end, share_ratio desc, contributor_id
        ) as place_of_type
    from shared
    where share_ratio >= {{ exact(0.2) }}
),

final as (
    select
        {{ finding | join(',\n        ') }},
        contributor_type,
        contributor_id,
        cast(change as {{ type_money() }}) as change,
        share_ratio,
        case
            when place_of_type = 1
                then cast(row_number() over (
                    partition by {{ finding | join(', ') }}, case when place_of_type = 1 then 1 else 0 end
                    order by case when contributor_id like '(%' then 1 else 0 end, share_ratio desc, type_order
                ) as {{ dbt.type_bigint() }})
        end as place
    from firsts
)

select * from final
