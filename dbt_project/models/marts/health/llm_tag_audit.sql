{% set all = "'(all)'" %}
{% set no_text = 'cast(null as ' ~ dbt.type_string() ~ ')' %}
{% set no_date = 'cast(null as date)' %}
{% set place = ['usage_date', 'source_system', 'team_id', 'environment'] %}
{% set measures = ['attempts', 'requests', 'unpriced_requests', 'unpriced_tokens'] %}
{% set is_snake_case = regex_found('days.tag_key', "'^_?[a-z][a-z0-9_]*$'") %}
{% set whole = dbt.type_bigint() %}

with known as (
    {{ known_usage() }}
),

registry as (
    select * from {{ ref('stg_mapping__tag_registry') }}
),

-- Nothing is asked of tags before somebody has registered one.
registered as (
    select count(*) as tag_keys
    from registry
),

likenesses as (
    select * from {{ ref('int_tag_likenesses') }}
),

rules as (
    select * from {{ ref('stg_mapping__attribution_rules') }}
),

days as (
    select audited.*
    from {{ ref('int_tags_daily') }} as audited
    cross join known
    where {{ is_audited('audited.usage_date', 'known.as_of') }}
),

sent as (
    select audited.*
    from {{ ref('llm_usage_by_tag_daily') }} as audited
    cross join known
    where {{ is_audited('audited.usage_date', 'known.as_of') }}
),

-- Values of keys that have more on a date than one of both tables keeps: no team is known of them.
many_values as (
    select * from sent
    where values_of_key > {{ most_tag_values() }} or tag_value = {{ too_many_values() }}
),

-- Each value is looked at once, however many days it was sent on.
values_sent as (
    select distinct
        tag_key,
        tag_value
    from many_values
    where tag_value <> {{ too_many_values() }}
),

bad_values as (
    select values_sent.*
    from values_sent
    inner join registry on values_sent.tag_key = registry.tag_key
    where
        (registry.allowed_values is not null or registry.pattern is not null)
        and not coalesce({{ is_listed('values_sent.tag_value', 'registry.allowed_values') }}, false)
        and not coalesce({{ regex_found('values_sent.tag_value', 'registry.pattern') }}, false)
),

kept_keys as (
    select distinct
        usage_date,
        tag_key
    from days
),

-- Keys that were sent on a date on which so many others are kept that nobody knows by whom.
keys_left_out as (
    select distinct
        sent.usage_date,
        sent.tag_key
    from sent
    inner join registry on sent.tag_key = registry.tag_key
    left join kept_keys on sent.usage_date = kept_keys.usage_date and sent.tag_key = kept_keys.tag_key
    where registry.required_in is not null and kept_keys.tag_key is null
),

places as (
    select
        source_system,
        team_id,
        sum(requests) as requests
    from days
    where tag_key = {{ all_requests() }}
    group by source_system, team_id
),

total as (
    select sum(requests) as requests
    from places
),

tagged as (
    select
        days.*,
        case
            when registry.tag_key is not null
                then case when days.usage_date >= registry.retired then 'retired' end
            when key_likenesses.similar_to is not null then 'misspelt'
            when registered.tag_keys = 0 or {{ is_gateway_tag('days.tag_key') }} then null
            when length(days.tag_key) > {{ longest_tag_value() }} or not {{ is_snake_case }} then 'bad_key'
            else 'unregistered'
        end as key_finding,
        coalesce(key_likenesses.similar_to, registry.replaced_by) as similar_key,
        registry.allowed_values,
        registry.pattern,
        value_likenesses.similar_to as similar_value
    from days
    cross join registered
    left join registry on days.tag_key = registry.tag_key
    left join likenesses as key_likenesses
        on key_likenesses.tag_key = '(keys)' and days.tag_key = key_likenesses.name
    left join likenesses as value_likenesses
        on days.tag_key = value_likenesses.tag_key and days.tag_value = value_likenesses.name
    where substr(days.tag_key, 1, 1) <> '('
),

judged as (
    select
        *,
        case
            when tag_value = {{ too_many_values() }} then null
            when allowed_values is null and pattern is null
                then case when similar_value is not null then 'near_duplicate_value' end
            when {{ is_listed('tag_value', 'allowed_values') }} then null
            when {{ regex_found('tag_value', 'pattern') }} then null
            else 'bad_value'
        end as value_finding
    from tagged
),

