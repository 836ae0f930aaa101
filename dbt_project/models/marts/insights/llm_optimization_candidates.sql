{% set buckets = llm_spend.token_buckets() | map(attribute='quantity') | list %}
{% set other_units = llm_spend.other_quantities() %}
{% set tokens = ['input_tokens'] + buckets + ['reasoning_tokens', 'total_tokens'] %}
{% set min_requests = var('llm_spend_optimization_min_requests') %}
{% set members = ['team_id', 'feature_id', 'provider', 'model_id', 'prompt_id'] %}

{#
    By finding of int_request_groups_daily: the kind of candidate, what it says of the requests, and what it says where
    nobody knows of some whether they were paid.
#}
{% set paid = {
    'failed': (
        'paid_failures', 'that failed and were paid all the same', 'that failed, and were paid or may have been'
    ),
    'retried': (
        'paid_retries', 'that were paid before the same model was asked again',
        'that were paid, or may have been, before the same model was asked again'
    ),
    'replaced': (
        'paid_fallbacks', 'that were paid before another model was asked',
        'that were paid, or may have been, before another model was asked'
    ),
    'repeated': (
        'duplicate_prompts', 'that asked what had been asked before on the same day',
        'that asked what had been asked before on the same day'
    )
} %}
{# Why a saving is not surer, and what its range is made of. #}
{% set reasons = {
    'exact': 'What these calls cost is exact. How many of them can be prevented is not known.',
    'unknown': 'What these calls cost, if anything, is not known.',
    'repeated': 'What the repeats cost is exact. A cache would have answered them, unless other words were wanted each'
        ~ ' time.',
    'feedback': 'At most all of it, if nobody needs the feature; a better prompt or model may cost more. Ratings are few,'
        ~ ' and not everybody gives one.',
    'engagement': 'At most what it costs above the median of the features that were judged. What it is used for may be'
        ~ ' worth more, and not all use is recorded.',
    'limit': 'A limit is not billed. Providers count it against rate limits, and it is what an answer without end would'
        ~ ' cost.',
    'prompt': 'From twice the tokens of its like to as many, each token at the same cost. It may need what it carries.',
    'cache': 'From half of what it lacks of the share of its like to all of it, at the price of a cache read. Writing to'
        ~ ' the cache may cost something, and prompts that do not begin alike can not be kept.',
    'night': 'Most of what it asks is asked by night, so nobody seems to wait. The answers of a batch may take a day.',
    'day': 'Most of what it asks is asked by day: somebody may wait for the answers by night as well.'
} %}
{% set shape = [
    'billing_period', 'team_id', 'feature_id', 'provider', 'model_id', 'prompt_id', 'channel', 'service_tier', 'region',
    'is_batchable'
] %}
{% set moved = ['uncached_input_tokens', 'cache_read_tokens'] %}
{% set columns = [
    'billing_period', 'kind'
] + members + [
    'requests', 'spend_usd', 'unpriced_requests', 'unpriced_tokens', 'metric_name', 'metric_value', 'benchmark_value',
    'saving_low_usd', 'saving_high_usd', 'confidence', 'confidence_reason', 'explanation'
] %}

with request_groups as (
    select
        {{ month_start('usage_date') }} as billing_period,
        team_id,
        feature_id,
        coalesce(provider, '(unknown)') as provider,
        coalesce(model_id, '(unresolved)') as model_id,
        prompt_id,
        channel,
        service_tier,
        region,
        price_status,
        has_other_usage,
        is_batchable,
        cost_usd is null as is_unpriced,
        {% for name in tokens + ['requests'] -%}
        {{ name }},
        {% endfor -%}
        cost_usd,
        {% for finding in paid -%}
        {{ finding }}_requests,
        {{ finding }}_tokens,
        {{ finding }}_cost_usd,
        {% endfor -%}
        requests_with_feedback,
        feedback_score_sum,
        lowest_feedback_score,
        highest_feedback_score,
        limited_requests,
        limit_tokens,
        limited_output_tokens,
        limited_cost_usd,
        longest_limited_output,
        first_started_at
    from {{ ref('int_request_groups_daily') }}
    -- What the gateway's own cache answered was neither paid nor worked on.
    where price_status <> 'cache_hit'
),

known_usage as (
    {{ known_usage() }}
),

-- What is recorded of the use of features. Without a record nobody knows; a record of 0 says that there was none.
recorded_use as (
    select
        billing_period,
        member_id as feature_id,
        denominator_name as engagement_name,
        denominator_value as engagements
    from {{ ref('llm_unit_economics') }}
    where
        kpi_id = 'cost_per_engagement'
        and numerator_name = 'cost_usd'
        and member_type = 'feature'
        and member_id <> {{ unallocated() }}
        and denominator_value >= 0
        -- A gap in the record would look like little use.
        and coverage_ratio >= {{ exact('0.9') }}
),

-- 1. Calls that were paid for nothing: what is known of their cost is known to the last digit.
by_model as (
    select
        billing_period,
        team_id,
        feature_id,
        provider,
        model_id,
        {% for finding in paid -%}
        sum({{ finding }}_requests) as {{ finding }}_requests,
        sum(case when is_unpriced then {{ finding }}_requests else 0 end) as {{ finding }}_unpriced_requests,
        sum(case when is_unpriced then {{ finding }}_tokens else 0 end) as {{ finding }}_unpriced_tokens,
        sum({{ finding }}_cost_usd) as {{ finding }}_cost_usd,
        {% endfor -%}
        sum(requests) as requests
    from request_groups
    group by billing_period, team_id, feature_id, provider, model_id
),

models as (
    select
        billing_period,
        provider,
        model_id,
        {% for finding in paid -%}
        sum({{ finding }}_requests) as {{ finding }}_requests,
        {% endfor -%}
        sum(requests) as requests
    from by_model
    group by billing_period, provider, model_id
),

{% for finding, (kind, words, words_if_unknown) in paid.items() -%}
{{ finding }}_shares as (
    select
        by_model.*,
        {{ whole_ratio('by_model.' ~ finding ~ '_requests', 'by_model.requests') }} as share,
        {{ whole_ratio('models.' ~ finding ~ '_requests', 'models.requests') }} as share_of_model
    from by_model
    inner join models
        on
            by_model.billing_period = models.billing_period
            and by_model.provider = models.provider
            and by_model.model_id = models.model_id
    where by_model.{{ finding }}_requests > 0
),

{{ finding }}_said as (
    select
        *,
        case
            when {{ finding }}_unpriced_requests > 0 then ' {{ words_if_unknown }}'
            else ' {{ words }}'
        end as words,
        case
            when {{ finding }}_cost_usd is null then ''
            else {{ dbt.concat(["', for '", usd_text(finding ~ '_cost_usd')]) }}
        end as price
    from {{ finding }}_shares
),

{{ kind }} as (
    select
        billing_period,
        '{{ kind }}' as kind,
        team_id,
        feature_id,
        provider,
        model_id,
        '(all)' as prompt_id,
        {{ finding }}_requests as requests,
        {{ finding }}_cost_usd as spend_usd,
        {{ finding }}_unpriced_requests as unpriced_requests,
        {{ finding }}_unpriced_tokens as unpriced_tokens,
        'share_of_requests' as metric_name,
        share as metric_value,
        share_of_model as benchmark_value,
        {{ finding }}_cost_usd as saving_low_usd,
        {{ finding }}_cost_usd as saving_high_usd,
        case
            when {{ finding }}_cost_usd is null then 'rough'
            else '{{ 'likely' if finding == 'repeated' else 'exact' }}'
        end as confidence,
        case
            when {{ finding }}_cost_usd is null then '{{ reasons.unknown }}'
            else '{{ reasons.repeated if finding == 'repeated' else reasons.exact }}'
        end as confidence_reason,
        {{ dbt.concat([
            "'Requests of '", 'feature_id', "' to '", 'model_id', 'words', "': '", count_text(finding ~ '_requests'),
            'price', "'. They are '", percent_text('share'), "' of its requests there; of all requests to the model '",
            percent_text('share_of_model'), "' are like that.'"
        ]) }} as explanation
    from {{ finding }}_said
),

{% endfor -%}

-- 2. Features that people do not like, or hardly use.
by_feature as (
    select
        billing_period,
        feature_id,
        sum(requests) as requests,
        sum(cost_usd) as spend_usd,
        sum(case when is_unpriced then requests else 0 end) as unpriced_requests,
        sum(case when is_unpriced then total_tokens else 0 end) as unpriced_tokens,
        sum(requests_with_feedback) as ratings,
        sum(feedback_score_sum) as score_sum,
        min(lowest_feedback_score) as lowest_score,
        max(highest_feedback_score) as highest_score,
        sum(limited_requests) as limited_requests,
        sum(limit_tokens) as limit_tokens,
        sum(limited_output_tokens) as limited_output_tokens,
        sum(limited_cost_usd) as limited_cost_usd,
        max(longest_limited_output) as longest_limited_output,
        sum(case when is_unpriced then limited_requests else 0 end) as limited_unpriced_requests,
        sum(case when is_unpriced and limited_requests > 0 then total_tokens else 0 end) as limited_unpriced_tokens
    from request_groups
    group by billing_period, feature_id
),

months as (
    select
        billing_period,
        sum(ratings) as ratings,
        sum(score_sum) as score_sum,
        min(lowest_score) as lowest_score,
        max(highest_score) as highest_score,
        sum(spend_usd) as spend_usd
    from by_feature
    group by billing_period
),

rated as (
    select
        by_feature.*,
        {{ whole_ratio(millionths('by_feature.score_sum'), 'by_feature.ratings * 1000000') }} as score,
        {{ whole_ratio(millionths('months.score_sum'), 'months.ratings * 1000000') }} as score_of_all,
        months.lowest_score as lowest_of_all,
        months.highest_score as highest_of_all,
        months.spend_usd as spend_of_all
    from by_feature
    inner join months on by_feature.billing_period = months.billing_period
    where by_feature.ratings >= 10
),

low_feedback_spend as (
    select
        billing_period,
        'low_feedback_spend' as kind,
        '(all)' as team_id,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        '(all)' as prompt_id,
        requests,
        spend_usd,
        unpriced_requests,
        unpriced_tokens,
        'average_feedback' as metric_name,
        score as metric_value,
        score_of_all as benchmark_value,
        cast(null as {{ type_money() }}) as saving_low_usd,
        spend_usd as saving_high_usd,
        'rough' as confidence,
        '{{ reasons.feedback }}' as confidence_reason,
        {{ dbt.concat([
            'feature_id', "' cost '", usd_text('spend_usd'), "', and '", count_text('ratings'),
            "' ratings of its answers were '", decimal_text('score'), "' on average; those of all features '",
            decimal_text('score_of_all'), "'.'"
        ]) }} as explanation
    from rated
    where
        requests >= {{ min_requests }}
        and score_of_all - score >= (highest_of_all - lowest_of_all) * {{ exact('0.1') }}
        and highest_of_all > lowest_of_all
        and spend_usd * 100 >= spend_of_all
),

-- Features that are little used for what they cost. Use by cost, not cost by use: so no use at all is a number too.
engaged as (
    select
        by_feature.*,
        recorded_use.engagement_name,
        recorded_use.engagements,
        {{ whole_ratio(millionths('recorded_use.engagements'), millionths('by_feature.spend_usd')) }} as per_usd
    from by_feature
    inner join months on by_feature.billing_period = months.billing_period
    inner join recorded_use
        on
            by_feature.billing_period = recorded_use.billing_period
            and by_feature.feature_id = recorded_use.feature_id
    where
        by_feature.requests >= {{ min_requests }}
        and by_feature.spend_usd * 100 >= months.spend_usd
        -- Nobody asks what less than a cent was spent for.
        and by_feature.spend_usd * 100 >= 1
),

used as (
    select * from engaged
    where per_usd > 0
),

use_medians as (
    {{ medians('used', ['billing_period'], 'per_usd', 'median_per_usd') }}
),

engaged_compared as (
    select
        engaged.*,
        cast(use_medians.median_per_usd as {{ type_decimal(18, 6) }}) as median_per_usd,
        {{ whole_ratio(millionths('engaged.per_usd'), millionths('use_medians.median_per_usd')) }} as share_of_median
    from engaged
    inner join use_medians on engaged.billing_period = use_medians.billing_period
    where use_medians.places >= 3 or engaged.engagements = 0
),

low_engagement_spend as (
    select
        billing_period,
        'low_engagement_spend' as kind,
        '(all)' as team_id,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        '(all)' as prompt_id,
        requests,
        spend_usd,
        unpriced_requests,
        unpriced_tokens,
        'engagements_per_usd' as metric_name,
        per_usd as metric_value,
        median_per_usd as benchmark_value,
        cast(null as {{ type_money() }}) as saving_low_usd,
        cast(spend_usd - round(spend_usd * share_of_median, 12) as {{ type_money() }}) as saving_high_usd,
        'rough' as confidence,
        '{{ reasons.engagement }}' as confidence_reason,
        {{ dbt.concat([
            'feature_id', "' cost '", usd_text('spend_usd'), "' and had '", count_text('round(engagements, 0)'), "' '",
            'engagement_name', "'; the median of the features has '",
            count_text('round(spend_usd * median_per_usd, 0)'), "' for as much.'"
        ]) }} as explanation
    from engaged_compared
    where share_of_median <= {{ exact('0.5') }}
),

-- 3. Limits of output that nobody needs.
oversized_max_tokens as (
    select
        billing_period,
        'oversized_max_tokens' as kind,
        '(all)' as team_id,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        '(all)' as prompt_id,
        limited_requests as requests,
        limited_cost_usd as spend_usd,
        limited_unpriced_requests as unpriced_requests,
        limited_unpriced_tokens as unpriced_tokens,
        'output_share_of_max_tokens' as metric_name,
        {{ whole_ratio('limited_output_tokens', 'limit_tokens') }} as metric_value,
        {{ exact('0.1') }} as benchmark_value,
        cast(null as {{ type_money() }}) as saving_low_usd,
        cast(null as {{ type_money() }}) as saving_high_usd,
        'rough' as confidence,
        '{{ reasons.limit }}' as confidence_reason,
        {{ dbt.concat([
            count_text('limited_requests'), "' requests of '", 'feature_id', "' reserved '",
            count_text('round(' ~ whole_ratio('limit_tokens', 'limited_requests') ~ ', 0)'),
            "' tokens of output each; the longest answer had '", count_text('longest_limited_output'), "', the mean '",
            count_text('round(' ~ whole_ratio('limited_output_tokens', 'limited_requests') ~ ', 0)'), "'.'"
        ]) }} as explanation
    from by_feature
    where
        limited_requests >= {{ min_requests }}
        and limited_output_tokens * 10 < limit_tokens
        and longest_limited_output * limited_requests * 2 <= limit_tokens
),

-- 4. Templates with more tokens a request than their like: those of the feature, or all where it has less than three.
prompt_sums as (
    select
        billing_period,
        feature_id,
        prompt_id,
        sum(requests) as requests,
        sum(total_tokens) as total_tokens,
        sum(input_tokens) as input_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(uncached_input_tokens) as uncached_input_tokens,
        sum(cost_usd) as spend_usd,
        sum(case when is_unpriced then requests else 0 end) as unpriced_requests,
        sum(case when is_unpriced then total_tokens else 0 end) as unpriced_tokens
    from request_groups
    where
        prompt_id is not null
        and total_tokens > 0
    group by billing_period, feature_id, prompt_id
),

by_prompt as (
    select
        *,
        {{ whole_ratio('total_tokens', 'requests') }} as tokens_per_request
    from prompt_sums
    where requests >= {{ min_requests }}
),

feature_medians as (
    {{ medians('by_prompt', ['billing_period', 'feature_id'], 'tokens_per_request', 'median_tokens') }}
),

month_medians as (
    {{ medians('by_prompt', ['billing_period'], 'tokens_per_request', 'median_tokens') }}
),

prompts_compared as (
    select
        by_prompt.*,
        cast(
            case
                when feature_medians.places >= 3 then feature_medians.median_tokens
                else month_medians.median_tokens
            end as {{ type_decimal(18, 6) }}
        ) as median_tokens,
        case when feature_medians.places >= 3 then 'of the feature' else 'there are' end as peers
    from by_prompt
    inner join feature_medians
        on
            by_prompt.billing_period = feature_medians.billing_period
            and by_prompt.feature_id = feature_medians.feature_id
    inner join month_medians on by_prompt.billing_period = month_medians.billing_period
    where month_medians.places >= 3
),

heavy_prompts as (
    select
        *,
        cast(total_tokens - floor(median_tokens * requests) as {{ dbt.type_bigint() }}) as excess_tokens,
        cast(total_tokens - floor(median_tokens * requests * 2) as {{ dbt.type_bigint() }}) as large_excess_tokens
    from prompts_compared
    where tokens_per_request >= median_tokens * 2
),

heavy_prompt as (
    select
        billing_period,
        'heavy_prompt' as kind,
        '(all)' as team_id,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        prompt_id,
        requests,
        spend_usd,
        unpriced_requests,
        unpriced_tokens,
        'tokens_per_request' as metric_name,
        tokens_per_request as metric_value,
        median_tokens as benchmark_value,
        {{ share_of('spend_usd', 'large_excess_tokens', 'total_tokens') }} as saving_low_usd,
        {{ share_of('spend_usd', 'excess_tokens', 'total_tokens') }} as saving_high_usd,
        'rough' as confidence,
        '{{ reasons.prompt }}' as confidence_reason,
        {{ dbt.concat([
            "'Template '", 'prompt_id', "' of '", 'feature_id', "' takes '",
            count_text('round(tokens_per_request, 0)'), "' tokens a request; the median of the templates '", 'peers',
            "' is '", count_text('round(median_tokens, 0)'), "'.'"
        ]) }} as explanation
    from heavy_prompts
),

-- 5. and 6. What the same tokens would cost if they came from the cache, or by night in a batch. The prices are those
-- of the first of the requests in the month: an estimate that is rough anyway needs no price of each day.
shapes as (
    select
        {{ shape | join(',\n        ') }},
        {% for name in tokens + ['requests'] -%}
        sum({{ name }}) as {{ name }},
        {% endfor -%}
        min(first_started_at) as started_at
    from request_groups
    where
        price_status in ('priced', 'parent_unit')
        and not has_other_usage
    group by {{ shape | join(', ') }}
),

variants as (
    select 'as_is' as variant
    union all
    select 'cached' as variant
    union all
    select 'batch' as variant
),

shaped as (
    select
        shapes.billing_period,
        shapes.team_id,
        shapes.feature_id,
        shapes.provider,
        shapes.prompt_id,
        shapes.is_batchable,
        shapes.service_tier as shape_tier,
        variants.variant,
        {% for unit in other_units -%}
        cast(null as {{ dbt.type_bigint() }}) as {{ unit }},
        {% endfor -%}
        cast(null as {{ dbt.type_string() }}) as request_key,
        shapes.channel,
        shapes.model_id,
        cast(shapes.started_at as date) as usage_date,
        shapes.started_at,
        case when variants.variant = 'batch' then 'batch' else shapes.service_tier end as service_tier,
        shapes.region,
        'success' as status,
        'chat' as operation,
        cast(null as {{ dbt.type_bigint() }}) as http_status,
        false as is_gateway_cache_hit,
        'ok' as token_quality,
        false as has_other_usage,
        true as is_other_usage_known,
        0 as threshold_tokens,
        shapes.requests as calls,
        case when variants.variant = 'cached' then 0 else shapes.uncached_input_tokens end as uncached_input_tokens,
        shapes.cache_read_tokens
        + case when variants.variant = 'cached' then shapes.uncached_input_tokens else 0 end as cache_read_tokens,
        {{ llm_spend.columns_of('shapes', tokens | reject('in', moved) | list) }}
    from shapes
    cross join variants
    where
        variants.variant in ('as_is', 'cached')
        or (variants.variant = 'batch' and shapes.is_batchable)
),

without_allowances as (
    select * from shaped
    where false
),

priced as (
    {{ price_requests('shaped', 'without_allowances', is_named=true, threshold='threshold_tokens', calls='calls') }}
),

-- Of each shape alone: what one costs is no gain because another has an offer. A tier that the book does not know has
-- the standard price: that is no offer of a batch.
offers as (
    select
        {{ shape | reject('in', ['service_tier']) | join(',\n        ') }},
        shape_tier,
        sum(case when variant = 'as_is' then uncached_input_tokens else 0 end) as uncached_input_tokens,
        sum(case when variant = 'as_is' then contract_cost_usd end)
        - sum(case when variant = 'cached' then contract_cost_usd end) as cache_gain_usd,
        sum(case when variant = 'as_is' then contract_cost_usd end)
        - sum(case when variant = 'batch' and price_status <> 'assumed_standard' then contract_cost_usd end)
            as batch_gain_usd
    from priced
    group by {{ shape | reject('in', ['service_tier']) | join(', ') }}, shape_tier
),

prompt_peers as (
    select
        billing_period,
        feature_id,
        sum(input_tokens) as input_tokens,
        sum(cache_read_tokens) as cache_read_tokens
    from by_prompt
    group by billing_period, feature_id
),

prompt_offers as (
    select
        billing_period,
        feature_id,
        prompt_id,
        sum(uncached_input_tokens) as uncached_input_tokens,
        sum(cache_gain_usd) as gain_usd
    from offers
    where prompt_id is not null
    group by billing_period, feature_id, prompt_id
),

feature_models as (
    select
        billing_period,
        feature_id,
        provider,
        model_id,
        sum(requests) as requests,
        sum(cost_usd) as spend_usd,
        sum(case when is_unpriced then requests else 0 end) as unpriced_requests,
        sum(case when is_unpriced then total_tokens else 0 end) as unpriced_tokens,
        sum(input_tokens) as input_tokens,
        sum(cache_read_tokens) as cache_read_tokens
    from request_groups
    where total_tokens > 0
    group by billing_period, feature_id, provider, model_id
),

model_peers as (
    select
        billing_period,
        provider,
        model_id,
        sum(input_tokens) as input_tokens,
        sum(cache_read_tokens) as cache_read_tokens
    from feature_models
    group by billing_period, provider, model_id
),

model_offers as (
    select
        billing_period,
        feature_id,
        provider,
        model_id,
        sum(uncached_input_tokens) as uncached_input_tokens,
        sum(cache_gain_usd) as gain_usd
    from offers
    group by billing_period, feature_id, provider, model_id
),

-- Templates are compared with those of their feature, what a feature asks of a model with what all ask of it.
{% set said = [
    'requests', 'spend_usd', 'unpriced_requests', 'unpriced_tokens', 'input_tokens', 'cache_read_tokens'
] %}
cache_rows as (
    select
        by_prompt.billing_period,
        by_prompt.feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        by_prompt.prompt_id,
        {{ llm_spend.columns_of('by_prompt', said) }},
        prompt_peers.input_tokens as peer_input_tokens,
        prompt_peers.cache_read_tokens as peer_cache_read_tokens,
        prompt_offers.uncached_input_tokens,
        prompt_offers.gain_usd,
        {{ dbt.concat(["'Template '", 'by_prompt.prompt_id', "' of '", 'by_prompt.feature_id']) }} as subject,
        'all templates of the feature' as peers
    from by_prompt
    inner join prompt_peers
        on by_prompt.billing_period = prompt_peers.billing_period and by_prompt.feature_id = prompt_peers.feature_id
    inner join prompt_offers
        on
            by_prompt.billing_period = prompt_offers.billing_period
            and by_prompt.feature_id = prompt_offers.feature_id
            and by_prompt.prompt_id = prompt_offers.prompt_id
    union all
    select
        feature_models.billing_period,
        feature_models.feature_id,
        feature_models.provider,
        feature_models.model_id,
        '(all)' as prompt_id,
        {{ llm_spend.columns_of('feature_models', said) }},
        model_peers.input_tokens as peer_input_tokens,
        model_peers.cache_read_tokens as peer_cache_read_tokens,
        model_offers.uncached_input_tokens,
        model_offers.gain_usd,
        {{ dbt.concat(['feature_models.feature_id', "' on '", 'feature_models.model_id']) }} as subject,
        'all that is asked of the model' as peers
    from feature_models
    inner join model_peers
        on
            feature_models.billing_period = model_peers.billing_period
            and feature_models.provider = model_peers.provider
            and feature_models.model_id = model_peers.model_id
    inner join model_offers
        on
            feature_models.billing_period = model_offers.billing_period
            and feature_models.feature_id = model_offers.feature_id
            and feature_models.provider = model_offers.provider
            and feature_models.model_id = model_offers.model_id
),

cache_shares as (
    select
        *,
        case when gain_usd > spend_usd then spend_usd else gain_usd end as full_gain_usd,
        {{ whole_ratio('cache_read_tokens', 'input_tokens') }} as share,
        {{ whole_ratio('peer_cache_read_tokens', 'peer_input_tokens') }} as peer_share
    from cache_rows
    where
        requests >= {{ min_requests }}
        -- Shorter prompts are not kept by any provider.
        and input_tokens >= requests * 1024
        and gain_usd > 0
),

cold as (
    select
        *,
        least(
            cast(floor(peer_share * input_tokens) as {{ dbt.type_bigint() }}) - cache_read_tokens, uncached_input_tokens
        ) as missing_tokens
    from cache_shares
    where
        peer_share >= {{ exact('0.2') }}
        and share * 2 < peer_share
),

cold_gains as (
    select
        *,
        {{ share_of('full_gain_usd', 'missing_tokens', 'uncached_input_tokens') }} as missed_usd
    from cold
    where missing_tokens > 0
),

low_cache_share as (
    select
        billing_period,
        'low_cache_share' as kind,
        '(all)' as team_id,
        feature_id,
        provider,
        model_id,
        prompt_id,
        requests,
        spend_usd,
        unpriced_requests,
        unpriced_tokens,
        'cache_read_share_of_input' as metric_name,
        share as metric_value,
        peer_share as benchmark_value,
        cast(round(missed_usd * {{ exact('0.5') }}, 12) as {{ type_money() }}) as saving_low_usd,
        missed_usd as saving_high_usd,
        'rough' as confidence,
        '{{ reasons.cache }}' as confidence_reason,
        {{ dbt.concat([
            'subject', "' read '", percent_text('share'), "' of its input from the cache of the provider; '", 'peers', "' '",
            percent_text('peer_share'), "'.'"
        ]) }} as explanation
    from cold_gains
),

night_traffic as (
    select
        billing_period,
        team_id,
        feature_id,
        sum(case when is_batchable then requests else 0 end) as batchable_requests,
        sum(requests) as requests,
        sum(case when is_batchable then cost_usd end) as spend_usd,
        sum(case when is_batchable and is_unpriced then requests else 0 end) as unpriced_requests,
        sum(case when is_batchable and is_unpriced then total_tokens else 0 end) as unpriced_tokens
    from request_groups
    group by billing_period, team_id, feature_id
),

night_offers as (
    select
        billing_period,
        team_id,
        feature_id,
        sum(batch_gain_usd) as gain_usd
    from offers
    where is_batchable
    group by billing_period, team_id, feature_id
),

nights as (
    select
        night_traffic.*,
        {{ whole_ratio('night_traffic.batchable_requests', 'night_traffic.requests') }} as share,
        cast(
            case
                when night_offers.gain_usd > night_traffic.spend_usd then night_traffic.spend_usd
                else night_offers.gain_usd
            end as {{ type_money() }}
        ) as gain_usd
    from night_traffic
    inner join night_offers
        on
            night_traffic.billing_period = night_offers.billing_period
            and night_traffic.team_id = night_offers.team_id
            and night_traffic.feature_id = night_offers.feature_id
    where
        night_traffic.batchable_requests >= {{ min_requests }}
        and night_offers.gain_usd > 0
),

batchable_night_traffic as (
    select
        billing_period,
        'batchable_night_traffic' as kind,
        team_id,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        '(all)' as prompt_id,
        batchable_requests as requests,
        spend_usd,
        unpriced_requests,
        unpriced_tokens,
        'share_of_requests' as metric_name,
        share as metric_value,
        {{ exact('0.5') }} as benchmark_value,
        case
            when share >= {{ exact('0.5') }} then cast(round(gain_usd * {{ exact('0.5') }}, 12) as {{ type_money() }})
            else cast(0 as {{ type_money() }})
        end as saving_low_usd,
        gain_usd as saving_high_usd,
        case when share >= {{ exact('0.5') }} then 'likely' else 'rough' end as confidence,
        case
            when share >= {{ exact('0.5') }} then '{{ reasons.night }}'
            else '{{ reasons.day }}'
        end as confidence_reason,
        {{ dbt.concat([
            count_text('batchable_requests'), "' requests of '", 'feature_id', "' in team '", 'team_id',
            "' were answered whole by night, '", percent_text('share'),
            "' of what it asks; as a batch they would cost '", usd_text('gain_usd'), "' less.'"
        ]) }} as explanation
    from nights
),

candidates as (
    {% for kind in paid.values() | map('first') | list + [
        'low_feedback_spend', 'low_engagement_spend', 'oversized_max_tokens', 'heavy_prompt', 'low_cache_share',
        'batchable_night_traffic'
    ] -%}
    select {{ columns | join(', ') }} from {{ kind }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

final as (
    select
        candidates.billing_period,
        candidates.kind,
        {{ llm_spend.columns_of('candidates', members) }},
        cast(candidates.requests as {{ dbt.type_bigint() }}) as requests,
        cast(candidates.spend_usd as {{ type_money() }}) as spend_usd,
        candidates.metric_name,
        cast(candidates.metric_value as {{ type_decimal(18, 6) }}) as metric_value,
        cast(candidates.benchmark_value as {{ type_decimal(18, 6) }}) as benchmark_value,
        cast(
            round((candidates.saving_low_usd + candidates.saving_high_usd) * {{ exact('0.5') }}, 12)
            as {{ type_money() }}
        ) as saving_usd,
        cast(candidates.saving_low_usd as {{ type_money() }}) as saving_low_usd,
        cast(candidates.saving_high_usd as {{ type_money() }}) as saving_high_usd,
        candidates.confidence,
        candidates.confidence_reason,
        case
            when candidates.unpriced_requests > 0
                then {{ dbt.concat([
                    'candidates.explanation', "' The cost of '", count_text('candidates.unpriced_requests'),
                    "' of these requests is not known.'"
                ]) }}
            else candidates.explanation
        end as explanation,
        cast(candidates.unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(candidates.unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
        cast({{ dbt.dateadd('month', 1, 'candidates.billing_period') }} as {{ type_timestamp() }})
        <= known_usage.known_to as is_whole_month,
        'USD' as currency
    from candidates
    cross join known_usage
)

select * from final
