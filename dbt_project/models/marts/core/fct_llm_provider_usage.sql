{% set buckets = llm_spend.token_buckets() | map(attribute='quantity') | list %}
{% set memos = llm_spend.usage_units() | selectattr('inside') | map(attribute='quantity') | list %}
{% set beside = llm_spend.units_beside_tokens() | map(attribute='quantity') | list %}
{% set resolved = [
    'channel', 'model_id', 'model_matched_by', 'priced_tier', 'priced_region', 'pricing_basis', 'price_status',
    'list_cost_usd'
] %}
{% set costs = {'actual': 'contract_cost_usd', 'standard_tier': 'standard_tier_usd', 'base': 'base_usd'} %}

with provider_usage as (
    select * from {{ ref('int_provider_usage') }}
),

price_book as (
    select * from {{ ref('int_price_book') }}
),

-- The same usage three times: as it was, at the standard tier, and there without the price of its region.
variants as (
    {% for variant in costs -%}
    select '{{ variant }}' as variant
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- A bucket as if it were one request. A threshold is about single requests, so the tokens of many decide on none: only
-- the range of context that they were asked for by does, and without it the base price holds.
shaped as (
    select
        {{ dbt.concat(['provider_usage.usage_key', "'|'", 'variants.variant']) }} as request_key,
        provider_usage.usage_key,
        variants.variant,
        provider_usage.source_system,
        provider_usage.raw_provider,
        provider_usage.raw_model,
        provider_usage.bucket_start as started_at,
        provider_usage.usage_date,
        case when variants.variant = 'actual' then provider_usage.priced_tier else 'standard' end as service_tier,
        case when variants.variant <> 'base' then provider_usage.region end as region,
        'success' as status,
        'bucket' as operation,
        cast(null as {{ dbt.type_bigint() }}) as http_status,
        false as is_gateway_cache_hit,
        provider_usage.token_quality,
        provider_usage.has_other_usage,
        provider_usage.is_other_usage_known,
        case when provider_usage.context_from > 0 then provider_usage.context_from + 1 else 0 end as threshold_tokens,
        coalesce(provider_usage.requests, 0) as calls,
        coalesce(provider_usage.input_tokens, 0) as input_tokens,
        {% for bucket in buckets -%}
        coalesce(provider_usage.{{ bucket }}, 0) as {{ bucket }},
        {% endfor -%}
        {% for unit in memos + beside -%}
        provider_usage.{{ unit }},
        {% endfor -%}
        provider_usage.total_tokens
    from provider_usage
    cross join variants
),

-- Free allowances are for requests, whose log has them all; a bucket of several models and hours can't share them out.
without_allowances as (
    select * from shaped
    where false
),

priced as (
    {{ price_requests('shaped', 'without_allowances', threshold='threshold_tokens', calls='calls') }}
),

prices as (
    select
        {% for column in resolved -%}
        max(case when variant = 'actual' then {{ column }} end) as {{ column }},
        {% endfor -%}
        {% for variant, column in costs.items() -%}
        max(case when variant = '{{ variant }}' then contract_cost_usd end) as {{ column }},
        {% endfor -%}
        usage_key
    from priced
    group by usage_key
),

thresholds as (
    select distinct
        channel,
        model_id,
        service_tier,
        region,
        valid_from,
        valid_to,
        input_tokens_gt
    from price_book
    where input_tokens_gt > 0
),

-- Some of the requests may have been longer than the threshold, and some shorter.
undecided as (
    select distinct provider_usage.usage_key
    from provider_usage
    inner join prices on provider_usage.usage_key = prices.usage_key
    inner join thresholds
        on
            prices.channel = thresholds.channel
            and prices.model_id = thresholds.model_id
            and prices.priced_tier = thresholds.service_tier
            and prices.priced_region = thresholds.region
            and provider_usage.bucket_start >= thresholds.valid_from
            and provider_usage.bucket_start < thresholds.valid_to
            and provider_usage.input_tokens > thresholds.input_tokens_gt
            and coalesce(provider_usage.context_from, 0) < thresholds.input_tokens_gt
            and coalesce(provider_usage.context_to, provider_usage.input_tokens) > thresholds.input_tokens_gt
),

final as (
    select
        provider_usage.usage_key,
        provider_usage.source_system,
        provider_usage.source_instance,
        provider_usage.raw_provider as provider,
        provider_usage.profile,
        provider_usage.grouped_by as {{ reserved_name('grouping') }},
        provider_usage.profile = 'primary' as is_of_record,
        provider_usage.usage_date,
        provider_usage.bucket_start,
        provider_usage.bucket_end,
        provider_usage.usage_type,
        provider_usage.project_id,
        provider_usage.api_key_id,
        provider_usage.user_id,
        provider_usage.customer_id,
        provider_usage.raw_model as resolved_model,
        prices.model_id,
        prices.model_matched_by,
        prices.channel,
        provider_usage.service_tier,
        provider_usage.service_tier = 'batch' as is_batch,
        provider_usage.region,
        provider_usage.context_window,
        undecided.usage_key is not null as is_tier_unknown,
        provider_usage.dimensions,
        provider_usage.occurrence,
        provider_usage.requests,
        provider_usage.input_tokens,
        provider_usage.uncached_input_tokens,
        provider_usage.cache_read_tokens,
        provider_usage.cache_write_5m_tokens,
        provider_usage.cache_write_1h_tokens,
        provider_usage.output_tokens,
        {% for unit in memos -%}
        provider_usage.{{ unit }},
        {% endfor -%}
        provider_usage.total_tokens,
        provider_usage.token_quality,
        {% for unit in beside -%}
        provider_usage.{{ unit }},
        {% endfor -%}
        prices.list_cost_usd,
        {% for column in costs.values() -%}
        prices.{{ column }},
        {% endfor -%}
        provider_usage.provider_estimate_usd,
        prices.price_status,
        prices.pricing_basis,
        provider_usage.is_final,
        provider_usage.asked_at,
        provider_usage.load_id
    from provider_usage
    inner join prices on provider_usage.usage_key = prices.usage_key
    left join undecided on provider_usage.usage_key = undecided.usage_key
)

select * from final
