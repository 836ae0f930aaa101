-- Which metadata keys name an owner is known here; what is registered is read from the seed.
create temp table tag_registry as
select
    tag_key,
    meaning,
    owner,
    string_split(allowed_values, '|') as allowed,
    pattern,
    string_split(required_in, '|') as required_in,
    coalesce(cast(since as date), date '1900-01-01') as since,
    coalesce(cast(retired as date), date '9999-12-31') as retired,
    replaced_by
from source.llm_spend_seeds.tag_registry;

create temp table owner_keys as
from (values
    ('_user', 'user'), ('user', 'user'), ('user_id', 'user'),
    ('team', 'team'), ('team_id', 'team'), ('business_unit', 'team'),
    ('feature', 'feature'), ('feature_name', 'feature'), ('feature_id', 'feature'),
    ('customer_id', 'customer'), ('customer', 'customer'),
    ('_environment', 'environment'), ('environment', 'environment'), ('env', 'environment')
) as keys(tag_key, dimension);

create temp view tag_requests as
with dated as (
    select max(usage_date) filter (usage_date <= loaded_on) as as_of
    from llm_spend.fct_llm_requests
    cross join (select max(cast(loaded_at as date)) as loaded_on from llm_spend.fct_llm_requests) as loaded
)

select requests.*, as_of
from llm_spend.fct_llm_requests as requests
cross join dated;

-- Every tag of every place and day; then the requests themselves, and those whose owner a tag named.
create temp table tags as
with tagged as (
    select
        usage_date,
        as_of,
        source_system,
        team_id,
        environment,
        unnest(map_entries(cast(metadata as map(varchar, varchar)))) as tag,
        is_final_attempt,
        cost_usd,
        total_tokens
    from tag_requests
),

named as (
    select
        * exclude (tag),
        tag.key as tag_key,
        tag.value as tag_value
    from tagged
    where tag.value <> '' and substr(tag.value, 1, 1) not in ('{', '[')
    union all by name
    select
        usage_date,
        as_of,
        source_system,
        team_id,
        environment,
        is_final_attempt,
        cost_usd,
        total_tokens,
        unnest(list_filter([
            '(all)',
            if(user_attribution = 'tag', '(user)', null),
            if(team_attribution = 'tag', '(team)', null),
            if(feature_attribution = 'tag', '(feature)', null),
            if(customer_attribution = 'tag', '(customer)', null),
            if(environment_attribution = 'tag', '(environment)', null)
        ], lambda owner: owner is not null)) as tag_key,
        '(all)' as tag_value
    from tag_requests
)

select
    usage_date,
    as_of,
    source_system,
    team_id,
    environment,
    tag_key,
    tag_value,
    count(*) as attempts,
    count(*) filter (is_final_attempt) as requests,
    sum(cost_usd) as cost_usd,
    count(*) filter (cost_usd is null) as unpriced_requests,
    coalesce(sum(total_tokens) filter (cost_usd is null), 0) as unpriced_tokens
from named
group by all;

create table llm_spend.llm_tag_coverage as
with teams as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        team_id,
        max(as_of) as as_of,
        sum(requests) as requests,
        sum(cost_usd) as cost_usd,
        sum(unpriced_requests) as unpriced_requests,
        sum(unpriced_tokens) as unpriced_tokens
    from tags
    where tag_key = '(all)'
    group by all
),

tagged as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        tag_key,
        team_id,
        sum(requests) as requests,
        sum(cost_usd) as cost_usd,
        sum(unpriced_requests) as unpriced_requests
    from tags
    where tag_key <> '(all)'
    group by all
),

keys as (
    select billing_period, tag_key from tagged
    union
    select teams.billing_period, registry.tag_key
    from teams
    inner join tag_registry as registry
        on registry.since < teams.billing_period + interval 1 month and registry.retired > teams.billing_period
    union
    select billing_period, '(' || dimension || ')' from teams cross join owner_keys
),

loaded as (
    select max(loaded_at) as newest from llm_spend.fct_llm_requests
)

