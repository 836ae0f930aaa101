-- A part of an amount; the ratio is cut off at its 12th digit.
create macro share_of(amount, weight, whole) as cast(
    round(
        amount * cast(
            cast(cast(weight as hugeint) * 1000000000000 // whole as decimal(13, 0))
            * cast('0.000000000001' as decimal(12, 12)) as decimal(14, 12)
        ),
        12
    ) as decimal(38, 12)
);

create macro in_cents(amount) as format(
    '{}.{:02d} USD', cast(round(amount * 100, 0) as bigint) // 100, cast(round(amount * 100, 0) as bigint) % 100
);

create macro in_percent(ratio) as cast(round(ratio * 100, 0) as bigint) || ' %';

create macro half(amount) as cast(round(amount * cast(0.5 as decimal(2, 1)), 12) as decimal(38, 12));

-- What a provider worked on, or may have. These logs know no tiers, regions or anything but text.
create temp table worked_on as
select
    cast(date_trunc('month', usage_date) as date) as billing_period,
    usage_date,
    started_at,
    request_key,
    logical_request_id,
    source_instance,
    team_id,
    feature_id,
    coalesce(provider, '(unknown)') as provider,
    channel,
    coalesce(model_id, '(unresolved)') as model_id,
    prompt_id,
    operation,
    status,
    is_stream,
    is_final_attempt,
    price_status,
    coalesce(input_tokens, 0) as input_tokens,
    coalesce(uncached_input_tokens, 0) as uncached_tokens,
    coalesce(cache_read_tokens, 0) as cached_tokens,
    coalesce(output_tokens, 0) as output_tokens,
    coalesce(total_tokens, 0) as total_tokens,
    list_cost_usd,
    contract_cost_usd,
    cost_usd
from llm_spend.fct_llm_requests
where is_of_record and price_status <> 'cache_hit';

create temp table book as
select * from source.llm_spend_internal.int_price_book where region = '*';

create temp table whole_months as
select
    cast(date_trunc('month', usage_date) as date) as billing_period,
    max(max(usage_date)) over () >= last_day(max(usage_date)) as is_whole_month
from llm_spend.fct_llm_requests
group by all;

create table llm_spend.llm_model_switch_savings as
with switches as (
    select
        from_model_id,
        to_channel,
        to_model_id,
        cast(coalesce(token_factor, '1') as decimal(12, 6)) as token_factor,
        coalesce(cast(valid_from as date), date '1900-01-01') as valid_from,
        coalesce(cast(valid_to as date), date '9999-12-31') as valid_to
    from source.llm_spend_seeds.model_switches
),

-- Request by request.
compared as (
    select
        requests.*,
        coalesce(switches.to_channel, requests.channel) as candidate_channel,
        switches.to_model_id,
        switches.token_factor,
        book.input_price is not null as is_sold,
        cast(
            uncached_tokens * coalesce(book.input_price, 0)
            + cached_tokens * coalesce(book.cache_read_price, 0)
            + output_tokens * coalesce(book.output_price, 0) as decimal(38, 12)
        ) as list_tokens_usd,
        cast(
            uncached_tokens * coalesce(book.contract_input_price, 0)
            + cached_tokens * coalesce(book.contract_cache_read_price, 0)
            + output_tokens * coalesce(book.contract_output_price, 0) as decimal(38, 12)
        ) as contract_tokens_usd,
        coalesce(book.request_price, 0) as request_usd,
        coalesce(if(book.has_contract_prices, book.contract_request_price, book.request_price), 0) as contract_request_usd,
        coalesce(uncached_tokens > 0 and book.input_price is null, false)
        or coalesce(cached_tokens > 0 and book.cache_read_price is null, false)
        or coalesce(output_tokens > 0 and book.output_price is null, false) as lacks_price,
        cached_tokens > 0 and coalesce(book.is_cache_read_inherited, false) as takes_input_price,
        book.channel is not null as has_price
    from worked_on as requests
    inner join switches
        on
            requests.model_id = switches.from_model_id
            and requests.usage_date >= switches.valid_from
            and requests.usage_date < switches.valid_to
    left join book
        on
            coalesce(switches.to_channel, requests.channel) = book.channel
            and switches.to_model_id = book.model_id
            and book.service_tier = 'standard'
            and requests.started_at >= book.valid_from
            and requests.started_at < book.valid_to
            and requests.input_tokens > book.input_tokens_gt
            and requests.input_tokens <= book.input_tokens_lte
            and hour(requests.started_at) * 60 + minute(requests.started_at) >= book.minute_from
            and hour(requests.started_at) * 60 + minute(requests.started_at) < book.minute_to
            and contains(book.weekdays, cast(isodow(requests.started_at) as varchar))
    where requests.price_status <> 'not_billed'
),

judged as (
    select
        *,
        case
            when contract_cost_usd is null then 'unpriced'
            when not has_price or lacks_price then 'not sold'
            else 'compared'
        end as comparison
    from compared
),

by_factor as (
    select
        billing_period,
        feature_id,
        provider,
        model_id,
        candidate_channel as to_channel,
        to_model_id,
        token_factor,
        count(*) filter (comparison = 'compared') as requests,
        coalesce(sum(total_tokens) filter (comparison = 'compared'), 0) as total_tokens,
        sum(cost_usd) filter (comparison = 'compared') as cost_usd,
        sum(list_cost_usd) filter (comparison = 'compared') as list_cost_usd,
        sum(contract_cost_usd) filter (comparison = 'compared') as contract_cost_usd,
        sum(list_tokens_usd) filter (comparison = 'compared') as list_tokens_usd,
        sum(contract_tokens_usd) filter (comparison = 'compared') as contract_tokens_usd,
        sum(request_usd) filter (comparison = 'compared') as list_requests_usd,
        sum(contract_request_usd) filter (comparison = 'compared') as contract_requests_usd,
        count(*) filter (comparison = 'unpriced') as unpriced_requests,
        coalesce(sum(total_tokens) filter (comparison = 'unpriced'), 0) as unpriced_tokens,
        count(*) filter (comparison = 'not sold') as unsold_requests,
        coalesce(sum(total_tokens) filter (comparison = 'not sold'), 0) as unsold_tokens,
        coalesce(bool_or(takes_input_price) filter (comparison = 'compared'), false) as has_assumed_price
    from judged
    group by all
),

pairs as (
    select
        billing_period,
        feature_id,
        provider,
        model_id,
        to_channel,
        to_model_id,
        max(token_factor) as token_factor,
        sum(requests) as requests,
        sum(total_tokens) as total_tokens,
        sum(cost_usd) as cost_usd,
        sum(list_cost_usd) as list_cost_usd,
        sum(contract_cost_usd) as contract_cost_usd,
        sum(round(cast(list_tokens_usd as decimal(38, 12)) * token_factor, 12) + list_requests_usd) as switch_list_usd,
        sum(round(cast(contract_tokens_usd as decimal(38, 12)) * token_factor, 12) + contract_requests_usd)
            as switch_contract_usd,
        sum(unpriced_requests) as unpriced_requests,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(unsold_requests) as unsold_requests,
        sum(unsold_tokens) as unsold_tokens,
        bool_or(has_assumed_price) as has_assumed_price
    from by_factor
    group by all
)

select
    billing_period,
    feature_id,
    provider,
    model_id,
    to_channel,
    to_model_id,
    token_factor,
    cast(requests as bigint) as requests,
    cast(total_tokens as bigint) as total_tokens,
    cost_usd,
    list_cost_usd,
    contract_cost_usd,
    cast(switch_list_usd as decimal(38, 12)) as switch_list_usd,
    cast(switch_contract_usd as decimal(38, 12)) as switch_contract_usd,
    cast(contract_cost_usd - switch_contract_usd as decimal(38, 12)) as saving_usd,
    case
        when contract_cost_usd > 0
            then cast(
                sign(contract_cost_usd - switch_contract_usd) * whole_ratio(
                    cast(abs(contract_cost_usd - switch_contract_usd) * 1000000 as bigint),
                    cast(contract_cost_usd * 1000000 as bigint)
                ) as decimal(18, 6)
            )
    end as saving_ratio,
    cast(unpriced_requests + unsold_requests as bigint) as not_comparable_requests,
    cast(unpriced_tokens + unsold_tokens as bigint) as not_comparable_tokens,
    cast(unpriced_requests as bigint) as unpriced_requests,
    cast(unpriced_tokens as bigint) as unpriced_tokens,
    cast(0 as bigint) as other_usage_requests,
    cast(0 as bigint) as other_usage_tokens,
    cast(unsold_requests as bigint) as candidate_unpriced_requests,
    cast(unsold_tokens as bigint) as candidate_unpriced_tokens,
    has_assumed_price,
    'the moment of each request' as price_as_of,
    if(
        token_factor = 1,
        'One token of it is taken for one of the other model',
        'Tokens are multiplied by the token_factor of the pair'
    ) || ': tokenisers differ. Not known: whether it answers as well, how long its answers are, and what its prompt'
    || ' cache would hold.' || if(
        has_assumed_price,
        ' Some of it has the standard price, for want of one for its service tier or its cache.', ''
    ) as caveat,
    is_whole_month,
    'USD' as currency
from pairs
inner join whole_months using (billing_period);

create temp table paid_in_vain as
with superseded as (
    select *
    from worked_on
    where not is_final_attempt and coalesce(operation, '') <> 'poll'
),

followed as (
    select
        superseded.*,
        (superseded.channel, superseded.model_id) is not distinct from (last_one.channel, last_one.model_id) as is_same
    from superseded
    inner join (
        select source_instance, logical_request_id, usage_date, channel, coalesce(model_id, '(unresolved)') as model_id
        from llm_spend.fct_llm_requests
        where is_final_attempt
    ) as last_one using (source_instance, logical_request_id, usage_date)
),

kinds as (
    select 'paid_failures' as kind, request_key from worked_on where status <> 'success'
    union all
    select 'paid_retries', request_key from followed where is_same
    union all
    select 'paid_fallbacks', request_key from followed where not is_same
),

counted as (
    select
        kind,
        billing_period,
        team_id,
        feature_id,
        provider,
        model_id,
        count(*) as requests,
        sum(cost_usd) as spend_usd,
        count(*) filter (cost_usd is null) as unpriced_requests,
        coalesce(sum(total_tokens) filter (cost_usd is null), 0) as unpriced_tokens
    from kinds
    inner join worked_on using (request_key)
    where cost_usd is null or cost_usd > 0
    group by all
),

everything as (
    select billing_period, team_id, feature_id, provider, model_id, count(*) as attempts
    from worked_on
    group by all
)

select
    counted.*,
    whole_ratio(requests, attempts) as share,
    whole_ratio(of_model.requests_of_model, of_model.attempts_of_model) as benchmark
from counted
inner join everything using (billing_period, team_id, feature_id, provider, model_id)
inner join (
    select kind, billing_period, provider, model_id, sum(requests) as requests_of_model
    from counted
    group by all
) as of_kind using (kind, billing_period, provider, model_id)
inner join (
    select billing_period, provider, model_id, kind, requests_of_model, sum(attempts) as attempts_of_model
    from everything
    inner join (
        select kind, billing_period, provider, model_id, sum(requests) as requests_of_model
        from counted
        group by all
    ) as of_kind using (billing_period, provider, model_id)
    group by all
) as of_model using (kind, billing_period, provider, model_id);

create temp table templates as
select
    billing_period,
    feature_id,
    prompt_id,
    count(*) as requests,
    sum(cost_usd) as spend_usd,
    count(*) filter (cost_usd is null) as unpriced_requests,
    coalesce(sum(total_tokens) filter (cost_usd is null), 0) as unpriced_tokens,
    cast(sum(total_tokens) as bigint) as total_tokens,
    cast(sum(input_tokens) as bigint) as input_tokens,
    cast(sum(cached_tokens) as bigint) as cached_tokens,
    whole_ratio(sum(total_tokens), count(*)) as tokens_per_request
from worked_on
where prompt_id is not null and total_tokens > 0
group by all
having count(*) >= 20;

create temp table heavy as
with medians as (
    select
        *,
        count(*) over (partition by billing_period, feature_id) as of_feature,
        count(*) over (partition by billing_period) as of_month,
        list(tokens_per_request) over (partition by billing_period, feature_id) as feature_sizes,
        list(tokens_per_request) over (partition by billing_period) as month_sizes
    from templates
),

sorted as (
    select * replace (list_sort(if(of_feature >= 3, feature_sizes, month_sizes)) as feature_sizes)
    from medians
    where of_month >= 3
)

select
    *,
    cast(
        (feature_sizes[(len(feature_sizes) + 1) // 2] + feature_sizes[len(feature_sizes) // 2 + 1])
        * cast(0.5 as decimal(2, 1)) as decimal(18, 6)
    ) as median_tokens
from sorted
where tokens_per_request >= median_tokens * 2;

-- At the prices of the first of the requests in a month that have the price of one model and are alike.
create temp table offers as
with shapes as (
    select
        billing_period,
        team_id,
        feature_id,
        provider,
        channel,
        model_id,
        prompt_id,
        coalesce(
            status = 'success' and not is_stream and hour(started_at) < 6 and price_status <> 'not_billed', false
        ) as is_batchable,
        sum(uncached_tokens) as uncached_tokens,
        sum(cached_tokens) as cached_tokens,
        sum(output_tokens) as output_tokens,
        count(*) as requests,
        min(started_at) as started_at
    from worked_on
    where price_status in ('priced', 'parent_unit')
    group by all
)

select
    shapes.*,
    cast(
        uncached_tokens * (standard.contract_input_price - standard.contract_cache_read_price) as decimal(38, 12)
    ) as cache_gain_usd,
    case
        when is_batchable
            then cast(
                uncached_tokens * (standard.contract_input_price - batch.contract_input_price)
                + cached_tokens * (standard.contract_cache_read_price - batch.contract_cache_read_price)
                + output_tokens * (coalesce(standard.contract_output_price, 0) - coalesce(batch.contract_output_price, 0))
                as decimal(38, 12)
            )
    end as batch_gain_usd
from shapes
inner join book as standard
    on
        shapes.channel = standard.channel
        and shapes.model_id = standard.model_id
        and standard.service_tier = 'standard'
        and standard.input_tokens_gt = -1
        and shapes.started_at >= standard.valid_from
        and shapes.started_at < standard.valid_to
        and hour(shapes.started_at) * 60 + minute(shapes.started_at) >= standard.minute_from
        and hour(shapes.started_at) * 60 + minute(shapes.started_at) < standard.minute_to
        and contains(standard.weekdays, cast(isodow(shapes.started_at) as varchar))
left join book as batch
    on
        shapes.channel = batch.channel
        and shapes.model_id = batch.model_id
        and batch.service_tier = 'batch'
        and batch.input_tokens_gt = -1
        and shapes.started_at >= batch.valid_from
        and shapes.started_at < batch.valid_to;

create temp table cold as
with of_templates as (
    select
        billing_period,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        prompt_id,
        requests,
        spend_usd,
        unpriced_requests,
        unpriced_tokens,
        input_tokens,
        cached_tokens,
        sum(input_tokens) over (partition by billing_period, feature_id) as peer_input,
        sum(cached_tokens) over (partition by billing_period, feature_id) as peer_cached,
        'Template ' || prompt_id || ' of ' || feature_id as subject,
        'all templates of the feature' as peers
    from templates
),

of_models as (
    select
        billing_period,
        feature_id,
        provider,
        model_id,
        '(all)' as prompt_id,
        count(*) as requests,
        sum(cost_usd) as spend_usd,
        count(*) filter (cost_usd is null) as unpriced_requests,
        coalesce(sum(total_tokens) filter (cost_usd is null), 0) as unpriced_tokens,
        sum(input_tokens) as input_tokens,
        sum(cached_tokens) as cached_tokens,
        sum(sum(input_tokens)) over (partition by billing_period, provider, model_id) as peer_input,
        sum(sum(cached_tokens)) over (partition by billing_period, provider, model_id) as peer_cached,
        feature_id || ' on ' || model_id as subject,
        'all that is asked of the model' as peers
    from worked_on
    where total_tokens > 0
    group by billing_period, feature_id, provider, model_id
),

gains as (
    select
        billing_period,
        feature_id,
        '(all)' as provider,
        '(all)' as model_id,
        prompt_id,
        sum(uncached_tokens) as uncached_tokens,
        sum(cache_gain_usd) as gain_usd
    from offers
    where prompt_id is not null
    group by all
    union all
    select billing_period, feature_id, provider, model_id, '(all)', sum(uncached_tokens), sum(cache_gain_usd)
    from offers
    group by all
),

shares as (
    select
        everything.*,
        uncached_tokens,
        least(gain_usd, spend_usd) as gain_usd,
        whole_ratio(cast(cached_tokens as bigint), cast(input_tokens as bigint)) as share,
        whole_ratio(cast(peer_cached as bigint), cast(peer_input as bigint)) as peer_share
    from (from of_templates union all from of_models) as everything
    inner join gains using (billing_period, feature_id, provider, model_id, prompt_id)
)

select
    *,
    least(cast(floor(peer_share * input_tokens) as bigint) - cached_tokens, uncached_tokens) as missing_tokens,
    share_of(gain_usd, missing_tokens, uncached_tokens) as high_usd
from shares
where
    requests >= 20
    and input_tokens >= requests * 1024
    and gain_usd > 0
    and peer_share >= 0.2
    and share * 2 < peer_share;

create temp table nights as
with traffic as (
    select
        billing_period,
        team_id,
        feature_id,
        count(*) filter (is_batchable) as requests,
        count(*) as all_requests,
        sum(cost_usd) filter (is_batchable) as spend_usd,
        count(*) filter (is_batchable and cost_usd is null) as unpriced_requests,
        coalesce(sum(total_tokens) filter (is_batchable and cost_usd is null), 0) as unpriced_tokens
    from (
        select
            *,
            coalesce(
                status = 'success' and not is_stream and hour(started_at) < 6 and price_status <> 'not_billed', false
            ) as is_batchable
        from worked_on
    ) as flagged
    group by all
)

select
    traffic.*,
    whole_ratio(requests, all_requests) as share,
    share >= 0.5 as is_likely,
    least(gain_usd, spend_usd) as high_usd
from traffic
inner join (
    select
        billing_period,
        team_id,
        feature_id,
        sum(batch_gain_usd) as gain_usd
    from offers
    where is_batchable
    group by all
) as gains using (billing_period, team_id, feature_id)
where requests >= 20 and gain_usd > 0;

create temp table little_used as
with features as (
    select
        billing_period,
        feature_id,
        count(*) as requests,
        sum(cost_usd) as spend_usd,
        count(*) filter (cost_usd is null) as unpriced_requests,
        coalesce(sum(total_tokens) filter (cost_usd is null), 0) as unpriced_tokens,
        sum(sum(cost_usd)) over (partition by billing_period) as spend_of_all
    from worked_on
    group by billing_period, feature_id
),

used as (
    select
        features.*,
        economics.denominator_value as sessions,
        whole_ratio(
            cast(round(sessions * 1000000, 0) as bigint), cast(round(spend_usd * 1000000, 0) as bigint)
        ) as per_usd
    from features
    inner join llm_spend.llm_unit_economics as economics
        on features.billing_period = economics.billing_period and features.feature_id = economics.member_id
    where
        economics.kpi_id = 'cost_per_engagement'
        and economics.member_type = 'feature'
        and economics.coverage_ratio >= 0.9
        and features.feature_id <> '(unallocated)'
        and features.requests >= 20
        and spend_usd * 100 >= greatest(spend_of_all, 1)
),

sorted as (
    select
        billing_period,
        list(per_usd order by per_usd) as rates
    from used
    where per_usd > 0
    group by billing_period
)

select
    used.*,
    cast(
        (rates[(len(rates) + 1) // 2] + rates[len(rates) // 2 + 1]) * cast(0.5 as decimal(2, 1)) as decimal(18, 6)
    ) as median_per_usd,
    whole_ratio(cast(per_usd * 1000000 as bigint), cast(median_per_usd * 1000000 as bigint)) as share_of_median
from used
inner join sorted using (billing_period)
where
    (len(rates) >= 3 or sessions = 0)
    and share_of_median <= 0.5;

create table llm_spend.llm_optimization_candidates as
with found as (
    select
        billing_period,
        kind,
        team_id,
        feature_id,
        provider,
        model_id,
        '(all)' as prompt_id,
        requests,
        spend_usd,
        'share_of_requests' as metric_name,
        share as metric_value,
        benchmark as benchmark_value,
        spend_usd as saving_low_usd,
        spend_usd as saving_high_usd,
        if(spend_usd is null, 'rough', 'exact') as confidence,
        if(
            spend_usd is null,
            'What these calls cost, if anything, is not known.',
            'What these calls cost is exact. How many of them can be prevented is not known.'
        ) as confidence_reason,
        'Requests of ' || feature_id || ' to ' || model_id || case kind
            when 'paid_failures'
                then ' that failed' || if(unpriced_requests > 0, ', and were paid or may have been', ' and were paid all the same')
            else ' that were paid' || if(unpriced_requests > 0, ', or may have been,', '') || ' before '
                || if(kind = 'paid_retries', 'the same model was asked again', 'another model was asked')
        end || ': ' || requests || coalesce(', for ' || in_cents(spend_usd), '') || '. They are ' || in_percent(share)
        || ' of its requests there; of all requests to the model ' || in_percent(benchmark) || ' are like that.'
            as explanation,
        unpriced_requests,
        unpriced_tokens
    from paid_in_vain
    union all
    select
        billing_period,
        'low_engagement_spend',
        '(all)',
        feature_id,
        '(all)',
        '(all)',
        '(all)',
        requests,
        spend_usd,
        'engagements_per_usd',
        per_usd,
        median_per_usd,
        null,
        spend_usd - round(spend_usd * share_of_median, 12),
        'rough',
        'At most what it costs above the median of the features that were judged. What it is used for may be worth more,'
        || ' and not all use is recorded.',
        feature_id || ' cost ' || in_cents(spend_usd) || ' and had ' || cast(round(sessions, 0) as bigint)
        || ' sessions; the median of the features has ' || cast(round(spend_usd * median_per_usd, 0) as bigint)
        || ' for as much.',
        unpriced_requests,
        unpriced_tokens
    from little_used
    union all
    select
        billing_period,
        'heavy_prompt',
        '(all)',
        feature_id,
        '(all)',
        '(all)',
        prompt_id,
        requests,
        spend_usd,
        'tokens_per_request',
        tokens_per_request,
        median_tokens,
        share_of(spend_usd, cast(total_tokens - floor(median_tokens * requests * 2) as bigint), total_tokens),
        share_of(spend_usd, cast(total_tokens - floor(median_tokens * requests) as bigint), total_tokens),
        'rough',
        'From twice the tokens of its like to as many, each token at the same cost. It may need what it carries.',
        'Template ' || prompt_id || ' of ' || feature_id || ' takes ' || cast(round(tokens_per_request, 0) as bigint)
        || ' tokens a request; the median of the templates ' || if(of_feature >= 3, 'of the feature', 'there are')
        || ' is ' || cast(round(median_tokens, 0) as bigint) || '.',
        unpriced_requests,
        unpriced_tokens
    from heavy
    union all
    select
        billing_period,
        'low_cache_share',
        '(all)',
        feature_id,
        provider,
        model_id,
        prompt_id,
        requests,
        spend_usd,
        'cache_read_share_of_input',
        share,
        peer_share,
        half(high_usd),
        high_usd,
        'rough',
        'From half of what it lacks of the share of its like to all of it, at the price of a cache read. Writing to the'
        || ' cache may cost something, and prompts that do not begin alike can not be kept.',
        subject || ' read ' || in_percent(share) || ' of its input from the cache of the provider; ' || peers || ' '
        || in_percent(peer_share) || '.',
        unpriced_requests,
        unpriced_tokens
    from cold
    where missing_tokens > 0
    union all
    select
        billing_period,
        'batchable_night_traffic',
        team_id,
        feature_id,
        '(all)',
        '(all)',
        '(all)',
        requests,
        spend_usd,
        'share_of_requests',
        share,
        0.5,
        if(is_likely, half(high_usd), 0),
        high_usd,
        if(is_likely, 'likely', 'rough'),
        if(
            is_likely,
            'Most of what it asks is asked by night, so nobody seems to wait. The answers of a batch may take a day.',
            'Most of what it asks is asked by day: somebody may wait for the answers by night as well.'
        ),
        requests || ' requests of ' || feature_id || ' in team ' || team_id || ' were answered whole by night, '
        || in_percent(share) || ' of what it asks; as a batch they would cost ' || in_cents(high_usd) || ' less.',
        unpriced_requests,
        unpriced_tokens
    from nights
)

select
    billing_period,
    kind,
    team_id,
    feature_id,
    provider,
    model_id,
    prompt_id,
    requests,
    spend_usd,
    metric_name,
    metric_value,
    cast(benchmark_value as decimal(18, 6)) as benchmark_value,
    half(cast(saving_low_usd as decimal(38, 12)) + saving_high_usd) as saving_usd,
    cast(saving_low_usd as decimal(38, 12)) as saving_low_usd,
    cast(saving_high_usd as decimal(38, 12)) as saving_high_usd,
    confidence,
    confidence_reason,
    explanation || if(
        unpriced_requests > 0, ' The cost of ' || unpriced_requests || ' of these requests is not known.', ''
    ) as explanation,
    cast(unpriced_requests as bigint) as unpriced_requests,
    cast(unpriced_tokens as bigint) as unpriced_tokens,
    is_whole_month,
    'USD' as currency
from found
inner join whole_months using (billing_period);
