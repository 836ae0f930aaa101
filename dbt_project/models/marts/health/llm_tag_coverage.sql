{% set requests_with_tag = 'cast(coalesce(tagged.requests, 0) as ' ~ dbt.type_bigint() ~ ')' %}
{% set cost_with_tag = 'case when tagged.attempts is null then 0 else tagged.cost_usd end' %}

with days as (
    select * from {{ ref('int_tags_daily') }}
),

registry as (
    select * from {{ ref('stg_mapping__tag_registry') }}
),

known as (
    {{ known_usage() }}
),

tagged as (
    select
        {{ month_start('usage_date') }} as billing_period,
        tag_key,
        team_id,
        sum(attempts) as attempts,
        sum(requests) as requests,
        sum(cost_usd) as cost_usd,
        sum(unpriced_requests) as unpriced_requests,
        sum(unpriced_tokens) as unpriced_tokens
    from days
    group by {{ month_start('usage_date') }}, tag_key, team_id
),

teams as (
    select * from tagged
    where tag_key = {{ all_requests() }}
),

months as (
    select
        billing_period,
        {{ llm_spend.month_after('billing_period') }} as next_period
    from teams
    group by billing_period
),

-- The keys that were sent in a month, and those of the registry that held in it, so that a key nobody sent has its row.
keys as (
    select
        billing_period,
        tag_key
    from tagged
    where tag_key <> {{ all_requests() }}
    {{ llm_spend.union_distinct() }}
    select
        months.billing_period,
        registry.tag_key
    from months
    inner join registry
        on months.next_period > registry.since and months.billing_period < registry.retired
    {{ llm_spend.union_distinct() }}
    select
        months.billing_period,
        owners.tag_key
    from months
    cross join (
        {%- for dimension in owner_dimensions() %}
        select {{ owner_key(dimension) }} as tag_key{{ ' union all' if not loop.last }}
        {%- endfor %}
    ) as owners
),

final as (
    select
        teams.billing_period,
        keys.tag_key,
        teams.team_id,
        substr(keys.tag_key, 1, 1) = '(' as is_owner,
        registry.tag_key is not null as is_registered,
        registry.meaning as tag_meaning,
        registry.owner as tag_owner,
        cast(teams.requests as {{ dbt.type_bigint() }}) as requests,
        {{ requests_with_tag }} as requests_with_tag,
        {{ whole_ratio(requests_with_tag, 'cast(teams.requests as ' ~ dbt.type_bigint() ~ ')') }}
            as request_coverage_ratio,
        cast(teams.cost_usd as {{ type_money() }}) as cost_usd,
        cast({{ cost_with_tag }} as {{ type_money() }}) as cost_with_tag_usd,
        {{ whole_ratio(
            'cast((' ~ cost_with_tag ~ ') * 1000000 as ' ~ dbt.type_bigint() ~ ')',
            'cast(teams.cost_usd * 1000000 as ' ~ dbt.type_bigint() ~ ')'
        ) }} as cost_coverage_ratio,
        cast(teams.unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(coalesce(tagged.unpriced_requests, 0) as {{ dbt.type_bigint() }}) as unpriced_requests_with_tag,
        cast(teams.unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast(months.next_period as {{ type_timestamp() }}) <= known.known_to as is_whole_month,
        'USD' as currency
    from teams
    inner join months on teams.billing_period = months.billing_period
    inner join keys on teams.billing_period = keys.billing_period
    cross join known
    left join tagged
        on
            teams.billing_period = tagged.billing_period
            and teams.team_id = tagged.team_id
            and keys.tag_key = tagged.tag_key
    left join registry on keys.tag_key = registry.tag_key
)

select * from final
