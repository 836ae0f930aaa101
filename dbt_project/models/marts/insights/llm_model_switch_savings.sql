{% set buckets = llm_spend.token_buckets() | map(attribute='quantity') | list %}
{% set other_units = llm_spend.other_quantities() %}
{% set tokens = ['input_tokens'] + buckets + ['reasoning_tokens', 'total_tokens'] %}
{% set costs = ['list', 'contract'] %}
{% set grain = ['billing_period', 'feature_id', 'from_provider', 'from_model_id', 'to_channel', 'to_model_id'] %}

with request_groups as (
    select * from {{ ref('int_request_groups_daily') }}
),

switches as (
    select * from {{ ref('stg_mapping__model_switches') }}
),

known_usage as (
    {{ known_usage() }}
),

-- Requests that a provider worked on, of models that have a candidate, without what only other tables need.
days as (
    select
        usage_date,
        feature_id,
        provider,
        channel,
        model_id,
        service_tier,
        region,
        has_other_usage,
        contract_cost_usd is not null as has_cost,
        input_band,
        price_minute,
        {% for name in tokens + ['requests', 'list_cost_usd', 'contract_cost_usd', 'cost_usd'] -%}
        sum({{ name }}) as {{ name }},
        {% endfor -%}
        min(first_started_at) as started_at
    from request_groups
    where
        price_status not in ('cache_hit', 'not_billed')
        and model_id in (select from_model_id from switches)
    group by
        usage_date, feature_id, provider, channel, model_id, service_tier, region, has_other_usage,
        contract_cost_usd is not null, input_band, price_minute
),

-- Each as if it were a request of the candidate. Marked as having other usage, it gets the price of a request as well,
-- which is not multiplied by the factor.
candidates as (
    select
        {{ month_start('days.usage_date') }} as billing_period,
        days.feature_id,
        coalesce(days.provider, '(unknown)') as from_provider,
        switches.from_model_id,
        coalesce(switches.to_channel, days.channel) as to_channel,
        switches.to_model_id,
        switches.token_factor,
        days.has_other_usage as has_more_than_text,
        days.has_cost,
        days.requests as calls,
        days.list_cost_usd as from_list_usd,
        days.contract_cost_usd as from_contract_usd,
        days.cost_usd as from_cost_usd,
        {% for unit in other_units -%}
        cast(null as {{ dbt.type_bigint() }}) as {{ unit }},
        {% endfor -%}
        cast(null as {{ dbt.type_string() }}) as request_key,
        coalesce(switches.to_channel, days.channel) as channel,
        switches.to_model_id as model_id,
        days.usage_date,
        days.started_at,
        days.service_tier,
        days.region,
        'success' as status,
        'chat' as operation,
        cast(null as {{ dbt.type_bigint() }}) as http_status,
        false as is_gateway_cache_hit,
        'ok' as token_quality,
        true as has_other_usage,
        true as is_other_usage_known,
        days.input_band as threshold_tokens,
        {{ llm_spend.columns_of('days', tokens) }}
    from days
    inner join switches
        on
            days.model_id = switches.from_model_id
            and days.usage_date >= switches.valid_from
            and days.usage_date < switches.valid_to
),

-- Free allowances are for what is counted beside tokens, and such requests are not compared.
without_allowances as (
    select * from candidates
    where false
),

models as (
    select
        channel,
        model_id
    from candidates
    group by channel, model_id
),

priced as (
    {{ price_requests(
        'candidates', 'without_allowances', is_named=true, threshold='threshold_tokens', calls='calls', models='models'
    ) }}
),

judged as (
    select
        *,
        case
            when not has_cost then 'unpriced'
            when has_more_than_text then 'other_usage'
            when contract_cost_usd is null then 'candidate_unpriced'
            else 'compared'
        end as comparison,
        cast(calls * coalesce(request_price, 0) as {{ type_money() }}) as list_calls_usd,
        cast(
            calls * coalesce(case when has_contract_prices then contract_request_price else request_price end, 0)
            as {{ type_money() }}
        ) as contract_calls_usd
    from priced
),

