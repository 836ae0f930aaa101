create macro middle(numbers) as case
    when len(numbers) % 2 = 1 then list_sort(numbers)[len(numbers) // 2 + 1]
    else cast(
        (list_sort(numbers)[len(numbers) // 2] + list_sort(numbers)[len(numbers) // 2 + 1]) * cast('0.5' as decimal(2, 1))
        as decimal(38, 12)
    )
end;

create macro usd(amount) as
    (cast(round(abs(amount) * 100, 0) as bigint) // 100) || '.'
    || lpad(cast(cast(round(abs(amount) * 100, 0) as bigint) % 100 as varchar), 2, '0') || ' USD';

create macro percent(ratio) as cast(round(ratio * 100, 0) as bigint) || ' %';

create macro called(kind, id) as case
    when kind = 'total' then 'all usage'
    else if(kind = 'api_key', 'API key', kind) || ' ' || if(length(id) > 48, id[:12] || '...', id)
end;

create temp table judged_days as
with totals as (
    select usage_date, cost_usd from member_days where member_type = 'total'
),

days as (
    select cast(unnest(range(min(usage_date) + 28, max(usage_date) + 1, interval 1 day)) as date) as usage_date from totals
),

usual as (
    select
        days.usage_date,
        cast(round(parted(coalesce(sum(totals.cost_usd), 0), 28), 6) as decimal(38, 12)) as usual_usd
    from days
    inner join totals on totals.usage_date between days.usage_date - 28 and days.usage_date - 1
    group by days.usage_date
)

select
    usage_date,
    usual_usd,
    cast(round(usual_usd * cast('0.05' as decimal(18, 6)), 12) as decimal(38, 12)) as smallest_usd
from usual
where usual_usd > 0;

create temp table member_firsts as
select member_type, member_id, min(usage_date) as first_date from member_days group by all;

-- Every day and member that could be an anomaly, with the values of the days that it is compared with.
create temp table compared_days as
with measured as (
    select
        *,
        cast(whole_ratio(cast(failed_attempts as hugeint), attempts) as decimal(38, 12)) as error_rate,
        cast(whole_ratio(cast(input_tokens - cache_read_tokens as hugeint), input_tokens) as decimal(38, 12)) as cache_miss_rate,
        unpriced_tokens <= priced_tokens // 10 as is_known,
        cast(whole_ratio(if(is_known, cast(millionths(cost_usd) as hugeint), null), priced_tokens) as decimal(38, 12))
            as blended_price
    from member_days
),

-- The same weekdays: also those without usage.
weekdays as (
    select
        member_type,
        member_id,
        usage_date,
        list(cost) as others,
        bool_or(cost >= smallest_usd) as was_large
    from (
        select
            member_firsts.*,
            judged_days.*,
            case when measured.usage_date is null then 0 when measured.is_known then measured.cost_usd end as cost
        from member_firsts
        inner join judged_days on judged_days.usage_date > first_date
        cross join range(1, 9) as weeks (week)
        left join measured
            on
                member_firsts.member_type = measured.member_type
                and member_firsts.member_id = measured.member_id
                and measured.usage_date = judged_days.usage_date - cast(week * 7 as integer)
        where judged_days.usage_date - cast(week * 7 as integer) >= first_date
    )
    where cost is not null
    group by all
),

costs as (
    select
        'cost' as kind,
        weekdays.*,
        if(measured.usage_date is null, 0, measured.cost_usd) as observed
    from weekdays
    left join measured using (member_type, member_id, usage_date)
    inner join judged_days using (usage_date)
    where len(others) >= 4 and (was_large or measured.cost_usd >= smallest_usd)
),

rates as (
    unpivot (
        select member_type, member_id, usage_date, attempts, failed_attempts, cost_usd, error_rate, cache_miss_rate, blended_price
        from measured
    )
    on error_rate, cache_miss_rate, blended_price
    into name kind value observed
),

compared_rates as (
    select
        now.kind,
        now.member_type,
        now.member_id,
        now.usage_date,
        list(before.observed) as others,
        any_value(now.observed) as observed
    from rates as now
    inner join judged_days using (usage_date)
    inner join rates as before
        on
            now.kind = before.kind
            and now.member_type = before.member_type
            and now.member_id = before.member_id
            and before.usage_date between now.usage_date - 28 and now.usage_date - 1
            and before.attempts >= 20
    where
        now.attempts >= 20
        and case now.kind
            when 'error_rate' then now.failed_attempts >= 5 and now.failed_attempts >= now.attempts * 0.1
            else now.cost_usd >= smallest_usd
        end
        and (
            now.member_type in ('total', 'team', 'feature', 'model', 'api_key')
            or (now.member_type = 'customer' and now.kind = 'blended_price')
        )
    group by now.kind, now.member_type, now.member_id, now.usage_date
    having count(*) >= 10
)

select kind, member_type, member_id, usage_date, others, cast(observed as decimal(38, 12)) as observed from costs
union all
select kind, member_type, member_id, usage_date, others, observed from compared_rates;

create temp table anomalies as
with centred as (
    select
        *,
        cast(middle(others) as decimal(38, 12)) as expected,
        cast(middle([abs(other - middle(others)) for other in others]) as decimal(38, 12)) as spread
    from compared_days
),

widths as (
    select
        centred.*,
        usual_usd,
        smallest_usd,
        coalesce(attempts, 0) as attempts,
        coalesce(failed_attempts, 0) as failed_attempts,
        coalesce(priced_tokens, 0) as priced_tokens,
        coalesce(unpriced_tokens, 0) as unpriced_tokens,
        cost_usd,
        cast(
            round(
                parted(spread * (len(others) + 3), len(others)) * cast('1.4826' as decimal(18, 6)) * cast('3.5' as decimal(18, 6)),
                12
            ) as decimal(38, 12)
        ) as spread_width,
        case kind
            when 'cost' then greatest(round(expected * cast('0.5' as decimal(18, 6)), 12), smallest_usd)
            when 'blended_price' then round(expected * cast('0.3' as decimal(18, 6)), 12)
            when 'error_rate' then 0.1
            else 0.2
        end as least_width
    from centred
    inner join judged_days using (usage_date)
    left join member_days using (member_type, member_id, usage_date)
),

banded as (
    select
        *,
        cast(expected + greatest(spread_width, least_width) as decimal(38, 12)) as upper_end,
        cast(
            greatest(
                if(
                    kind = 'cost',
                    least(greatest(expected - spread_width, parted(list_min(others), 3)), expected - least_width),
                    expected - greatest(spread_width, least_width)
                ),
                0
            ) as decimal(38, 12)
        ) as lower_end,
        cast(
            case kind
                when 'cost' then abs(observed - expected)
                when 'blended_price'
                    then round(abs(observed - expected) * priced_tokens * cast('0.000001' as decimal(18, 6)), 12)
                else round((observed - expected) * coalesce(cost_usd, 0), 12)
            end as decimal(38, 12)
        ) as severity_usd
    from widths
),

outside as (
    select *
    from banded
    where
        not observed between lower_end and upper_end
        and case kind
            when 'cost'
                then observed > expected or (unpriced_tokens * 10 <= priced_tokens and member_type not in ('user', 'api_key'))
            when 'error_rate'
                then
                    observed > expected
                    and pow(failed_attempts - attempts * cast(expected as double), 2) > 12.25 * (attempts * cast(expected as double) + 1)
            when 'cache_miss_rate' then observed > expected and severity_usd >= smallest_usd
            else severity_usd >= smallest_usd
        end
),

arrived as (
    select
        member_type,
        member_id,
        first_date as usage_date,
        usual_usd,
        smallest_usd,
        sum(cost_usd) as cost
    from member_firsts
    inner join judged_days on first_date = judged_days.usage_date
    inner join member_days using (member_type, member_id)
    where
        member_type in ('model', 'api_key') and member_id <> '(unresolved)' and member_days.usage_date < first_date + 7
    group by all
)

select
    if(kind = 'cost', if(observed > expected, 'cost_spike', 'cost_drop'), kind) as kind,
    usage_date,
    member_type,
    member_id,
    observed,
    expected,
    lower_end as lower,
    upper_end as upper,
    if(
        observed > expected,
        signed_ratio(millionths((observed - expected) * cast('3.5' as decimal(18, 6))), millionths(upper_end - expected)),
        signed_ratio(millionths((observed - expected) * cast('3.5' as decimal(18, 6))), millionths(expected - lower_end))
    ) as score,
    severity_usd,
    usual_usd,
    len(others) as baseline_days
from outside
union all
select
    'new_' || member_type as kind,
    usage_date,
    member_type,
    member_id,
    cost as observed,
    0 as expected,
    null as lower,
    null as upper,
    null as score,
    cost as severity_usd,
    usual_usd,
    0 as baseline_days
from arrived
where member_type = 'model' or cost is null or cost >= smallest_usd;

-- Each request of the days of an anomaly and of those before it, once for each anomaly that it is about.
create temp table contributors as
with looked_at as (
    select
        anomalies.*,
        day,
        day >= anomalies.usage_date as is_day,
        count(*) filter (day < anomalies.usage_date) over (
            partition by kind, anomalies.usage_date, anomalies.member_type, anomalies.member_id
        ) as days_before
    from anomalies
    inner join member_firsts using (member_type, member_id),
        lateral (
            select anomalies.usage_date - cast(week * 7 as integer) as day
            from range(1, 9) as weeks (week)
            where anomalies.usage_date - cast(week * 7 as integer) >= first_date and kind <> 'blended_price'
            union all
            select anomalies.usage_date + cast(ahead as integer) as day
            from range(if(anomalies.kind like 'new%', 7, 1)) as days (ahead)
        )
),

requests as (
    select
        usage_date as day,
        [
            {'type': 'user', 'id': user_id}, {'type': 'api_key', 'id': coalesce(api_key_id, virtual_account)},
            {'type': 'customer', 'id': customer_id}, {'type': 'feature', 'id': feature_id},
            {'type': 'model', 'id': coalesce(model_id, '(unresolved)')}, {'type': 'team', 'id': team_id},
            {'type': 'total', 'id': '(all)'}
        ] as owners,
        coalesce(cost_usd, 0) as cost_usd,
        if(status = 'error', 1, 0) as failed,
        if(is_gateway_cache_hit, 0, coalesce(input_tokens, 0) - coalesce(cache_read_tokens, 0)) as uncached,
        if(is_gateway_cache_hit or requests.cost_usd is null, 0, coalesce(total_tokens, 0)) as priced_tokens
    from llm_spend.fct_llm_requests as requests
),

counted as (
    select
        looked_at.* exclude (day, is_day),
        requests.owners,
        requests.priced_tokens,
        if(is_day, greatest(days_before, 1), -1) * case kind
            when 'error_rate' then failed
            when 'cache_miss_rate' then uncached
            else requests.cost_usd
        end as measure
    from looked_at
    inner join (select *, unnest(owners) as owner from requests) as requests
        on
            looked_at.day = requests.day
            and looked_at.member_type = requests.owner.type
            and looked_at.member_id = requests.owner.id
),

totals as (
    select
        kind,
        usage_date,
        member_type,
        member_id,
        case
            when kind like 'cost%' then any_value(severity_usd) * any_value(days_before)
            when kind = 'blended_price' then any_value(severity_usd)
            else sum(measure)
        end as total
    from counted
    group by kind, usage_date, member_type, member_id
),

parts as (
    select
        kind,
        usage_date,
        member_type,
        member_id,
        owner.type as contributor_type,
        owner.id as contributor_id,
        sum(measure)
        - if(
            kind = 'blended_price',
            round(any_value(expected) * cast(sum(priced_tokens) as bigint) * cast('0.000001' as decimal(18, 6)), 12),
            0
        ) as scaled,
        any_value(observed < expected) as is_less,
        any_value(days_before) as days_before
    from (select * exclude (owners), unnest(owners) as owner from counted)
    where owner.type not in (member_type, 'total') and owner.id is not null
    group by kind, usage_date, member_type, member_id, owner.type, owner.id
),

shared as (
    select
        parts.*,
        parted(cast(scaled as decimal(38, 12)), greatest(days_before, 1)) as change,
        signed_ratio(millionths(if(is_less, -scaled, scaled)), millionths(total)) as share_ratio,
        contributor_id like '(%' as is_nobody
    from parts
    inner join totals using (kind, usage_date, member_type, member_id)
),

firsts as (
    select
        *,
        row_number() over (
            partition by kind, usage_date, member_type, member_id, contributor_type
            order by is_nobody, share_ratio desc, contributor_id
        ) as place_of_type
    from shared
    where share_ratio >= 0.2
)

select
    *,
    if(
        place_of_type = 1,
        row_number() over (
            partition by kind, usage_date, member_type, member_id, place_of_type = 1
            order by
                is_nobody, share_ratio desc,
                list_position(['user', 'api_key', 'customer', 'feature', 'model', 'team'], contributor_type)
        ),
        null
    ) as place,
    called(contributor_type, contributor_id) || ' ' || if(change < 0, '-', '+')
    || case kind
        when 'error_rate' then cast(round(abs(change), 0) as bigint) || ' failed calls'
        when 'cache_miss_rate' then cast(round(abs(change), 0) as bigint) || ' tokens'
        else usd(change)
    end || ' (' || percent(share_ratio) || ')' as words
from firsts;

create table llm_spend.llm_usage_anomalies as
with widths as (
    select ['total', 'team', 'feature', 'customer', 'model', 'api_key', 'user'] as types
),

wider as (
    select
        kind,
        usage_date,
        contributor_type as member_type,
        contributor_id as member_id,
        first(
            {'type': member_type, 'id': member_id} order by list_position(types, member_type), share_ratio desc, member_id
        ) as part_of
    from contributors, widths
    where list_position(types, member_type) < list_position(types, contributor_type) and share_ratio >= 0.333333
    group by all
),

topped as (
    select
        kind,
        usage_date,
        member_type,
        member_id,
        list({'type': contributor_type, 'id': contributor_id, 'share': share_ratio, 'words': words} order by place)
            filter (place <= 3) as top
    from contributors
    group by all
),

runs as (
    select
        kind,
        usage_date,
        member_type,
        member_id,
        max(if(usage_date - previous <= 3, null, usage_date)) over (
            partition by kind, member_type, member_id order by usage_date
        ) as started_on
    from (
        select *, lag(usage_date) over (partition by kind, member_type, member_id order by usage_date) as previous
        from anomalies
    )
)

select
    usage_date,
    kind,
    member_type,
    member_id,
    observed,
    expected,
    lower,
    upper,
    score,
    severity_usd,
    case
        when severity_usd >= usual_usd then 'high'
        when severity_usd >= usual_usd * 0.25 or severity_usd is null then 'medium'
        else 'low'
    end as severity,
    usual_usd,
    baseline_days,
    top[1].words as contributor_1,
    top[2].words as contributor_2,
    top[3].words as contributor_3,
    top[1].type as top_member_type,
    top[1].id as top_member_id,
    top[1].share as top_share_ratio,
    upper(called(member_type, member_id)[1]) || called(member_type, member_id)[2:]
    || case
        when kind = 'error_rate'
            then
                ': ' || percent(observed) || ' of the calls of ' || usage_date || ' failed, where ' || percent(expected)
                || ' is usual (median of the ' || baseline_days || ' days before).'
        when kind = 'cache_miss_rate'
            then
                ': ' || percent(observed) || ' of the input tokens of ' || usage_date
                || ' were in no cache of the provider, where ' || percent(expected) || ' is usual (median of the '
                || baseline_days || ' days before).'
        when kind = 'blended_price'
            then
                ': a million tokens cost ' || usd(observed) || ' on ' || usage_date || ', where ' || usd(expected)
                || ' is usual (median of the ' || baseline_days || ' days before); with these tokens that is '
                || usd(severity_usd) || if(observed > expected, ' more.', ' less.')
        when kind like 'new%'
            then
                ' was first used on ' || usage_date
                || coalesce(', and cost ' || usd(observed) || ' in the seven days from then.', ', at a cost that is not known.')
        else
            ' cost ' || usd(observed) || ' on ' || usage_date || ', ' || usd(severity_usd)
            || if(kind = 'cost_spike', ' more', ' less') || ' than the ' || usd(expected)
            || ' that are usual (median of the ' || baseline_days || ' same weekdays before).'
    end
    || coalesce(' First of all: ' || array_to_string(list_transform(top, lambda each: each.words), '; ') || '.', '') as explanation,
    started_on,
    part_of.type as part_of_member_type,
    part_of.id as part_of_member_id,
    case
        when kind like '%rate' then 'ratio'
        when kind = 'blended_price' then 'usd_per_million'
        else 'usd'
    end as unit,
    'USD' as currency
from anomalies
inner join runs using (kind, usage_date, member_type, member_id)
left join wider using (kind, usage_date, member_type, member_id)
left join topped using (kind, usage_date, member_type, member_id);
