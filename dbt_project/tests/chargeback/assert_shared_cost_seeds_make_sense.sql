-- Which row of the seeds of shared costs can't be read, or can't be meant, and why. One row per seed, row and problem.
{{ config(severity='error') }}

{% set methods = llm_spend.shared_cost_methods() | list %}
{% set quoted = "'" ~ methods | join("', '") ~ "'" %}
{% set listed = "'" ~ methods | join(', ') ~ "'" %}
{% set is_code = llm_spend.regex_found("coalesce(trim(currency), '')", "'^[A-Za-z]{3}$'") %}
{% set amount_cells = llm_spend.seed_line(['provider', 'amount', 'currency', 'usd_per_unit']) %}
{% set cost_row = ['costs.shared_cost_id', 'costs.source', llm_spend.date_text('costs.valid_from')] %}
{% set weight_row = ['weights.shared_cost_id', 'weights.team_id', 'weights.cost_center_id'] %}

with cost_seed as (
    select
        *,
        lower(coalesce(trim(source), '')) as source_text,
        {{ llm_spend.seed_number('amount', llm_spend.type_money()) }} as parsed_amount,
        coalesce(trim(usd_per_unit), '') as rate_text,
        {{ llm_spend.seed_number('usd_per_unit', llm_spend.type_decimal(18, 12)) }} as parsed_rate,
        replace(replace({{ amount_cells }}, '|', ''), ' ', '') as amount_text,
        {{ llm_spend.seed_number('valid_from', 'date') }} as starts_on,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as ends_on
    from {{ ref('shared_costs') }}
),

costs as (
    select * from {{ ref('stg_rules__shared_costs') }}
),

weight_seed as (
    select
        *,
        {{ llm_spend.seed_number('valid_from', 'date', when_empty='1900-01-01') }} as starts_on,
        {{ llm_spend.seed_number('valid_to', 'date', when_empty='9999-12-01') }} as ends_on
    from {{ ref('shared_cost_weights') }}
),

weights as (
    select * from {{ ref('stg_rules__shared_cost_weights') }}
),

-- Without a list of teams any name is one.
teams as (
    select distinct team_id
    from {{ ref('stg_mapping__org_teams') }}
),

registry as (
    select count(*) > 0 as has_teams
    from teams
),

-- From when on weights are needed: the first month, and wherever one ends.
weighed_from as (
    select
        shared_cost_id,
        source,
        valid_from,
        valid_from as needed_from
    from costs
    where method = 'fixed_weights'
    union all
    select
        costs.shared_cost_id,
        costs.source,
        costs.valid_from,
        weights.valid_to as needed_from
    from costs
    inner join weights
        on
            costs.shared_cost_id = weights.shared_cost_id
            and costs.valid_from < weights.valid_to
            and costs.valid_to > weights.valid_to
    where costs.method = 'fixed_weights'
),

