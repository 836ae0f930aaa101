-- Nothing of what providers bill is loaded here.
create table llm_spend.fct_llm_provider_usage (
    usage_key varchar,
    source_system varchar,
    source_instance varchar,
    provider varchar,
    profile varchar,
    grouping varchar,
    is_of_record boolean,
    usage_date date,
    bucket_start timestamp,
    bucket_end timestamp,
    usage_type varchar,
    project_id varchar,
    api_key_id varchar,
    user_id varchar,
    customer_id varchar,
    resolved_model varchar,
    model_id varchar,
    model_matched_by varchar,
    channel varchar,
    service_tier varchar,
    is_batch boolean,
    region varchar,
    context_window varchar,
    is_tier_unknown boolean,
    dimensions json,
    occurrence bigint,
    requests bigint,
    input_tokens bigint,
    uncached_input_tokens bigint,
    cache_read_tokens bigint,
    cache_write_5m_tokens bigint,
    cache_write_1h_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    input_audio_tokens bigint,
    input_image_tokens bigint,
    input_video_tokens bigint,
    cache_read_audio_tokens bigint,
    cache_read_image_tokens bigint,
    output_audio_tokens bigint,
    output_image_tokens bigint,
    output_video_tokens bigint,
    total_tokens bigint,
    token_quality varchar,
    web_searches bigint,
    file_searches bigint,
    audio_seconds decimal(18, 3),
    pages bigint,
    annotated_pages bigint,
    input_characters bigint,
    text_messages bigint,
    list_cost_usd decimal(38, 12),
    contract_cost_usd decimal(38, 12),
    standard_tier_usd decimal(38, 12),
    base_usd decimal(38, 12),
    provider_estimate_usd decimal(38, 12),
    price_status varchar,
    pricing_basis varchar,
    is_final boolean,
    asked_at timestamp,
    load_id varchar
);

create table llm_spend.fct_llm_provider_costs (
    cost_key varchar,
    source_system varchar,
    source_instance varchar,
    provider varchar,
    profile varchar,
    grouping varchar,
    is_of_record boolean,
    cost_date date,
    billing_period date,
    bucket_start timestamp,
    bucket_end timestamp,
    project_id varchar,
    api_key_id varchar,
    user_id varchar,
    customer_id varchar,
    resolved_model varchar,
    model_id varchar,
    channel varchar,
    service_tier varchar,
    region varchar,
    context_window varchar,
    dimensions json,
    occurrence bigint,
    line_item varchar,
    cost_type varchar,
    token_type varchar,
    charge_category varchar,
    quantity decimal(38, 12),
    quantity_unit varchar,
    requests bigint,
    billed_amount decimal(38, 12),
    billing_currency varchar,
    usd_per_unit decimal(18, 12),
    billed_usd decimal(38, 12),
    list_usd decimal(38, 12),
    is_cash boolean,
    origin varchar,
    team_id varchar,
    cost_center_id varchar,
    is_final boolean,
    asked_at timestamp,
    load_id varchar
);

create table llm_spend.llm_provider_cost_check (
    source_system varchar,
    source_instance varchar,
    provider varchar,
    usage_date date,
    kind varchar,
    usage_type varchar,
    measure varchar,
    unit varchar,
    grouped_lines bigint,
    control_amount decimal(38, 12),
    grouped_amount decimal(38, 12),
    difference decimal(38, 12),
    is_matching boolean,
    is_final boolean
);

-- Without a bill the whole of what the gateways say has one cause.
create table llm_spend.llm_reconciliation as
with estimates as (
    select
        date_trunc('month', usage_date)::date as billing_period,
        coalesce(provider, '(unknown)') as provider,
        usage_date,
        sum(coalesce(gateway_reported_usd, contract_cost_usd)) as usd,
        count(*) filter (price_status = 'unpriced') as unpriced
    from llm_spend.fct_llm_requests
    where is_of_record
    group by all
),
months as (
    select
        billing_period,
        provider,
        coalesce(sum(usd), 0)::decimal(38, 12) as gateway_usd,
        sum(unpriced) as unpriced,
        count(*) filter (usd <> 0) as days,
        min(usage_date) filter (usd <> 0) as first_date,
        max(usage_date) filter (usd <> 0) as last_date
    from estimates
    group by all
)
select
    billing_period,
    provider,
    cause,
    case cause when 'no_bill' then 12 else 13 end::bigint as cause_number,
    gateway_usd,
    null::decimal(38, 12) as provider_usd,
    -gateway_usd as difference_usd,
    case when gateway_usd <> 0 then 1 end::decimal(18, 6) as difference_ratio,
    case cause when 'no_bill' then -gateway_usd else 0 end::decimal(38, 12) as amount_usd,
    0::decimal(38, 12) as unexplained_usd,
    case when gateway_usd <> 0 then 0 end::decimal(18, 6) as unexplained_ratio,
    case cause when 'no_bill' then days else 0 end as days,
    case cause when 'no_bill' then first_date end as first_date,
    case cause when 'no_bill' then last_date end as last_date,
    true as is_final,
    case
        when cause = 'no_bill' then 'No bill of usage is loaded for this account.'
        when unpriced > 0 then 'Nothing is left. Attempts without a price: ' || unpriced || '.'
        else 'Nothing is left.'
    end as explanation
from months, (values ('no_bill'), ('unexplained')) as causes (cause)
where cause = 'unexplained' or gateway_usd <> 0;