-- Which requests must have which key: all that are in one of its scopes, on the days on which it holds.
required as (
    select
        {{ columns_of('days', place) }},
        registry.tag_key,
        -- A key that names an owner is there when any key of that owner named a known one.
        coalesce(max({{ dbt.concat(["'('", 'rules.dimension', "')'"]) }}), registry.tag_key) as counted_key,
        {% for measure in measures -%}
        max(days.{{ measure }}) as {{ measure }},
        {% endfor -%}
        max(days.cost_usd) as cost_usd
    from days
    inner join registry
        on
            registry.required_in is not null
            and days.usage_date >= registry.since
            and days.usage_date < registry.retired
            and (
                {{ is_listed("'*'", 'registry.required_in') }}
                or {{ is_listed('days.source_system', 'registry.required_in') }}
                or {{ is_listed(dbt.concat(["'team:'", 'days.team_id']), 'registry.required_in') }}
                or {{ is_listed(dbt.concat(["'environment:'", 'days.environment']), 'registry.required_in') }}
            )
    left join rules
        on
            registry.tag_key = rules.metadata_key
            and rules.source_system in ('*', lower(days.source_system))
    where days.tag_key = {{ all_requests() }}
    group by {{ columns_of('days', place) }}, registry.tag_key
),

present as (
    select
        {{ place | join(',\n        ') }},
        tag_key,
        {% for measure in measures -%}
        sum({{ measure }}) as {{ measure }},
        {% endfor -%}
        sum(cost_usd) as cost_usd
    from days
    group by {{ place | join(', ') }}, tag_key
),

missing as (
    select
        {{ columns_of('required', place) }},
        required.tag_key,
        {% for measure in measures -%}
        required.{{ measure }} - coalesce(present.{{ measure }}, 0) as {{ measure }},
        {% endfor -%}
        coalesce(required.cost_usd, 0) - coalesce(present.cost_usd, 0) as cost_usd
    from required
    left join present
        on
            required.usage_date = present.usage_date
            and required.source_system = present.source_system
            and required.team_id = present.team_id
            and required.environment = present.environment
            and required.counted_key = present.tag_key
    left join keys_left_out
        on required.usage_date = keys_left_out.usage_date and required.counted_key = keys_left_out.tag_key
    where keys_left_out.tag_key is null
),

last_seen as (
    select
        tag_key,
        max(usage_date) as last_seen_on
    from {{ ref('llm_usage_by_tag_daily') }}
    group by tag_key
),

found as (
    select
        key_finding as finding,
        tag_key,
        {{ all }} as tag_value,
        similar_key as similar_to,
        usage_date,
        source_system,
        team_id,
        {{ measures | join(',\n        ') }},
        cost_usd
    from judged
    where key_finding is not null
    union all
    select
        value_finding as finding,
        tag_key,
        tag_value,
        similar_value as similar_to,
        usage_date,
        source_system,
        team_id,
        {{ measures | join(',\n        ') }},
        cost_usd
    from judged
    where value_finding is not null
    union all
    select
        'bad_value' as finding,
        many_values.tag_key,
        many_values.tag_value,
        {{ no_text }} as similar_to,
        many_values.usage_date,
        {{ all }} as source_system,
        {{ all }} as team_id,
        {% for measure in measures -%}
        many_values.{{ measure }},
        {% endfor -%}
        many_values.cost_usd
    from many_values
    inner join bad_values on many_values.tag_key = bad_values.tag_key and many_values.tag_value = bad_values.tag_value
    union all
    select
        'high_cardinality' as finding,
        tag_key,
        {{ all }} as tag_value,
        {{ no_text }} as similar_to,
        usage_date,
        {{ all }} as source_system,
        {{ all }} as team_id,
        {{ measures | join(',\n        ') }},
        cost_usd
    from many_values
    where tag_value = {{ too_many_values() }}
    union all
    select
        'truncated' as finding,
        tag_key,
        {{ all }} as tag_value,
        {{ no_text }} as similar_to,
        usage_date,
        source_system,
        team_id,
        {{ measures | join(',\n        ') }},
        cost_usd
    from judged
    where is_long
    union all
    select
        'missing_required' as finding,
        tag_key,
        {{ all }} as tag_value,
        {{ no_text }} as similar_to,
        usage_date,
        source_system,
        team_id,
        {{ measures | join(',\n        ') }},
        case when attempts > unpriced_requests then cost_usd end as cost_usd
    from missing
    where attempts > 0
    union all
    select
        'stale' as finding,
        registry.tag_key,
        {{ all }} as tag_value,
        registry.replaced_by as similar_to,
        last_seen.last_seen_on as usage_date,
        {{ all }} as source_system,
        {{ all }} as team_id,
        {% for measure in measures -%}
        0 as {{ measure }},
        {% endfor -%}
        0 as cost_usd
    from registry
    cross join known
    left join last_seen on registry.tag_key = last_seen.tag_key
    where
        registry.retired > known.as_of
        and registry.since <= {{ days_before('known.as_of', var('llm_spend_tag_stale_days')) }}
        and coalesce(last_seen.last_seen_on, registry.since)
        <= {{ days_before('known.as_of', var('llm_spend_tag_stale_days')) }}
),

