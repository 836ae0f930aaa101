{#
    Requests of a group have one price of any model: they share tier, region and who bills, are on one side of each
    threshold of input that the price book knows on the date, and in one part of the day between two changes of a price.
#}
{{ config(**llm_spend.by_usage_date()) }}

{% set members = [
    'team_id', 'feature_id', 'provider', 'channel', 'model_id', 'prompt_id', 'service_tier', 'region', 'price_status',
    'has_other_usage', 'is_batchable', 'input_band', 'price_minute'
] %}
{% set buckets = llm_spend.token_buckets() | map(attribute='quantity') | list %}
{% set tokens = ['input_tokens'] + buckets + ['reasoning_tokens', 'total_tokens'] %}
{% set findings = ['failed', 'retried', 'replaced', 'repeated'] %}

{% set other_units = llm_spend.other_quantities() %}

with dates_to_build as (
    {{ dates_to_build() }}
),

price_book as (
    select * from {{ ref('int_price_book') }}
),

-- When prices change inside of a day: at some time of the week, or once.
week_prices as (
    select
        valid_from,
        valid_to,
        minute_from,
        minute_to
    from price_book
    where not is_all_week
    group by valid_from, valid_to, minute_from, minute_to
),

price_changes as (
    select valid_from as changed_at from price_book
    {{ llm_spend.union_distinct() }}
    select valid_to as changed_at from price_book
),

minutes as (
    select
        usage_date,
        0 as starts_at
    from dates_to_build
    {% for minute in ['minute_from', 'minute_to'] -%}
    {{ llm_spend.union_distinct() }}
    select
        dates_to_build.usage_date,
        week_prices.{{ minute }} as starts_at
    from dates_to_build
    inner join week_prices
        on
            dates_to_build.usage_date >= cast(week_prices.valid_from as date)
            and cast(dates_to_build.usage_date as {{ type_timestamp() }}) < week_prices.valid_to
            and week_prices.{{ minute }} < 1440
    {% endfor -%}
    {{ llm_spend.union_distinct() }}
    select
        dates_to_build.usage_date,
        {{ minute_of_day('price_changes.changed_at') }} as starts_at
    from dates_to_build
    inner join price_changes on dates_to_build.usage_date = cast(price_changes.changed_at as date)
),

parts_of_day as (
    select
        usage_date,
        starts_at as minute_from,
        lead(starts_at, 1, 1440) over (partition by usage_date order by starts_at) as minute_to
    from minutes
),

thresholds as (
    select
        input_tokens_gt,
        valid_from,
        valid_to
    from price_book
    where input_tokens_gt > 0
    group by input_tokens_gt, valid_from, valid_to
),

thresholds_of_date as (
    select
        dates_to_build.usage_date,
        thresholds.input_tokens_gt
    from dates_to_build
    inner join thresholds
        on
            dates_to_build.usage_date >= cast(thresholds.valid_from as date)
            and cast(dates_to_build.usage_date as {{ type_timestamp() }}) < thresholds.valid_to
    group by dates_to_build.usage_date, thresholds.input_tokens_gt
),

input_bands as (
    select
        usage_date,
        input_tokens_gt,
        lead(input_tokens_gt, 1, cast(9223372036854775807 as {{ dbt.type_bigint() }})) over (
            partition by usage_date
            order by input_tokens_gt
        ) as input_tokens_lte
    from thresholds_of_date
),

-- Attempts that another one of the same request came after, though they cost something, and the last one. They are few.
superseded as (
    select
        request_key,
        source_system,
        source_instance,
        logical_request_id,
        usage_date,
        channel,
        model_id
    from {{ ref('fct_llm_requests') }}
    where
        {{ is_to_build() }}
        and is_of_record
        and not is_final_attempt
        and coalesce(operation, '') <> 'poll'
        and (cost_usd > 0 or cost_usd is null)
),

last_attempts as (
    select
        source_system,
        source_instance,
        logical_request_id,
        usage_date,
        channel,
        model_id
    from {{ ref('fct_llm_requests') }}
    where
        {{ is_to_build() }}
        and is_final_attempt
        and logical_request_id in (select logical_request_id from superseded)
),

-- A prompt that was asked before on the same day. A hash stands for a prompt only where as many tokens were counted.
repeats as (
    select
        request_key,
        row_number() over (
            partition by usage_date, team_id, feature_id, channel, model_id, prompt_hash, input_tokens
            order by started_at, request_key
        ) as repeat_number
    from {{ ref('fct_llm_requests') }}
    where
        {{ is_to_build() }}
        and prompt_hash is not null
        and is_of_record
        and status = 'success'
        and not coalesce(is_gateway_cache_hit, false)
),

found as (
    select
        superseded.request_key,
        case
            when
                coalesce(superseded.channel, '') = coalesce(last_attempts.channel, '')
                and coalesce(superseded.model_id, '') = coalesce(last_attempts.model_id, '')
                then 'retried'
            else 'replaced'
        end as finding
    from superseded
    inner join last_attempts
        on
            superseded.source_system = last_attempts.source_system
            and superseded.source_instance = last_attempts.source_instance
            and superseded.logical_request_id = last_attempts.logical_request_id
            and superseded.usage_date = last_attempts.usage_date
    union all
    select
        request_key,
        'repeated' as finding
    from repeats
    where repeat_number > 1
),

noted as (
    select
        {% for finding in findings if finding != 'failed' -%}
        max(case when finding = '{{ finding }}' then 1 else 0 end) as is_{{ finding }},
        {% endfor -%}
        request_key
    from found
    group by request_key
),

facts as (
    select
        request_key,
        usage_date,
        started_at,
        {{ minute_of_day('started_at') }} as minute,
        team_id,
        feature_id,
        provider,
        channel,
        model_id,
        prompt_id,
        service_tier,
        region,
        price_status,
        coalesce({{ other_units | join(' > 0 or ') }} > 0, false) as has_other_usage,
        -- Nobody waits for the answer, as far as one can see from outside.
        coalesce(
            status = 'success'
            and not is_stream
            and extract(hour from started_at) in ({{ var('llm_spend_night_hours') | join(', ') }})
            and {{ is_standard_tier('service_tier') }}
            and price_status not in ('cache_hit', 'not_billed'),
            false
        ) as is_batchable,
        case when status <> 'success' then 1 else 0 end as is_failed,
        {{ tokens | join(',\n        ') }},
        list_cost_usd,
        contract_cost_usd,
        cost_usd,
        feedback_score,
        -- Of answers, which used as much of their limit as they needed.
        case when status = 'success' and output_tokens > 0 then max_tokens end as max_tokens,
        case when status = 'success' and max_tokens > 0 then nullif(output_tokens, 0) end as limited_output_tokens
    from {{ ref('fct_llm_requests') }}
    where {{ is_to_build() }} and is_of_record
),

grouped as (
    select
        facts.*,
        noted.is_retried,
        noted.is_replaced,
        noted.is_repeated,
        case when facts.cost_usd > 0 or facts.cost_usd is null then 1 else 0 end as is_paid,
        coalesce(input_bands.input_tokens_gt + 1, 0) as input_band,
        parts_of_day.minute_from as price_minute
    from facts
    inner join parts_of_day
        on
            facts.usage_date = parts_of_day.usage_date
            and facts.minute >= parts_of_day.minute_from
            and facts.minute < parts_of_day.minute_to
    left join input_bands
        on
            facts.usage_date = input_bands.usage_date
            and facts.input_tokens > input_bands.input_tokens_gt
            and facts.input_tokens <= input_bands.input_tokens_lte
    left join noted on facts.request_key = noted.request_key
),

measured as (
    select
        usage_date,
        {{ members | join(',\n        ') }},
        count(*) as requests,
        {% for name in tokens -%}
        sum({{ name }}) as {{ name }},
        {% endfor -%}
        sum(list_cost_usd) as list_cost_usd,
        sum(contract_cost_usd) as contract_cost_usd,
        sum(cost_usd) as cost_usd,
        {% for finding in findings -%}
        sum(case when is_{{ finding }} = 1 then is_paid else 0 end) as {{ finding }}_requests,
        sum(case when is_{{ finding }} = 1 and is_paid = 1 then total_tokens end) as {{ finding }}_tokens,
        sum(case when is_{{ finding }} = 1 and is_paid = 1 then cost_usd end) as {{ finding }}_cost_usd,
        {% endfor -%}
        count(feedback_score) as requests_with_feedback,
        sum(feedback_score) as feedback_score_sum,
        min(feedback_score) as lowest_feedback_score,
        max(feedback_score) as highest_feedback_score,
        count(limited_output_tokens) as limited_requests,
        sum(case when limited_output_tokens > 0 then max_tokens end) as limit_tokens,
        sum(limited_output_tokens) as limited_output_tokens,
        sum(case when limited_output_tokens > 0 then cost_usd end) as limited_cost_usd,
        max(limited_output_tokens) as longest_limited_output,
        min(started_at) as first_started_at
    from grouped
    group by usage_date, {{ members | join(', ') }}
),

final as (
    select
        measured.usage_date,
        {{ members | reject('in', ['input_band', 'price_minute']) | join(',\n        ') }},
        cast(input_band as {{ dbt.type_bigint() }}) as input_band,
        cast(price_minute as {{ dbt.type_bigint() }}) as price_minute,
        cast(requests as {{ dbt.type_bigint() }}) as requests,
        {% for name in tokens -%}
        cast(coalesce({{ name }}, 0) as {{ dbt.type_bigint() }}) as {{ name }},
        {% endfor -%}
        {% for cost in ['list_cost_usd', 'contract_cost_usd', 'cost_usd'] -%}
        cast({{ cost }} as {{ type_money() }}) as {{ cost }},
        {% endfor -%}
        {% for finding in findings -%}
        cast({{ finding }}_requests as {{ dbt.type_bigint() }}) as {{ finding }}_requests,
        cast(coalesce({{ finding }}_tokens, 0) as {{ dbt.type_bigint() }}) as {{ finding }}_tokens,
        cast({{ finding }}_cost_usd as {{ type_money() }}) as {{ finding }}_cost_usd,
        {% endfor -%}
        cast(requests_with_feedback as {{ dbt.type_bigint() }}) as requests_with_feedback,
        cast(feedback_score_sum as {{ type_decimal(38, 6) }}) as feedback_score_sum,
        lowest_feedback_score,
        highest_feedback_score,
        cast(limited_requests as {{ dbt.type_bigint() }}) as limited_requests,
        cast(coalesce(limit_tokens, 0) as {{ dbt.type_bigint() }}) as limit_tokens,
        cast(coalesce(limited_output_tokens, 0) as {{ dbt.type_bigint() }}) as limited_output_tokens,
        cast(limited_cost_usd as {{ type_money() }}) as limited_cost_usd,
        longest_limited_output,
        first_started_at,
        dates_to_build.date_version
    from measured
    inner join dates_to_build on measured.usage_date = dates_to_build.usage_date
)

select * from final