select
    teams.billing_period,
    keys.tag_key,
    teams.team_id,
    keys.tag_key[1] = '(' as is_owner,
    registry.tag_key is not null as is_registered,
    registry.meaning as tag_meaning,
    registry.owner as tag_owner,
    cast(teams.requests as bigint) as requests,
    cast(coalesce(tagged.requests, 0) as bigint) as requests_with_tag,
    whole_ratio(coalesce(tagged.requests, 0), teams.requests) as request_coverage_ratio,
    teams.cost_usd,
    if(tagged.requests is null, cast(0 as decimal(38, 12)), tagged.cost_usd) as cost_with_tag_usd,
    whole_ratio(
        cast(if(tagged.requests is null, 0, tagged.cost_usd) * 1000000 as bigint), cast(teams.cost_usd * 1000000 as bigint)
    ) as cost_coverage_ratio,
    cast(teams.unpriced_requests as bigint) as unpriced_requests,
    cast(coalesce(tagged.unpriced_requests, 0) as bigint) as unpriced_requests_with_tag,
    cast(teams.unpriced_tokens as bigint) as unpriced_tokens,
    teams.billing_period + interval 1 month <= least(teams.as_of + interval 1 day, loaded.newest) as is_whole_month,
    'USD' as currency
from teams
inner join keys using (billing_period)
cross join loaded
left join tagged using (billing_period, tag_key, team_id)
left join tag_registry as registry on keys.tag_key = registry.tag_key;

-- The last 90 days. Of a key with more than 100 values on a day it is not told who sent which.
create temp table audited_tags as
with recent as (
    from tags
    where usage_date > as_of - 90 and usage_date <= as_of
)

select
    * replace (
        if(values_of_key > 100, '(all)', source_system) as source_system, if(values_of_key > 100, '(all)', team_id) as team_id
    ),
    source_system as sent_through,
    team_id as sent_by,
    left(tag_key, 4) = 'tfy_' as is_of_gateway
from (
    select recent.*, per_day.values_of_key
    from recent
    left join (
        select usage_date, tag_key, max(values_of_key) as values_of_key
        from llm_spend.llm_usage_by_tag_daily
        group by all
    ) as per_day using (usage_date, tag_key)
) as recent;

-- A name and each that leaves one letter out: two names are nearly equal when they have one in common.
create macro folded(name) as lower(regexp_replace(trim(name), '[ _.-]', '', 'g'));
create macro forms(name, enough) as list_distinct(list_prepend(
    name,
    if(
        length(name) >= enough and not regexp_matches(name, '[0-9@]'),
        list_transform(range(1, length(name) + 1), lambda place: name[:place - 1] || name[place + 1:]),
        []
    )
));

create temp table likenesses as
with used as (
    select tag_key, tag_value, sum(attempts) as attempts
    from audited_tags
    where tag_key[1] <> '(' and not is_of_gateway and coalesce(values_of_key, 0) <= 100
    group by all
),

known as (
    select tag_key, 1 as weight from tag_registry where retired > (select max(as_of) from tags)
    union all
    select tag_key, 0 as weight from owner_keys where tag_key not in (select tag_key from tag_registry)
),

used_keys as (
    select distinct tag_key
    from audited_tags
    where tag_key[1] <> '(' and not is_of_gateway
),

pairs as (
    select
        '(keys)' as tag_key,
        used_keys.tag_key as name,
        known.tag_key as similar_to,
        known.weight as attempts,
        folded(used_keys.tag_key) = folded(known.tag_key) as is_same
    from used_keys
    cross join known
    where
        used_keys.tag_key not in (select tag_key from known)
        and used_keys.tag_key not in (select tag_key from tag_registry)
        and list_has_any(forms(folded(used_keys.tag_key), 4), forms(folded(known.tag_key), 4))
    union all
    -- Against the values that the registry allows, as far as somebody sends them.
    select
        suspects.tag_key,
        suspects.tag_value as name,
        models.tag_value as similar_to,
        models.attempts,
        folded(suspects.tag_value) = folded(models.tag_value) as is_same
    from used as suspects
    inner join tag_registry as registry using (tag_key)
    left join owner_keys using (tag_key)
    inner join (select tag_value, sum(attempts) as attempts from used group by tag_value) as models
        on list_contains(registry.allowed, models.tag_value)
    where
        not list_contains(registry.allowed, suspects.tag_value)
        and (
            list_has_any(forms(folded(suspects.tag_value), 5), forms(folded(models.tag_value), 5))
            or list_contains(
                forms(folded(models.tag_value), 5),
                regexp_replace(folded(suspects.tag_value), '^(.+)' || coalesce(dimension, folded(suspects.tag_key)) || '$', '\1')
            )
        )
)