-- By factor, since a pair may have had two in a month: what tokens cost is added up before it is multiplied.
added_up as (
    select
        {{ grain | join(',\n        ') }},
        token_factor,
        {% for comparison in ['compared', 'unpriced', 'other_usage', 'candidate_unpriced'] -%}
        sum(case when comparison = '{{ comparison }}' then calls else 0 end) as {{ comparison }}_requests,
        sum(case when comparison = '{{ comparison }}' then total_tokens else 0 end) as {{ comparison }}_tokens,
        {% endfor -%}
        sum(case when comparison = 'compared' then from_cost_usd end) as cost_usd,
        {% for cost in costs -%}
        sum(case when comparison = 'compared' then from_{{ cost }}_usd end) as {{ cost }}_cost_usd,
        sum(case when comparison = 'compared' then {{ cost }}_cost_usd - {{ cost }}_calls_usd end)
            as switch_{{ cost }}_tokens_usd,
        sum(case when comparison = 'compared' then {{ cost }}_calls_usd end) as switch_{{ cost }}_calls_usd,
        {% endfor -%}
        max(case when comparison = 'compared' and price_status in ('assumed_standard', 'parent_unit') then 1 else 0 end)
            as has_assumed_price
    from judged
    group by {{ grain | join(', ') }}, token_factor
),

by_pair as (
    select
        {{ grain | join(',\n        ') }},
        max(token_factor) as token_factor,
        {% for comparison in ['compared', 'unpriced', 'other_usage', 'candidate_unpriced'] -%}
        cast(sum({{ comparison }}_requests) as {{ dbt.type_bigint() }}) as {{ comparison }}_requests,
        cast(sum({{ comparison }}_tokens) as {{ dbt.type_bigint() }}) as {{ comparison }}_tokens,
        {% endfor -%}
        cast(sum(cost_usd) as {{ type_money() }}) as cost_usd,
        {% for cost in costs -%}
        cast(sum({{ cost }}_cost_usd) as {{ type_money() }}) as {{ cost }}_cost_usd,
        cast(
            sum(
                round(cast(switch_{{ cost }}_tokens_usd as {{ type_money() }}) * token_factor, 12)
                + switch_{{ cost }}_calls_usd
            ) as {{ type_money() }}
        ) as switch_{{ cost }}_usd,
        {% endfor -%}
        max(has_assumed_price) = 1 as has_assumed_price
    from added_up
    group by {{ grain | join(', ') }}
),

saved as (
    select
        *,
        cast(contract_cost_usd - switch_contract_usd as {{ type_money() }}) as saving_usd
    from by_pair
),

final as (
    select
        saved.billing_period,
        saved.feature_id,
        saved.from_provider as provider,
        saved.from_model_id as model_id,
        saved.to_channel,
        saved.to_model_id,
        saved.token_factor,
        saved.compared_requests as requests,
        saved.compared_tokens as total_tokens,
        saved.cost_usd,
        saved.list_cost_usd,
        saved.contract_cost_usd,
        saved.switch_list_usd,
        saved.switch_contract_usd,
        saved.saving_usd,
        cast(
            case
                when saved.contract_cost_usd > 0
                    then sign(saved.saving_usd) * {{ money_ratio('saved.saving_usd', 'saved.contract_cost_usd') }}
            end as {{ type_decimal(18, 6) }}
        ) as saving_ratio,
        saved.unpriced_requests + saved.other_usage_requests + saved.candidate_unpriced_requests
            as not_comparable_requests,
        saved.unpriced_tokens + saved.other_usage_tokens + saved.candidate_unpriced_tokens
            as not_comparable_tokens,
        saved.unpriced_requests,
        saved.unpriced_tokens,
        saved.other_usage_requests,
        saved.other_usage_tokens,
        saved.candidate_unpriced_requests,
        saved.candidate_unpriced_tokens,
        saved.has_assumed_price,
        'the moment of each request' as price_as_of,
        {{ dbt.concat([
            "case when saved.token_factor = 1 then 'One token of it is taken for one of the other model'"
            ~ " else 'Tokens are multiplied by the token_factor of the pair' end",
            "': tokenisers differ. Not known: whether it answers as well, how long its answers are, and what its prompt"
            ~ " cache would hold.'",
            "case when saved.has_assumed_price then ' Some of it has the standard price, for want of one for its"
            ~ " service tier or its cache.' else '' end"
        ]) }} as caveat,
        cast({{ dbt.dateadd('month', 1, 'saved.billing_period') }} as {{ type_timestamp() }})
        <= known_usage.known_to as is_whole_month,
        'USD' as currency
    from saved
    cross join known_usage
)

select * from final