summed as (
    select
        finding,
        tag_key,
        tag_value,
        source_system,
        team_id,
        max(similar_to) as similar_to,
        {% for measure in measures -%}
        cast(sum({{ measure }}) as {{ whole }}) as {{ measure }},
        {% endfor -%}
        cast(sum(cost_usd) as {{ type_money() }}) as cost_usd,
        min(usage_date) as first_seen_on,
        max(usage_date) as last_seen_on
    from found
    group by finding, tag_key, tag_value, source_system, team_id
),

weighed as (
    select
        summed.*,
        cast(case when summed.source_system = {{ all }} then total.requests else places.requests end as {{ whole }})
            as requests_of_place,
        cast(total.requests as {{ whole }}) as all_requests,
        cast(
            sum(summed.requests) over (partition by summed.finding, summed.tag_key, summed.tag_value) as {{ whole }}
        ) as requests_of_finding
    from summed
    cross join total
    left join places on summed.source_system = places.source_system and summed.team_id = places.team_id
),

named as (
    select
        weighed.*,
        registry.owner,
        registry.retired,
        known.as_of
    from weighed
    cross join known
    left join registry on weighed.tag_key = registry.tag_key
),

final as (
    select
        finding,
        tag_key,
        tag_value,
        source_system,
        team_id,
        similar_to,
        owner,
        case
            when requests_of_finding * 20 >= all_requests then 'high'
            when requests_of_finding * 200 >= all_requests then 'medium'
            else 'low'
        end as severity,
        attempts,
        requests,
        {{ whole_ratio('requests', 'requests_of_place') }} as share_ratio,
        cost_usd,
        unpriced_requests,
        unpriced_tokens,
        first_seen_on,
        last_seen_on,
        case
            when finding = 'misspelt'
                then {{ sentence('The key `{tag_key}` is nearly `{similar_to}`, and nobody knows it.') }}
            when finding = 'unregistered' then {{ sentence('The registry does not know the key `{tag_key}`.') }}
            when finding = 'bad_key'
                then {{ sentence('The key `{tag_key}` is not registered, and no name in snake_case.') }}
            when finding = 'retired'
                then {{ sentence('The key `{tag_key}` is retired since {' ~ date_text('retired') ~ '}.') }}
            when finding = 'stale' and last_seen_on is null
                then {{ sentence('No request ever had the key `{tag_key}`.') }}
            when finding = 'stale'
                then {{ sentence('No request has had the key `{tag_key}` since {' ~ date_text('last_seen_on') ~ '}.') }}
            when finding = 'bad_value' and similar_to is not null
                then {{ sentence('`{tag_key}` may not be `{tag_value}`, which is nearly `{similar_to}`.') }}
            when finding = 'bad_value' then {{ sentence('`{tag_key}` may not be `{tag_value}`.') }}
            when finding = 'near_duplicate_value'
                then {{ sentence('`{tag_key}` is `{tag_value}`, which is nearly `{similar_to}`, sent more often.') }}
            when finding = 'truncated'

                then {{ sentence('Values of `{tag_key}` have 128 characters or more, where gateways cut.') }}
            when finding = 'high_cardinality'
                then {{ sentence('`{tag_key}` has more values on a day than llm_usage_by_tag_daily shows.') }}
            when finding = 'missing_required'
                then {{ sentence('Requests lack the tag `{tag_key}`, which they must have.') }}
        end as explanation,
        case
            when finding = 'misspelt' then 'Rename it in the code that sends it; if both are meant, register it.'
            when finding = 'unregistered' then 'Register it in seeds/mapping/tag_registry.csv, or stop sending it.'
            when finding = 'bad_key' then 'Rename it in the code that sends it; if it must be so, register it.'
            when finding = 'retired' and similar_to is not null then {{ sentence('Send `{similar_to}` instead.') }}
            when finding = 'retired' then 'Stop sending it.'
            when finding = 'stale' then 'Give it a day in the column retired of the registry, or take it out.'
            when finding = 'bad_value' then 'Correct it in the code that sends it, or allow it in the registry.'
            when finding = 'near_duplicate_value'
                then 'Send one of both; say which in allowed_values of the registry.'
            when finding = 'truncated' then 'Send an id or a short name; long texts are no tags.'
            when finding = 'high_cardinality' then 'Fine for an id; to group by, send something with fewer values.'
            when finding = 'missing_required'
                then 'Send it with every request, or change required_in of the registry.'
        end as what_to_do,
        as_of,
        'USD' as currency
    from named
)

select * from final
