-- Nothing is closed here and no bill is loaded: every charge is usage, or a share of the one cost that is shared.
create table llm_spend.focus_cost_and_usage as
with usage as (
    select
        cast(date_trunc('month', usage_date) as date) as billing_period,
        coalesce(provider, '(unknown)') as provider,
        cost_center_id,
        team_id,
        coalesce(model_id, '(unresolved)') as model_id,
        count(distinct coalesce(channel, provider, '(unknown)')) as channels,
        any_value(coalesce(channel, provider, '(unknown)')) as channel,
        sum(list_cost_usd) as list_cost_usd,
        coalesce(sum(uncached_input_tokens) filter (is_gateway_cache_hit is not true), 0) as uncached,
        coalesce(sum(cache_read_tokens) filter (is_gateway_cache_hit is not true), 0) as cache_read,
        coalesce(sum(cache_write_5m_tokens) filter (is_gateway_cache_hit is not true), 0)
        + coalesce(sum(cache_write_1h_tokens) filter (is_gateway_cache_hit is not true), 0) as cache_write,
        coalesce(sum(output_tokens) filter (is_gateway_cache_hit is not true), 0) as output,
        count(*) as attempts
    from llm_spend.fct_llm_requests
    group by all
),

written as (
    select
        unnest([
            'anthropic', 'aws', 'azure', 'cohere', 'deepseek', 'google', 'groq', 'mistral', 'openai', 'perplexity', 'x-ai'
        ]) as id,
        unnest([
            'Anthropic', 'AWS', 'Microsoft Azure', 'Cohere', 'DeepSeek', 'Google', 'Groq', 'Mistral AI', 'OpenAI',
            'Perplexity', 'xAI'
        ]) as name
),

charges as (
    select
        lines.*,
        usage.* exclude (billing_period, provider, cost_center_id, team_id, model_id, channel),
        if(usage.channels = 1, usage.channel, '(several)') as biller,
        coalesce(makers.name, lines.provider) as maker_name,
        coalesce(billers.name, if(usage.channels = 1, usage.channel, '(several)')) as biller_name,
        lines.quantity_tokens = 0 as by_request
    from llm_spend.llm_chargeback_lines as lines
    inner join usage using (billing_period, provider, cost_center_id, team_id, model_id)
    left join written as makers on lines.provider = makers.id
    left join written as billers on usage.channels = 1 and usage.channel = billers.id
    where lines.amount_usd is not null
),

heads as (
    select
        months.billing_period,
        costs.shared_cost_id,
        teams.cost_center_id,
        teams.team_id,
        count(*) as heads
    from (select distinct billing_period from charges) as months
    inner join source.llm_spend_seeds.shared_costs as costs on months.billing_period >= cast(costs.valid_from as date)
    inner join members on last_day(months.billing_period) between members.valid_from and members.valid_to - 1
    inner join teams
        on
            members.team_id = teams.team_id
            and last_day(months.billing_period) between teams.valid_from and teams.valid_to - 1
    group by all
),

ratios as (
    select
        *,
        (2000000 * heads + sum(heads) over month) // (2 * sum(heads) over month) as millionths,
        row_number() over (partition by billing_period order by heads desc, cost_center_id, team_id) as place
    from heads
    window month as (partition by billing_period)
),

whole_ratios as (
    select
        * exclude (millionths),
        millionths + if(place = 1, 1000000 - sum(millionths) over (partition by billing_period), 0) as millionths
    from ratios
),

shared_charges as (
    select
        lines.*,
        format('{{"cost_center": {}, "team": {}}}', cast(to_json(cost_center_id) as varchar), cast(to_json(team_id) as varchar))
            as tags,
        format(
            '{{"Elements": [{{"AllocatedRatio": 0.{:06d}, "UsageUnit": "Members", "UsageQuantity": {}, "x_SharedCostId": {}}}]}}',
            cast(millionths as bigint), heads, cast(to_json(shared_cost_id) as varchar)
        ) as details
    from llm_spend.llm_chargeback_lines as lines
    inner join whole_ratios using (billing_period, cost_center_id, team_id)
    where lines.line_type = 'shared' and lines.amount_usd is not null
)