select tag_key, name, arg_max(similar_to, (is_same, attempts)) as similar_to
from pairs
group by tag_key, name;

create temp table found as
with in_row as (
    select
        audited.*,
        registry.allowed,
        registry.pattern,
        case
            when registry.tag_key is not null then if(usage_date >= registry.retired, 'retired', null)
            when keys.similar_to is not null then 'misspelt'
            when is_of_gateway or (select count(*) from tag_registry) = 0 then null
            when not regexp_full_match(audited.tag_key, '_?[a-z][a-z0-9_]*') then 'bad_key'
            else 'unregistered'
        end as key_finding,
        coalesce(keys.similar_to, registry.replaced_by) as similar_key,
        likenesses.similar_to as similar_value
    from audited_tags as audited
    left join tag_registry as registry using (tag_key)
    left join likenesses as keys on keys.tag_key = '(keys)' and audited.tag_key = keys.name
    left join likenesses on audited.tag_key = likenesses.tag_key and audited.tag_value = likenesses.name
    where audited.tag_key[1] <> '('
),

required as (
    select
        places.* exclude (tag_key, tag_value),
        registry.tag_key,
        coalesce('(' || dimension || ')', registry.tag_key) as counted_key
    from audited_tags as places
    inner join tag_registry as registry
        on
            places.usage_date >= registry.since
            and places.usage_date < registry.retired
            and list_has_any(
                registry.required_in,
                ['*', sent_through, 'team:' || sent_by, 'environment:' || places.environment]
            )
    left join owner_keys on registry.tag_key = owner_keys.tag_key
    where places.tag_key = '(all)'
),

present as (
    select
        usage_date,
        sent_through,
        sent_by,
        environment,
        tag_key,
        sum(attempts) as attempts,
        sum(requests) as requests,
        sum(cost_usd) as cost_usd,
        sum(unpriced_requests) as unpriced_requests,
        sum(unpriced_tokens) as unpriced_tokens
    from audited_tags
    group by all
),

missing as (
    select
        required.* replace (
            required.attempts - coalesce(present.attempts, 0) as attempts,
            required.requests - coalesce(present.requests, 0) as requests,
            coalesce(required.cost_usd, 0) - coalesce(present.cost_usd, 0) as cost_usd,
            required.unpriced_requests - coalesce(present.unpriced_requests, 0) as unpriced_requests,
            required.unpriced_tokens - coalesce(present.unpriced_tokens, 0) as unpriced_tokens
        )
    from required
    left join present
        on
            required.usage_date = present.usage_date
            and required.sent_through = present.sent_through
            and required.sent_by = present.sent_by
            and required.environment = present.environment
            and required.counted_key = present.tag_key
)

select
    key_finding as finding, tag_key, '(all)' as tag_value, sent_through as source_system, sent_by as team_id,
    similar_key as similar_to, usage_date, attempts, requests, cost_usd, unpriced_requests, unpriced_tokens
from in_row
where key_finding is not null
union all
select
    if(allowed is null and pattern is null, 'near_duplicate_value', 'bad_value'), tag_key, tag_value, source_system,
    team_id, similar_value, usage_date, attempts, requests, cost_usd, unpriced_requests, unpriced_tokens
from in_row
where
    if(
        allowed is null and pattern is null,
        similar_value is not null,
        not coalesce(list_contains(allowed, tag_value), false) and not coalesce(regexp_matches(tag_value, pattern), false)
    )
    and coalesce(values_of_key, 0) <= 1000
union all
select
    'truncated', tag_key, '(all)', sent_through, sent_by, null, usage_date, attempts, requests, cost_usd,
    unpriced_requests, unpriced_tokens
from in_row
where length(tag_value) >= 128
union all
select
    'high_cardinality', tag_key, '(all)', '(all)', '(all)', null, usage_date, attempts, requests, cost_usd,
    unpriced_requests, unpriced_tokens
from in_row
where values_of_key > 1000
union all
select
    'missing_required', tag_key, '(all)', sent_through, sent_by, null, usage_date, attempts, requests,
    if(attempts > unpriced_requests, cost_usd, null), unpriced_requests, unpriced_tokens
