-- Columns have the names that FOCUS writes, unquoted, as their readers expect them.
-- noqa: disable=CP02
{% set owner = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}
{% set share = ['billing_period', 'provider', 'cost_center_id', 'team_id', 'allocation_method'] %}
{% set names = {
    'anthropic': 'Anthropic', 'aws': 'AWS', 'azure': 'Microsoft Azure', 'cohere': 'Cohere', 'deepseek': 'DeepSeek',
    'google': 'Google', 'groq': 'Groq', 'mistral': 'Mistral AI', 'openai': 'OpenAI', 'perplexity': 'Perplexity',
    'x-ai': 'xAI'
} %}
{% set weight_units = {
    'proportional_by_cost': 'Millionths of USD', 'proportional_by_tokens': 'Tokens',
    'proportional_by_requests': 'Requests', 'headcount': 'Members', 'even': 'Teams',
    'fixed_weights': 'Millionths of Weight'
} %}

with lines as (
    select
        *,
        -- As precise as the costs that it is mixed with: DuckDB would round those to its cents.
        cast(amount_usd as {{ llm_spend.type_money() }}) as charged_usd,
        line_type = 'restatement' as is_correction,
        allocation_method = 'own_usage' as is_usage,
        -- What usage of a month is discounted is in one charge: its line or, where it has none, its first correction.
        row_number() over (
            partition by original_period, {{ owner | join(', ') }}, allocation_method
            order by case when line_type = 'restatement' then 1 else 0 end, billing_period, line_id
        ) = 1 as is_first
    from {{ ref('llm_chargeback_lines') }}
    -- FOCUS has no charge without a cost, and what is not known is not 0.
    where amount_usd is not null
),

-- The requests of closed lines, as they were when the month was closed.
closed_lines as (
    select
        kept.line_id,
        kept.attempts
    from {{ ref('int_closed_chargeback_lines') }} as kept
    inner join {{ ref('int_closed_periods') }} as closed_periods
        on kept.billing_period = closed_periods.billing_period and kept.closed_at = closed_periods.closed_at
),

shared_costs as (
    select
        *,
        case when weight is not null then {{ llm_spend.whole_ratio('weight', 'total_weight') }} end as ratio
    from {{ ref('int_shared_costs') }}
    where exact_cost_usd is not null
),

ratios as (
    select
        *,
        cast(round(ratio * 1000000, 0) as {{ dbt.type_bigint() }}) as millionths,
        row_number() over (
            partition by billing_period, shared_cost_id, provider
            order by weight desc, cost_center_id, team_id
        ) as share_rank
    from shared_costs
    where ratio is not null
),

-- The parts of one cost are 1 together: what rounding leaves is the largest one's.
whole_ratios as (
    select
        *,
        millionths + case
            when share_rank = 1
                then 1000000 - sum(millionths) over (partition by billing_period, shared_cost_id, provider)
            else 0
        end as whole_millionths
    from ratios
),

elements as (
    select
        *,
        '{"AllocatedRatio": ' || case
            when whole_millionths = 1000000 then '1'
            else '0.' || lpad(cast(whole_millionths as {{ dbt.type_string() }}), 6, '0')
        end
        || ', "UsageUnit": "' || case allocation_method
            {% for method, unit in weight_units.items() -%}
            when '{{ method }}' then '{{ unit }}'
            {% endfor -%}
        end
        || '", "UsageQuantity": ' || cast(weight as {{ dbt.type_string() }})
        || ', "x_SharedCostId": "' || {{ llm_spend.in_json_quotes('shared_cost_id') }} || '"}' as element
    from whole_ratios
),

element_lists as (
    select
        {{ share | join(',\n        ') }},
        {{ dbt.listagg('element', "', '", 'order by shared_cost_id') }} as elements
    from elements
    group by {{ share | join(', ') }}
),

shares as (
    select
        {{ share | join(',\n        ') }},
        sum(exact_cost_usd) as exact_cost_usd
    from shared_costs
    group by {{ share | join(', ') }}
),

-- Months whose statements have these shares: of a closed one others may be known by now.
shared_months as (
    select shares.billing_period
    from shares
    left join lines
        on
            lines.line_type = 'shared'
            {% for column in share -%}
            and shares.{{ column }} = lines.{{ column }}
            {% endfor -%}
            and shares.exact_cost_usd = lines.exact_cost_usd
    group by shares.billing_period
    having count(*) = count(lines.line_id)
),

