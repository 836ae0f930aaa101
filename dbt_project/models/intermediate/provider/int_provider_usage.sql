{% set buckets = ['cache_read_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens'] %}
{% set cached = 'coalesce(' ~ buckets | join(', 0) + coalesce(') ~ ', 0)' %}

{% set quantities = llm_spend.other_usage_quantities({
    'known_uncached_input_tokens': 'input', 'cache_read_tokens': 'cache_read', 'output_tokens': 'output'
}) %}
{% set units_inside, units = quantities['inside'], quantities['all'] %}

with staged as (
    select * from {{ ref('stg_provider__usage') }}
),

fx_rates as (
    select * from {{ ref('stg_prices__fx_rates') }}
),

newest as (
    {{ newest_answers('staged', provider_row_key(['usage_type']), [
        'coalesce(total_tokens, -1)', 'coalesce(input_tokens, -1)', 'coalesce(output_tokens, -1)',
        'coalesce(requests, -1)', 'coalesce(' ~ llm_spend.document_text('other_usage') ~ ", '')"
    ]) }}
),

documents_read as (
    select
        newest.*,
        case when {{ document_text('newest.other_usage') }} <> '{}' then {{ metadata_map('newest.other_usage') }} end
            as other_usage_map,
        case when {{ document_text('newest.dimensions') }} <> '{}' then {{ metadata_map('newest.dimensions') }} end
            as dimensions_map
    from newest
),

quantified as (
    select
        {% for unit in units -%}
        {{ other_quantity('other_usage_map', unit) }} as {{ unit }},
        {% endfor -%}
        *,
        input_tokens - ({{ cached }}) as known_uncached_input_tokens,
        {{ context_window_bound('context_window', 1) }} as context_from,
        {{ context_window_bound('context_window', 2) }} as context_to,
        -- What costs more for its speed is a tier of the price book.
        case
            when lower({{ map_value('dimensions_map', "'speed'") }}) = 'fast' then 'fast'
            else service_tier
        end as priced_tier
    from documents_read
),

judged as (
    select
        *,
        coalesce({{ units | join(' > 0, false)\n        or coalesce(') }} > 0, false) as has_other_usage,
        case
            when input_tokens is null and output_tokens is null and coalesce({{ units | join(', ') }}) is null
                then 'missing_usage'
            when
                known_uncached_input_tokens < 0
                or (input_tokens is null and {{ cached }} > 0)
                {%- for unit in units %}
                or {{ unit }} < 0
                {%- endfor %}
                {%- for bucket, inside in units_inside.items() %}
                or coalesce({{ inside | join(', 0)\n                + coalesce(') }}, 0) > coalesce({{ bucket }}, 0)
                {%- endfor %}
                then 'usage_conflict'
            when total_tokens > 0 and total_tokens <> coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
                then 'total_mismatch'
            else 'ok'
        end as token_quality
    from quantified
),

final as (
    select
        {{ dbt.hash(dbt.concat(['judged.row_key', "'|'", 'cast(judged.occurrence as ' ~ dbt.type_string() ~ ')'])) }}
            as usage_key,
        judged.source_system,
        judged.source_instance,
        judged.provider as raw_provider,
        judged.profile,
        judged.grouped_by,
        cast(judged.bucket_start as date) as usage_date,
        judged.bucket_start,
        judged.bucket_end,
        judged.usage_type,
        judged.project_id,
        judged.api_key_id,
        judged.user_id,
        judged.customer_id,
        judged.raw_model,
        judged.service_tier,
        judged.priced_tier,
        judged.region,
        judged.context_window,
        judged.context_from,
        judged.context_to,
        judged.dimensions,
        judged.occurrence,
        judged.requests,
        judged.input_tokens,
        case when judged.known_uncached_input_tokens >= 0 then judged.known_uncached_input_tokens end
            as uncached_input_tokens,
        {% for bucket in buckets -%}
        case when judged.input_tokens is not null then coalesce(judged.{{ bucket }}, 0) else judged.{{ bucket }} end
            as {{ bucket }},
        {% endfor -%}
        judged.output_tokens,
        judged.reasoning_tokens,
        {%- for unit in units %}
        {%- set type = type_decimal(18, 3) if unit == 'audio_seconds' else dbt.type_bigint() %}
        cast(case when judged.{{ unit }} >= 0 then judged.{{ unit }} end as {{ type }}) as {{ unit }},
        {%- endfor %}
        judged.has_other_usage,
        judged.other_usage is not null as is_other_usage_known,
        coalesce(
            judged.input_tokens + judged.output_tokens, judged.input_tokens, judged.output_tokens, judged.total_tokens
        ) as total_tokens,
        judged.token_quality,
        {{ in_usd('judged.estimated_amount', 'judged.estimate_currency', 'fx_rates.usd_per_unit') }}
            as provider_estimate_usd,
        judged.asked_at >= coalesce(judged.settles_at, judged.bucket_end) as is_final,
        judged.asked_at,
        judged.load_id
    from judged
    left join fx_rates
        on {{ rate_holds('fx_rates', 'judged.estimate_currency', 'cast(judged.bucket_start as date)') }}
)

select * from final