select
    cast(billing_period as timestamp) as BillingPeriodStart,
    cast(billing_period + interval 1 month as timestamp) as BillingPeriodEnd,
    cast(billing_period as timestamp) as ChargePeriodStart,
    cast(billing_period + interval 1 month as timestamp) as ChargePeriodEnd,
    'Usage' as ChargeCategory,
    cast(null as varchar) as ChargeClass,
    'Usage-Based' as ChargeFrequency,
    'Usage of ' || model_id || if(line_type = 'unallocated', ' without a team', '') as ChargeDescription,
    'USD' as BillingCurrency,
    cast(amount_usd as decimal(38, 12)) as BilledCost,
    cast(amount_usd as decimal(38, 12)) as EffectiveCost,
    exact_cost_usd as ContractedCost,
    cast(list_cost_usd as decimal(38, 12)) as ListCost,
    cast(if(by_request, attempts, quantity_tokens - unpriced_tokens) as decimal(38, 12)) as PricingQuantity,
    if(by_request, 'Requests', 'Tokens') as PricingUnit,
    cast(if(by_request, attempts, quantity_tokens) as decimal(38, 12)) as ConsumedQuantity,
    if(by_request, 'Requests', 'Tokens') as ConsumedUnit,
    maker_name as ServiceProviderName,
    if(biller in (provider, 'aws', 'azure', 'google'), biller_name, null) as HostProviderName,
    biller_name as InvoiceIssuerName,
    'AI and Machine Learning' as ServiceCategory,
    'Generative AI' as ServiceSubcategory,
    if(biller in (provider, '(several)'), maker_name, maker_name || ' on ' || biller_name) as ServiceName,
    biller as BillingAccountId,
    biller_name as BillingAccountName,
    cost_center_id as SubAccountId,
    cost_center_id as SubAccountName,
    format('{{"cost_center": {}, "team": {}}}', cast(to_json(cost_center_id) as varchar), cast(to_json(team_id) as varchar))
        as Tags,
    cast(null as varchar) as AllocatedMethodId,
    cast(null as varchar) as AllocatedMethodDetails,
    cast(null as varchar) as AllocatedResourceId,
    cast(null as varchar) as AllocatedResourceName,
    cast(null as varchar) as AllocatedTags,
    line_id as x_LineId,
    line_type as x_LineType,
    allocation_method as x_AllocationMethod,
    cost_basis as x_CostSource,
    provider as x_Provider,
    model_id as x_Model,
    cost_center_id as x_CostCenterId,
    team_id as x_TeamId,
    billing_period as x_BillingPeriod,
    billing_period as x_OriginalPeriod,
    cast(null as varchar) as x_RestatementReason,
    false as x_IsClosed,
    cast(uncached as bigint) as x_UncachedInputTokens,
    cast(cache_read as bigint) as x_CacheReadTokens,
    cast(cache_write as bigint) as x_CacheWriteTokens,
    cast(output as bigint) as x_OutputTokens,
    attempts as x_Requests,
    unpriced_tokens as x_UnpricedTokens,
    unpriced_requests as x_UnpricedRequests
from charges
union all by name
select
    cast(billing_period as timestamp) as BillingPeriodStart,
    cast(billing_period + interval 1 month as timestamp) as BillingPeriodEnd,
    cast(billing_period as timestamp) as ChargePeriodStart,
    cast(billing_period + interval 1 month as timestamp) as ChargePeriodEnd,
    'Adjustment' as ChargeCategory,
    'One-Time' as ChargeFrequency,
    'Shared costs' as ChargeDescription,
    'USD' as BillingCurrency,
    cast(amount_usd as decimal(38, 12)) as BilledCost,
    cast(amount_usd as decimal(38, 12)) as EffectiveCost,
    cast(amount_usd as decimal(38, 12)) as ContractedCost,
    cast(amount_usd as decimal(38, 12)) as ListCost,
    provider as ServiceProviderName,
    provider as HostProviderName,
    provider as InvoiceIssuerName,
    'AI and Machine Learning' as ServiceCategory,
    'Generative AI' as ServiceSubcategory,
    provider as ServiceName,
    provider as BillingAccountId,
    provider as BillingAccountName,
    cost_center_id as SubAccountId,
    cost_center_id as SubAccountName,
    tags as Tags,
    allocation_method as AllocatedMethodId,
    details as AllocatedMethodDetails,
    team_id as AllocatedResourceId,
    team_id as AllocatedResourceName,
    tags as AllocatedTags,
    line_id as x_LineId,
    line_type as x_LineType,
    allocation_method as x_AllocationMethod,
    cost_basis as x_CostSource,
    provider as x_Provider,
    model_id as x_Model,
    cost_center_id as x_CostCenterId,
    team_id as x_TeamId,
    billing_period as x_BillingPeriod,
    billing_period as x_OriginalPeriod,
    false as x_IsClosed,
    unpriced_tokens as x_UnpricedTokens,
    unpriced_requests as x_UnpricedRequests
from shared_charges;

create table llm_spend.focus_cost_and_usage_1_2 as
select
    * exclude (
        ServiceProviderName, HostProviderName, AllocatedMethodId, AllocatedMethodDetails, AllocatedResourceId,
        AllocatedResourceName, AllocatedTags
    ),
    ServiceProviderName as PublisherName,
    InvoiceIssuerName as ProviderName,
    cast(null as varchar) as CommitmentDiscountStatus,
    cast(null as varchar) as InvoiceId
from llm_spend.focus_cost_and_usage;
