-- One cost is shared: an amount in USD, by headcount of all teams. Its provider has no usage.
create table llm_spend.llm_chargeback_lines as
with headcounts as (
    select
        months.billing_period,
        costs.provider,
        teams.cost_center_id,
        teams.team_id,
        cast(cast(costs.amount as decimal(18, 2)) * 100 as hugeint) as cents,
        count(*) as heads
    from (select distinct date_trunc('month', usage_date) as billing_period from llm_spend.fct_llm_requests) as months
    inner join source.llm_spend_seeds.shared_costs as costs on months.billing_period >= cast(costs.valid_from as date)
    inner join members on last_day(months.billing_period) between members.valid_from and members.valid_to - 1
    inner join teams
        on
            members.team_id = teams.team_id
            and last_day(months.billing_period) between teams.valid_from and teams.valid_to - 1
    group by all
),

-- In 10^-12 USD: whole parts of 10^-12, rounded half-up; what is left is the largest team's.
parts as (
    select
        *,
        (
            cents * 10000000000 * (heads * 1000000000000 // sum(heads) over (partition by billing_period))
            + 500000000000
        ) // 1000000000000 as part
    from headcounts
),

exact_parts as (
    select
        * exclude (part),
        part + if(
            row_number() over (partition by billing_period order by heads desc, cost_center_id, team_id) = 1,
            cents * 10000000000 - sum(part) over (partition by billing_period),
            0
        ) as part
    from parts
),

shared as (
    select
        cast(billing_period as date) as billing_period,
        concat_ws(
            '|', cast(billing_period as date), provider, cost_center_id, team_id, '(none)', 'shared', 'headcount'
        ) as line_id,
        'shared' as line_type,
        'headcount' as allocation_method,
        cost_center_id,
        team_id,
        provider,
        '(none)' as model_id,
        0 as quantity_tokens,
        cast(cast(part as decimal(26, 0)) * cast(0.000000000001 as decimal(12, 12)) as decimal(38, 12))
            as exact_cost_usd,
        cast(
            cast(
                part // 10000000000
                + if(
                    row_number() over (
                        partition by billing_period order by part % 10000000000 desc, cost_center_id, team_id
                    ) <= cents - sum(part // 10000000000) over (partition by billing_period),
                    1,
                    0
                ) as bigint
            ) * cast(0.01 as decimal(3, 2)) as decimal(38, 2)
        ) as amount_usd,
        'shared' as cost_basis,
        'USD' as currency,
        cast(billing_period as date) as original_period,
        cast(null as varchar) as restatement_reason,
        false as is_closed,
        0 as unpriced_tokens,
        0 as unpriced_requests,
        false as has_unpriced_usage,
        false as has_unknown_share
    from exact_parts
),

sums as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        coalesce(provider, '(unknown)') as provider,
        cost_center_id,
        team_id,
        coalesce(model_id, '(unresolved)') as model_id,
        coalesce(cast(sum(total_tokens) filter (is_gateway_cache_hit is not true) as bigint), 0) as quantity_tokens,
        sum(cost_usd) as exact_cost_usd,
        min(cost_basis) filter (cost_usd <> 0) as first_basis,
        max(cost_basis) filter (cost_usd <> 0) as last_basis,
        coalesce(cast(sum(total_tokens) filter (cost_usd is null) as bigint), 0) as unpriced_tokens,
        count(*) filter (cost_usd is null) as unpriced_requests
    from llm_spend.fct_llm_requests
    group by all
),

floored as (
    select
        *,
        cast(floor(exact_cost_usd * 100) as bigint) as floor_cents,
        coalesce(exact_cost_usd * 100 - floor(exact_cost_usd * 100), 0) as fraction
    from sums
),

rounded as (
    select
        *,
        cast(round(sum(exact_cost_usd) over a_bill * 100, 0) as bigint)
        - cast(sum(floor_cents) over a_bill as bigint) as cents_to_share,
        row_number() over (
            partition by billing_period, provider
            order by fraction desc, cost_center_id, team_id, model_id
        ) as share_rank
    from floored
    window a_bill as (partition by billing_period, provider)
)

select
    billing_period,
    concat_ws(
        '|',
        billing_period,
        replace(replace(provider, '%', '%25'), '|', '%7C'),
        replace(replace(cost_center_id, '%', '%25'), '|', '%7C'),
        replace(replace(team_id, '%', '%25'), '|', '%7C'),
        replace(replace(model_id, '%', '%25'), '|', '%7C')
    ) as line_id,
    if(team_id = '(unallocated)', 'unallocated', 'direct') as line_type,
    'own_usage' as allocation_method,
    cost_center_id,
    team_id,
    provider,
    model_id,
    quantity_tokens,
    exact_cost_usd,
    cast(
        (floor_cents + if(share_rank <= cents_to_share, 1, 0)) * cast('0.01' as decimal(3, 2)) as decimal(38, 2)
    ) as amount_usd,
    if(first_basis <> last_basis, 'mixed', first_basis) as cost_basis,
    'USD' as currency,
    billing_period as original_period,
    cast(null as varchar) as restatement_reason,
    false as is_closed,
    unpriced_tokens,
    unpriced_requests,
    unpriced_requests > 0 as has_unpriced_usage,
    false as has_unknown_share
from rounded

union all

select * from shared;

create table llm_spend.llm_chargeback_statements as
with sums as (
    select
        billing_period,
        cost_center_id,
        team_id,
        case when bool_or(line_type = 'direct') then sum(amount_usd) filter (line_type = 'direct') else 0 end as direct,
        case
            when bool_or(line_type = 'unallocated') then sum(amount_usd) filter (line_type = 'unallocated') else 0
        end as unallocated,
        case
            when bool_or(line_type = 'restatement') then sum(amount_usd) filter (line_type = 'restatement') else 0
        end as restatement,
        coalesce(sum(amount_usd) filter (line_type = 'shared'), 0) as shared,
        sum(amount_usd) as total,
        cast(sum(quantity_tokens) as bigint) as quantity_tokens,
        cast(sum(unpriced_tokens) as bigint) as unpriced_tokens,
        cast(sum(unpriced_requests) as bigint) as unpriced_requests,
        bool_or(is_closed) as is_closed
    from llm_spend.llm_chargeback_lines
    group by billing_period, cost_center_id, team_id
)

select
    billing_period,
    cost_center_id,
    team_id,
    cast(direct as decimal(38, 2)) as direct_usd,
    cast(shared as decimal(38, 2)) as shared_usd,
    cast(unallocated as decimal(38, 2)) as unallocated_usd,
    cast(0 as decimal(38, 2)) as true_up_usd,
    cast(0 as decimal(38, 2)) as commitment_usd,
    cast(0 as decimal(38, 2)) as credit_usd,
    cast(restatement as decimal(38, 2)) as restatement_usd,
    cast(0 as decimal(38, 2)) as unused_commitment_usd,
    cast(total as decimal(38, 2)) as total_usd,
    whole_ratio(
        cast(round(total * 100, 0) as bigint),
        cast(round(sum(total) over (partition by billing_period) * 100, 0) as bigint)
    ) as share_of_bill,
    'USD' as currency,
    quantity_tokens,
    unpriced_tokens,
    unpriced_requests,
    unpriced_requests > 0 as has_unpriced_usage,
    false as has_unknown_share,
    is_closed
from sums;

create table llm_spend.llm_chargeback_current_view as
with today as (
    select cast(timezone('UTC', now()) as date) as day
),

organisation as (
    select
        team_id,
        team_name,
        nullif(cost_center_id, '') as cost_center_id,
        cast(valid_from as date) as valid_from,
        coalesce(cast(nullif(valid_to, '') as date), date '9999-12-31') as valid_to
    from source.llm_spend_seeds.org_teams
),

placed as (
    select
        lines.*,
        current_team.team_name as current_team_name,
        if(
            exists (
                from organisation as known
                where
                    known.team_id = lines.team_id
                    and lines.cost_center_id in (coalesce(known.cost_center_id, '(unallocated)'), '(unallocated)')
            ),
            coalesce(current_team.cost_center_id, '(unallocated)'),
            lines.cost_center_id
        ) as current_cost_center_id,
        today.day as organisation_date
    from llm_spend.llm_chargeback_lines as lines
    cross join today
    left join organisation as current_team
        on
            lines.team_id = current_team.team_id
            and today.day >= current_team.valid_from
            and today.day < current_team.valid_to
)

select
    billing_period,
    line_id,
    line_type,
    allocation_method,
    original_period,
    provider,
    model_id,
    team_id,
    current_team_name,
    cost_center_id as reported_cost_center_id,
    current_cost_center_id,
    cost_center_id <> current_cost_center_id as is_moved,
    quantity_tokens,
    amount_usd,
    currency,
    unpriced_tokens,
    unpriced_requests,
    has_unpriced_usage,
    has_unknown_share,
    is_closed,
    organisation_date
from placed;

-- No month is closed here and no bill is loaded, so there is nothing to restate.
create table llm_spend.llm_chargeback_restatements as
select
    original_period,
    cost_center_id,
    team_id,
    provider,
    model_id,
    amount_usd as cost_as_reported_usd,
    amount_usd as cost_as_restated_usd,
    amount_usd as price_correction_usd,
    amount_usd as bill_correction_usd,
    amount_usd as late_data_usd,
    amount_usd as reattribution_usd,
    amount_usd as shared_correction_usd,
    currency,
    quantity_tokens as tokens_as_reported,
    quantity_tokens as tokens_as_restated,
    unpriced_tokens as unpriced_tokens_as_reported,
    unpriced_tokens as unpriced_tokens_as_restated,
    has_unpriced_usage,
    billing_period as first_restated_in,
    billing_period as last_restated_in
from llm_spend.llm_chargeback_lines
where is_closed;
