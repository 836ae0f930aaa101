with shared_costs as (
    select * from {{ ref('stg_rules__shared_costs') }}
),

named as (
    select * from {{ ref('stg_rules__shared_cost_weights') }}
),

teams as (
    select * from {{ ref('stg_mapping__org_teams') }}
),

members as (
    select * from {{ ref('stg_mapping__org_members') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

-- Of closed months what they cost at today's prices: what that shares otherwise than was published is restated.
costs as (
    select * from {{ ref('int_cost_lines') }}
),

numbers as (
    {{ llm_spend.numbers() }}
),

months_with_costs as (
    select
        billing_period,
        lead(billing_period) over (order by billing_period) as next_period
    from costs
    group by billing_period
),

-- And the months between two of them, unless these are more than a year apart: a request of 1970, or of 2099, is no
-- reason to charge all years since, or until, then.
months as (
    select
        cast({{ dbt.dateadd('month', 'numbers.number', 'months_with_costs.billing_period') }} as date)
            as billing_period
    from months_with_costs
    inner join numbers
        on
            numbers.number = 0
            or (
                numbers.number < 12
                and months_with_costs.next_period
                <= cast({{ dbt.dateadd('month', 12, 'months_with_costs.billing_period') }} as date)
                and months_with_costs.next_period
                > cast({{ dbt.dateadd('month', 'numbers.number', 'months_with_costs.billing_period') }} as date)
            )
),

shared_months as (
    select
        shared_costs.*,
        months.billing_period,
        cast({{ dbt.dateadd('day', -1, dbt.dateadd('month', 1, 'months.billing_period')) }} as date) as last_day
    from months
    inner join shared_costs
        on months.billing_period >= shared_costs.valid_from and months.billing_period < shared_costs.valid_to
),

named_months as (
    select distinct
        shared_months.billing_period,
        shared_months.shared_cost_id
    from shared_months
    inner join named
        on
            shared_months.shared_cost_id = named.shared_cost_id
            and shared_months.billing_period >= named.valid_from
            and shared_months.billing_period < named.valid_to
),

month_ends as (
    select distinct
        billing_period,
        last_day
    from shared_months
),

organisation as (
    select
        month_ends.billing_period,
        teams.team_id,
        teams.cost_center_id
    from month_ends
    inner join teams on month_ends.last_day >= teams.valid_from and month_ends.last_day < teams.valid_to
),

headcounts as (
    select
        month_ends.billing_period,
        members.team_id,
        count(*) as people
    from month_ends
    inner join members on month_ends.last_day >= members.valid_from and month_ends.last_day < members.valid_to
    group by month_ends.billing_period, members.team_id
),

usage_of_teams as (
    select
        billing_period,
        team_id,
        cost_center_id,
        sum(restated_cost_usd) as cost_usd,
        sum(quantity_tokens) as tokens,
        sum(attempts) as attempts
    from costs
    where team_id <> {{ unallocated() }}
    group by billing_period, team_id, cost_center_id
),

known_teams as (
    select distinct
        billing_period,
        team_id,
        true as is_of_usage
    from usage_of_teams
    union all
    select
        billing_period,
        team_id,
        false as is_of_usage
    from organisation
),

-- The teams that are named; if none is, all with usage or, where the method does not ask for it, all that there are.
sharers as (
    select
        shared_months.billing_period,
        shared_months.shared_cost_id,
        shared_months.method,
        named.team_id,
        named.cost_center_id,
        named.weight
    from shared_months
    inner join named
        on
            shared_months.shared_cost_id = named.shared_cost_id
            and shared_months.billing_period >= named.valid_from
            and shared_months.billing_period < named.valid_to
    where named.team_id <> coalesce(shared_months.source_team_id, '')
    union all
    select
        shared_months.billing_period,
        shared_months.shared_cost_id,
        shared_months.method,
        known_teams.team_id,
        cast(null as {{ dbt.type_string() }}) as cost_center_id,
        cast(null as {{ llm_spend.type_decimal(18, 6) }}) as weight
    from shared_months
    inner join known_teams
        on
            shared_months.billing_period = known_teams.billing_period
            and (shared_months.method like 'proportional%') = known_teams.is_of_usage
    left join named_months
        on
            shared_months.billing_period = named_months.billing_period
            and shared_months.shared_cost_id = named_months.shared_cost_id
    where
        named_months.shared_cost_id is null
        and known_teams.team_id <> coalesce(shared_months.source_team_id, '')
),

weighed as (
    select
        sharers.billing_period,
        sharers.shared_cost_id,
        sharers.team_id,
        coalesce(
            sharers.cost_center_id, usage_of_teams.cost_center_id, organisation.cost_center_id, {{ unallocated() }}
        ) as cost_center_id,
        cast(
            case sharers.method
                {% for method, weight in llm_spend.shared_cost_methods().items() -%}
                when '{{ method }}' then {{ weight }}
                {% endfor -%}
            end as {{ dbt.type_bigint() }}
        ) as weight
    from sharers
    left join usage_of_teams
        on
            sharers.billing_period = usage_of_teams.billing_period
            and sharers.team_id = usage_of_teams.team_id
            and sharers.method like 'proportional%'
    left join organisation
        on sharers.billing_period = organisation.billing_period and sharers.team_id = organisation.team_id
    left join headcounts
        on sharers.billing_period = headcounts.billing_period and sharers.team_id = headcounts.team_id
),

weights as (
    select
        billing_period,
        shared_cost_id,
        team_id,
        cost_center_id,
        cast(sum(weight) as {{ dbt.type_bigint() }}) as weight
    from weighed
    where weight > 0
    group by billing_period, shared_cost_id, team_id, cost_center_id
),

total_weights as (
    select
        billing_period,
        shared_cost_id,
        cast(sum(weight) as {{ dbt.type_bigint() }}) as total_weight
    from weights
    group by billing_period, shared_cost_id
),

sources as (
    select
        shared_months.billing_period,
        shared_months.shared_cost_id,
        shared_months.method,
        shared_months.source_team_id,
        costs.provider,
        costs.cost_center_id,
        sum(costs.restated_cost_usd) as source_usd
    from shared_months
    inner join costs
        on shared_months.billing_period = costs.billing_period and shared_months.source_team_id = costs.team_id
    group by
        shared_months.billing_period, shared_months.shared_cost_id, shared_months.method, shared_months.source_team_id,
        costs.provider, costs.cost_center_id
),

pools as (
    select
        shared_months.billing_period,
        shared_months.shared_cost_id,
        shared_months.method,
        shared_months.source_team_id,
        shared_months.provider,
        {{ in_usd(
            'shared_months.amount',
            'shared_months.currency',
            'coalesce(shared_months.usd_per_unit, ' ~ usd_rate('shared_months.currency', 'fx_rates') ~ ')'
        ) }} as shared_usd
    from shared_months
    left join fx_rates
        on {{ rate_holds('fx_rates', 'shared_months.currency', 'shared_months.billing_period') }}
    where shared_months.source = 'amount' and shared_months.amount <> 0
    union all
    select
        billing_period,
        shared_cost_id,
        method,
        source_team_id,
        provider,
        sum(source_usd) as shared_usd
    from sources
    group by billing_period, shared_cost_id, method, source_team_id, provider
    having sum(source_usd) <> 0
),

-- What nobody shares stays where it is; an amount is `(unallocated)` then.
shares as (
    select
        pools.*,
        coalesce(weights.team_id, {{ unallocated() }}) as team_id,
        coalesce(weights.cost_center_id, {{ unallocated() }}) as cost_center_id,
        weights.weight,
        total_weights.total_weight,
        case
            when weights.weight is null then pools.shared_usd
            else {{ llm_spend.share_of('pools.shared_usd', 'weights.weight', 'total_weights.total_weight') }}
        end as share_usd,
        row_number() over (
            partition by pools.billing_period, pools.shared_cost_id, pools.provider
            order by weights.weight desc, weights.cost_center_id, weights.team_id
        ) as share_rank
    from pools
    left join weights
        on pools.billing_period = weights.billing_period and pools.shared_cost_id = weights.shared_cost_id
    left join total_weights
        on
            pools.billing_period = total_weights.billing_period
            and pools.shared_cost_id = total_weights.shared_cost_id
    where weights.weight is not null or pools.source_team_id is null
),

parts as (
    -- What is lost in the last digit goes to the largest share.
    select
        billing_period,
        shared_cost_id,
        method,
        provider,
        cost_center_id,
        team_id,
        weight,
        total_weight,
        shared_usd,
        share_usd + case
            when share_rank = 1
                then shared_usd - sum(share_usd) over (partition by billing_period, shared_cost_id, provider)
            else 0
        end as exact_cost_usd
    from shares
    union all
    select
        sources.billing_period,
        sources.shared_cost_id,
        sources.method,
        sources.provider,
        sources.cost_center_id,
        sources.source_team_id as team_id,
        null as weight,
        total_weights.total_weight,
        pools.shared_usd,
        -sources.source_usd as exact_cost_usd
    from sources
    inner join pools
        on
            sources.billing_period = pools.billing_period
            and sources.shared_cost_id = pools.shared_cost_id
            and sources.provider = pools.provider
    inner join total_weights
        on
            sources.billing_period = total_weights.billing_period
            and sources.shared_cost_id = total_weights.shared_cost_id
    where sources.source_usd <> 0
),

final as (
    select
        billing_period,
        shared_cost_id,
        method as allocation_method,
        provider,
        cost_center_id,
        team_id,
        cast(weight as {{ dbt.type_bigint() }}) as weight,
        cast(total_weight as {{ dbt.type_bigint() }}) as total_weight,
        cast(shared_usd as {{ llm_spend.type_money() }}) as shared_usd,
        cast(exact_cost_usd as {{ llm_spend.type_money() }}) as exact_cost_usd
    from parts
)

select * from final