usage_by_month as (
    select
        billing_period as original_period,
        coalesce(provider, '(unknown)') as provider,
        cost_center_id,
        team_id,
        coalesce(model_id, '(unresolved)') as model_id,
        min(coalesce(channel, provider, '(unknown)')) as first_channel,
        max(coalesce(channel, provider, '(unknown)')) as last_channel,
        cast(sum(attempts) as {{ dbt.type_bigint() }}) as attempts,
        cast(sum(total_tokens) as {{ dbt.type_bigint() }}) as total_tokens,
        cast(sum(uncached_input_tokens) as {{ dbt.type_bigint() }}) as uncached_input_tokens,
        cast(sum(cache_read_tokens) as {{ dbt.type_bigint() }}) as cache_read_tokens,
        cast(sum(cache_write_tokens) as {{ dbt.type_bigint() }}) as cache_write_tokens,
        cast(sum(output_tokens) as {{ dbt.type_bigint() }}) as output_tokens,
        sum(list_cost_usd) - sum(cost_usd) as discount_usd
    from {{ ref('int_requests_daily') }}
    where is_of_record
    group by
        billing_period,
        coalesce(provider, '(unknown)'),
        cost_center_id,
        team_id,
        coalesce(model_id, '(unresolved)')
),

month_starts as (
    select * from {{ ref('int_month_starts') }}
),

periods as (
    select billing_period from lines
    {{ llm_spend.union_distinct() }}
    select original_period as billing_period from lines
),

months as (
    select
        periods.billing_period,
        coalesce(starts.starts_at, cast(periods.billing_period as {{ llm_spend.type_timestamp() }})) as starts_at,
        coalesce(
            ends.starts_at,
            cast({{ llm_spend.month_after('periods.billing_period') }} as {{ llm_spend.type_timestamp() }})
        ) as ends_at
    from periods
    left join month_starts as starts
        on periods.billing_period = starts.billing_period
    left join month_starts as ends
        on {{ llm_spend.month_after('periods.billing_period') }} = ends.billing_period
),

placed as (
    select
        lines.*,
        billing_months.starts_at as billing_starts_at,
        billing_months.ends_at as billing_ends_at,
        charge_months.starts_at as charge_starts_at,
        charge_months.ends_at as charge_ends_at,
        case
            when usage_by_month.first_channel is null then lines.provider
            when usage_by_month.first_channel = usage_by_month.last_channel then usage_by_month.first_channel
            else '(several)'
        end as billed_by,
        case
            when lines.is_usage and lines.is_correction then 'Usage'
            when lines.line_type in ('direct', 'unallocated') then 'Usage'
            when lines.line_type = 'commitment' then 'Purchase'
            when lines.allocation_method in ('owner_of_seat', 'unused_commitment') then 'Purchase'
            when lines.line_type = 'credit' then 'Credit'
            else 'Adjustment'
        end as charge_category,
        -- What became known after the month was closed is in corrections: the line has these figures no longer.
        lines.is_usage
        and not lines.is_correction
        and usage_by_month.total_tokens = lines.quantity_tokens
        and usage_by_month.attempts = coalesce(closed_lines.attempts, usage_by_month.attempts) as has_meters,
        case when lines.is_usage and lines.is_first then usage_by_month.discount_usd end as discount_usd,
        case when shared_months.billing_period is not null then element_lists.elements end as elements,
        coalesce(closed_lines.attempts, usage_by_month.attempts) as attempts,
        usage_by_month.uncached_input_tokens,
        usage_by_month.cache_read_tokens,
        usage_by_month.cache_write_tokens,
        usage_by_month.output_tokens
    from lines
    inner join months as billing_months
        on lines.billing_period = billing_months.billing_period
    inner join months as charge_months
        on lines.original_period = charge_months.billing_period
    left join usage_by_month
        on
            lines.original_period = usage_by_month.original_period
            {% for column in owner -%}
            and lines.{{ column }} = usage_by_month.{{ column }}
            {% endfor %}
    left join closed_lines
        on lines.line_id = closed_lines.line_id
    left join element_lists
        on
            lines.line_type = 'shared'
            {% for column in share -%}
            and lines.{{ column }} = element_lists.{{ column }}
            {% endfor %}
    left join shared_months
        on lines.billing_period = shared_months.billing_period
),

named as (
    select
        *,
        {% for column, name in {'provider': 'provider_name', 'billed_by': 'biller_name'}.items() -%}
        case {{ column }}
            {% for id, written in names.items() -%}
            when '{{ id }}' then '{{ written }}'
            {% endfor -%}
            else {{ column }}
        end as {{ name }},
        {% endfor -%}
        '{"cost_center": "'
        || {{ llm_spend.in_json_quotes('cost_center_id') }}
        || '", "team": "'
        || {{ llm_spend.in_json_quotes('team_id') }}
        || '"}' as tags_json,
        -- A part of something that several pay; what has one owner is no part.
        allocation_method not in ('own_usage', 'owner_of_key', 'owner_of_seat', 'unallocated') as is_split,
        -- What is not counted in tokens, such as seconds of speech, is counted in requests.
        charge_category = 'Usage' and not is_correction and quantity_tokens = 0 and coalesce(attempts, 0) > 0
            as is_by_request
    from placed
),

