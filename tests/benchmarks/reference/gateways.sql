create table llm_spend.dim_llm_teams as
select
    team_id,
    team_name,
    coalesce(nullif(cost_center_id, ''), '(unallocated)') as cost_center_id,
    'seed' as origin,
    cast(null as varchar) as source_system,
    cast(null as varchar) as source_instance,
    cast(null as varchar) as member_id,
    false as is_deleted,
    cast(valid_from as date) as valid_from,
    coalesce(cast(nullif(valid_to, '') as date), date '9999-12-31') as valid_to
from source.llm_spend_seeds.org_teams;

-- A row is cut in two where the cost centre of its team changes. Every team of the benchmark has one at any time.
create table llm_spend.dim_llm_users as
select
    members.user_id,
    cast(null as varchar) as user_name,
    cast(null as varchar) as email,
    coalesce(members.team_id, '(unallocated)') as team_id,
    coalesce(teams.cost_center_id, '(unallocated)') as cost_center_id,
    'seed' as origin,
    cast(null as varchar) as source_system,
    cast(null as varchar) as source_instance,
    cast(null as varchar) as member_id,
    false as is_deleted,
    greatest(members.valid_from, teams.valid_from) as valid_from,
    least(members.valid_to, teams.valid_to) as valid_to
from members
left join teams
    on
        members.team_id = teams.team_id
        and members.valid_from < teams.valid_to
        and members.valid_to > teams.valid_from;

create table llm_spend.dim_llm_api_keys as
select
    api_keys.api_key_id,
    'api_key' as key_type,
    seeds.key_name,
    api_keys.owner_user_id,
    coalesce(nullif(api_keys.team_id, ''), '(unallocated)') as team_id,
    coalesce(teams.cost_center_id, '(unallocated)') as cost_center_id,
    cast(null as varchar) as status,
    cast(null as timestamp) as created_at,
    cast(null as timestamp) as expires_at,
    'seed' as origin,
    cast(null as varchar) as source_system,
    cast(null as varchar) as source_instance,
    false as is_deleted,
    greatest(api_keys.valid_from, teams.valid_from) as valid_from,
    least(api_keys.valid_to, teams.valid_to) as valid_to
from api_keys
inner join source.llm_spend_seeds.api_keys as seeds
    on api_keys.api_key_id = seeds.api_key_id and api_keys.valid_from = cast(seeds.valid_from as date)
left join teams
    on
        api_keys.team_id = teams.team_id
        and api_keys.valid_from < teams.valid_to
        and api_keys.valid_to > teams.valid_from;

-- The organisation of the benchmark has one log and no lists of a gateway: what follows from lists has no rows.
create table llm_spend.dim_llm_runs (
    source_system varchar,
    source_instance varchar,
    run_id varchar,
    run_name varchar,
    experiment_id varchar,
    experiment_name varchar,
    status varchar,
    user_id varchar,
    started_at timestamp,
    ended_at timestamp,
    is_deleted boolean,
    tags json,
    params json,
    metrics json,
    observed_at timestamp
);

create table llm_spend.llm_gateway_limits (
    source_system varchar,
    source_instance varchar,
    limit_id varchar,
    limit_name varchar,
    limit_kind varchar,
    scope_type varchar,
    scope json,
    counter_keys json,
    measure varchar,
    limit_value decimal(38, 12),
    limit_unit varchar,
    window_unit varchar,
    window_length bigint,
    window_anchor varchar,
    enforcement varchar,
    evaluation varchar,
    rule_order bigint,
    alert_thresholds json,
    status varchar,
    valid_from timestamp,
    valid_to timestamp,
    is_current boolean
);

create table llm_spend.llm_gateway_limit_usage (
    source_system varchar,
    source_instance varchar,
    limit_id varchar,
    entity varchar,
    period_start timestamp,
    period_end timestamp,
    used_value decimal(38, 12),
    used_unit varchar,
    limit_value decimal(38, 12),
    used_ratio decimal(18, 6),
    status varchar,
    is_exhausted boolean,
    first_exhausted_at timestamp,
    first_observed_at timestamp,
    last_observed_at timestamp
);

create table llm_spend.llm_gateway_totals (
    source_system varchar,
    source_instance varchar,
    usage_date date,
    bucket_start timestamp,
    bucket_end timestamp,
    dimension varchar,
    member varchar,
    requests bigint,
    errors bigint,
    cache_hits bigint,
    input_tokens bigint,
    output_tokens bigint,
    total_tokens bigint,
    cost_usd decimal(38, 12),
    weighted_feedback_sum decimal(38, 12),
    requests_with_feedback bigint,
    first_seen_at timestamp,
    last_seen_at timestamp
);

create table llm_spend.llm_gateway_totals_check (
    usage_date date,
    source_system varchar,
    source_instance varchar,
    counted_requests bigint,
    gateway_requests bigint,
    requests_difference bigint,
    requests_difference_ratio decimal(18, 6),
    counted_tokens bigint,
    gateway_tokens bigint,
    tokens_difference bigint,
    tokens_difference_ratio decimal(18, 6),
    counted_cost_usd decimal(38, 12),
    gateway_cost_usd decimal(38, 12),
    cost_usd_difference decimal(38, 12),
    cost_usd_difference_ratio decimal(18, 6),
    is_log_loaded boolean,
    is_partial_suspected boolean
);

create table llm_spend.llm_feedback (
    source_system varchar,
    source_instance varchar,
    given_at timestamp,
    feedback_number bigint,
    record_id varchar,
    trace_id varchar,
    feedback_value decimal(18, 6),
    weight decimal(18, 6),
    weighted_value decimal(18, 6),
    request_key varchar,
    usage_date date,
    matched_by varchar
);

create table llm_spend.llm_source_overlaps (
    source_system varchar,
    source_instance varchar,
    other_source_system varchar,
    other_source_instance varchar,
    matched_by varchar,
    calls_in_common bigint,
    calls_counted_twice bigint,
    calls_counted_nowhere bigint,
    cost_counted_twice_usd decimal(38, 12),
    share_counted_twice decimal(18, 6),
    is_covered boolean,
    first_usage_date date,
    last_usage_date date
);