problems as (
    select
        'shared_costs' as seed,
        {{ llm_spend.seed_line(['shared_cost_id', 'source', 'valid_from']) }} as seed_row,
        case
            when coalesce(trim(shared_cost_id), '') = '' then 'shared_cost_id is empty: give the cost a name'
            when source_text not in ('amount', 'unallocated') and source_text not like 'team:_%'
                then 'source is none of amount, unallocated, team:<team_id>'
            when lower(coalesce(trim(method), '')) not in ({{ quoted }}) then 'method is none of ' || {{ listed }}
            when starts_on is null or starts_on <> {{ llm_spend.month_start('starts_on') }}
                then 'valid_from is not the first of a month, written as YYYY-MM-01'
            when ends_on is null or ends_on <> {{ llm_spend.month_start('ends_on') }}
                then 'valid_to is not the first of a month, written as YYYY-MM-01'
            when starts_on >= ends_on then 'valid_to is not after valid_from'
            when source_text <> 'amount' and amount_text <> ''
                then 'provider, amount, currency and usd_per_unit are of the source amount only: leave them empty'
            when source_text = 'amount' and coalesce(trim(provider), '') = '' then 'provider is empty: name who is paid'
            when source_text = 'amount' and parsed_amount is null then 'amount is no number'
            when source_text = 'amount' and not {{ is_code }}
                then 'currency is no code of three letters: it is never assumed'
            when rate_text <> '' and coalesce(parsed_rate, 0) <= 0 then 'usd_per_unit is not a positive number'
            when upper(trim(currency)) = 'USD' and parsed_rate <> 1 then 'usd_per_unit is not 1 for USD'
        end as problem
    from cost_seed
    union all
    select
        'shared_costs' as seed,
        {{ llm_spend.seed_line(cost_row) }} as seed_row,
        'its team is not in org_teams: add it there, or correct the name' as problem
    from costs
    cross join registry
    left join teams on costs.source_team_id = teams.team_id
    where costs.source = 'team' and registry.has_teams and teams.team_id is null
    union all
    select
        'shared_costs' as seed,
        {{ llm_spend.seed_line(cost_row) }} as seed_row,
        'another row of this cost, or of the same source, is of the same month: end one before the other begins'
            as problem
    from costs
    inner join costs as others
        on
            (costs.shared_cost_id = others.shared_cost_id or costs.source_team_id = others.source_team_id)
            and costs.valid_from < others.valid_to
            and costs.valid_to > others.valid_from
    group by costs.shared_cost_id, costs.source, costs.valid_from
    having count(*) > 1
    union all
    select
        'shared_costs' as seed,
        {{ llm_spend.seed_line(['shared_cost_id', 'source', llm_spend.date_text('valid_from')]) }} as seed_row,
        'fixed_weights needs rows in shared_cost_weights, and has none from '
        || {{ llm_spend.date_text('needed_from') }} || ' on' as problem
    from (
        select
            weighed_from.shared_cost_id,
            weighed_from.source,
            weighed_from.valid_from,
            weighed_from.needed_from
        from weighed_from
        left join weights
            on
                weighed_from.shared_cost_id = weights.shared_cost_id
                and weighed_from.needed_from >= weights.valid_from
                and weighed_from.needed_from < weights.valid_to
        where weights.shared_cost_id is null
    ) as unweighed
    union all
    select
        'shared_cost_weights' as seed,
        {{ llm_spend.seed_line(['shared_cost_id', 'team_id', 'valid_from']) }} as seed_row,
        case
            when coalesce(trim(team_id), '') = '' then 'team_id is empty'
            when starts_on is null or starts_on <> {{ llm_spend.month_start('starts_on') }}
                then 'valid_from is not the first of a month, written as YYYY-MM-01'
            when ends_on is null or ends_on <> {{ llm_spend.month_start('ends_on') }}
                then 'valid_to is not the first of a month, written as YYYY-MM-01'
            when starts_on >= ends_on then 'valid_to is not after valid_from'
        end as problem
    from weight_seed
    union all
    select
        'shared_cost_weights' as seed,
        {{ llm_spend.seed_line(weight_row) }} as seed_row,
        case
            when costs.shared_cost_id is null then 'there is no such shared_cost_id in shared_costs'
            when registry.has_teams and teams.team_id is null
                then 'the team is not in org_teams: add it there, or correct the name'
        end as problem
    from weights
    cross join registry
    left join teams on weights.team_id = teams.team_id
    left join (select distinct shared_cost_id from costs) as costs on weights.shared_cost_id = costs.shared_cost_id
    union all
    select
        'shared_cost_weights' as seed,
        {{ llm_spend.seed_line(weight_row) }} as seed_row,
        case
            when costs.source_team_id = weights.team_id then 'it is this team whose costs are shared: leave it out'
            when costs.method = 'fixed_weights' and (coalesce(weights.weight, 0) <= 0 or weights.weight > 1000000)
                then 'weight is not a number above 0, at most 1000000'
            when costs.method <> 'fixed_weights' and weights.weight is not null
                then 'only fixed_weights has weights: leave it empty'
        end as problem
    from weights
    inner join costs
        on
            weights.shared_cost_id = costs.shared_cost_id
            and weights.valid_from < costs.valid_to
            and weights.valid_to > costs.valid_from
    union all
    select
        'shared_cost_weights' as seed,
        {{ llm_spend.seed_line(['weights.shared_cost_id', 'weights.team_id']) }} as seed_row,
        'the team has two rows in one month: end one before the other begins' as problem
    from weights
    inner join weights as others
        on
            weights.shared_cost_id = others.shared_cost_id
            and weights.team_id = others.team_id
            and weights.valid_from < others.valid_to
            and weights.valid_to > others.valid_from
    group by weights.shared_cost_id, weights.team_id, weights.valid_from
    having count(*) > 1
)

select distinct *
from problems
where problem is not null