final as (
    select
        billing_starts_at as BillingPeriodStart,
        billing_ends_at as BillingPeriodEnd,
        charge_starts_at as ChargePeriodStart,
        charge_ends_at as ChargePeriodEnd,
        charge_category as ChargeCategory,
        case when is_correction then 'Correction' end as ChargeClass,
        case charge_category
            when 'Usage' then 'Usage-Based'
            when 'Purchase' then 'Recurring'
            else 'One-Time'
        end as ChargeFrequency,
        case
            when line_type = 'direct' then 'Usage of ' || model_id
            when line_type = 'unallocated' then 'Usage of ' || model_id || ' without a team'
            when line_type = 'true_up' then 'Bill above or below the price book, ' || model_id
            when line_type = 'commitment' and allocation_method = 'unused_commitment' then 'Unused part of commitments'
            when line_type = 'commitment' then 'Commitments and seats'
            when line_type = 'credit' then 'Credits'
            when line_type = 'shared' then 'Shared costs'
            when line_type = 'restatement'
                then 'Correction of ' || {{ llm_spend.date_text('original_period') }} || ', ' || model_id
            else line_type
        end as ChargeDescription,
        'USD' as BillingCurrency,
        charged_usd as BilledCost,
        charged_usd as EffectiveCost,
        case when is_usage then exact_cost_usd else charged_usd end as ContractedCost,
        cast(
            case when is_usage then exact_cost_usd + coalesce(discount_usd, 0) else charged_usd end
            as {{ llm_spend.type_money() }}
        ) as ListCost,
        cast(
            case
                when charge_category = 'Purchase' then 1
                when is_by_request then attempts
                when charge_category = 'Usage' then quantity_tokens - unpriced_tokens
            end as {{ llm_spend.type_money() }}
        ) as PricingQuantity,
        case
            when charge_category = 'Purchase' then 'Months'
            when is_by_request then 'Requests'
            when charge_category = 'Usage' then 'Tokens'
        end as PricingUnit,
        cast(
            case
                when is_by_request then attempts
                when charge_category = 'Usage' then quantity_tokens
            end as {{ llm_spend.type_money() }}
        ) as ConsumedQuantity,
        case
            when is_by_request then 'Requests'
            when charge_category = 'Usage' then 'Tokens'
        end as ConsumedUnit,
        provider_name as ServiceProviderName,
        -- Who resells does not say on whose machines the model runs.
        case when billed_by in (provider, 'aws', 'azure', 'google') then biller_name end as HostProviderName,
        biller_name as InvoiceIssuerName,
        'AI and Machine Learning' as ServiceCategory,
        'Generative AI' as ServiceSubcategory,
        case
            when billed_by in (provider, '(several)') then provider_name
            else provider_name || ' on ' || biller_name
        end as ServiceName,
        billed_by as BillingAccountId,
        biller_name as BillingAccountName,
        cost_center_id as SubAccountId,
        cost_center_id as SubAccountName,
        tags_json as Tags,
        case when is_split then allocation_method end as AllocatedMethodId,
        '{"Elements": [' || elements || ']}' as AllocatedMethodDetails,
        case when is_split then team_id end as AllocatedResourceId,
        case when is_split then team_id end as AllocatedResourceName,
        case when is_split then tags_json end as AllocatedTags,
        line_id as x_LineId,
        line_type as x_LineType,
        allocation_method as x_AllocationMethod,
        cost_basis as x_CostSource,
        provider as x_Provider,
        model_id as x_Model,
        cost_center_id as x_CostCenterId,
        team_id as x_TeamId,
        billing_period as x_BillingPeriod,
        original_period as x_OriginalPeriod,
        restatement_reason as x_RestatementReason,
        is_closed as x_IsClosed,
        {% for column, name in {
            'uncached_input_tokens': 'x_UncachedInputTokens',
            'cache_read_tokens': 'x_CacheReadTokens',
            'cache_write_tokens': 'x_CacheWriteTokens',
            'output_tokens': 'x_OutputTokens',
            'attempts': 'x_Requests'
        }.items() -%}
        case when has_meters then {{ column }} end as {{ name }},
        {% endfor -%}
        unpriced_tokens as x_UnpricedTokens,
        unpriced_requests as x_UnpricedRequests
    from named
)

select * from final