from missing
where attempts > 0
union all
select 'stale', tag_key, '(all)', '(all)', '(all)', replaced_by, last_seen_on, 0, 0, 0, 0, 0
from tag_registry
left join (
    select tag_key, max(usage_date) as last_seen_on from tags group by tag_key
) as seen using (tag_key)
where
    retired > (select max(as_of) from tags)
    and since <= (select max(as_of) from tags) - 30
    and coalesce(last_seen_on, since) <= (select max(as_of) from tags) - 30;

create table llm_spend.llm_tag_audit as
with summed as (
    select
        finding, tag_key, tag_value, source_system, team_id,
        max(similar_to) as similar_to,
        cast(sum(attempts) as bigint) as attempts,
        cast(sum(requests) as bigint) as requests,
        cast(sum(cost_usd) as decimal(38, 12)) as cost_usd,
        cast(sum(unpriced_requests) as bigint) as unpriced_requests,
        cast(sum(unpriced_tokens) as bigint) as unpriced_tokens,
        min(usage_date) as first_seen_on,
        max(usage_date) as last_seen_on
    from found
    group by finding, tag_key, tag_value, source_system, team_id
),

places as (
    select sent_through as source_system, sent_by as team_id, sum(requests) as requests
    from audited_tags
    where tag_key = '(all)'
    group by all
    union all
    select '(all)', '(all)', sum(requests)
    from audited_tags
    where tag_key = '(all)'
),

weighed as (
    select
        summed.*,
        places.requests as requests_of_place,
        sum(summed.requests) over (partition by finding, tag_key, tag_value)
        / (select requests from places where source_system = '(all)') as share,
        registry.owner,
        registry.retired,
        (select max(as_of) from tags) as as_of
    from summed
    left join places using (source_system, team_id)
    left join tag_registry as registry using (tag_key)
)

select
    finding,
    tag_key,
    tag_value,
    source_system,
    team_id,
    similar_to,
    owner,
    case when share >= 0.05 then 'high' when share >= 0.005 then 'medium' else 'low' end as severity,
    attempts,
    requests,
    whole_ratio(requests, requests_of_place) as share_ratio,
    cost_usd,
    unpriced_requests,
    unpriced_tokens,
    first_seen_on,
    last_seen_on,
    case finding
        when 'misspelt' then format('The key `{}` is nearly `{}`, and nobody knows it.', tag_key, similar_to)
        when 'unregistered' then format('The registry does not know the key `{}`.', tag_key)
        when 'bad_key' then format('The key `{}` is not registered, and no name in snake_case.', tag_key)
        when 'retired' then format('The key `{}` is retired since {}.', tag_key, cast(retired as varchar))
        when 'stale' then
            if(
                last_seen_on is null,
                format('No request ever had the key `{}`.', tag_key),
                format('No request has had the key `{}` since {}.', tag_key, cast(last_seen_on as varchar))
            )
        when 'bad_value' then
            if(
                similar_to is null,
                format('`{}` may not be `{}`.', tag_key, tag_value),
                format('`{}` may not be `{}`, which is nearly `{}`.', tag_key, tag_value, similar_to)
            )
        when 'near_duplicate_value' then
            format('`{}` is `{}`, which is nearly `{}`, sent more often.', tag_key, tag_value, similar_to)
        when 'truncated' then format('Values of `{}` have 128 characters or more, where gateways cut.', tag_key)
        when 'high_cardinality' then
            format('`{}` has more values on a day than llm_usage_by_tag_daily shows.', tag_key)
        when 'missing_required' then format('Requests lack the tag `{}`, which they must have.', tag_key)
    end as explanation,
    case finding
        when 'misspelt' then 'Rename it in the code that sends it; if both are meant, register it.'
        when 'unregistered' then 'Register it in seeds/mapping/tag_registry.csv, or stop sending it.'
        when 'bad_key' then 'Rename it in the code that sends it; if it must be so, register it.'
        when 'retired' then if(similar_to is null, 'Stop sending it.', format('Send `{}` instead.', similar_to))
        when 'stale' then 'Give it a day in the column retired of the registry, or take it out.'
        when 'bad_value' then 'Correct it in the code that sends it, or allow it in the registry.'
        when 'near_duplicate_value' then 'Send one of both; say which in allowed_values of the registry.'
        when 'truncated' then 'Send an id or a short name; long texts are no tags.'
        when 'high_cardinality' then 'Fine for an id; to group by, send something with fewer values.'
        when 'missing_required' then 'Send it with every request, or change required_in of the registry.'
    end as what_to_do,
    as_of,
    'USD' as currency
from weighed;
