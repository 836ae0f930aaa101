{#
    Prices every request at the price that held when it started.

    relation: requests with owners. metered: those of them that have usage beside tokens, all of each date, read once
    more for the free allowances. Adds provider, channel, model_id, model_matched_by, pricing_basis, the costs in USD
    (NULL = unknown, never 0 for it), the parts of the contract cost by class of tokens, and price_status. A whole
    request is priced at the threshold its input reaches. A service tier that the book does not know is priced as
    standard and marked so; a region that it does not know has the price of all regions.

    Every request takes the few prices that nearly all need. Requests with other usage or contract prices fetch the
    rest of their row by its key: fetching all columns for all requests would cost more than pricing them.

    book: the prices, int_price_book if not given. is_named: both relations have provider, channel and model_id already,
    as the fact does, in place of what the log said. models: a relation with the channels and models to price, where they
    are others than those that occur. For rows that each stand for many requests: threshold, the column with the input
    tokens that decide on the threshold, and calls, the column with the number of requests. columns: what is kept of
    that which is known before the costs, all if not given. To a wide relation it matters: a query with a CTE that is
    read several times hands on all that it selects, used or not, and every join below carries that along.
#}
{% macro price_requests(
    relation, metered, book=none, is_named=false, threshold='input_tokens', calls=none, models='resolution',
    columns=none
) %}
    {%- set names = 'requests' if is_named else 'resolution' %}
    {%- set costs = {'list_cost_usd': 'computed_usd', 'contract_cost_usd': 'computed_contract_usd'} %}
    {%- for part in cost_parts() %}{% do costs.update({part ~ '_cost_usd': 'contract_' ~ part ~ '_usd'}) %}{% endfor %}
    with resolution as (
        select * from {{ ref('int_model_resolution') }}
    ),

    -- Of the models that occur: a small table, and small enough for planners to see it.
    price_book as (
        select *
        from {{ book or ref('int_price_book') }} as book
        where
            exists (
                select 1 from {{ models }} as models
                where models.channel = book.channel and models.model_id = book.model_id
            )
    ),

    weekdays as (
        {%- for weekday in range(1, 8) %}
        select {{ weekday }} as weekday
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    -- When a row holds, in minutes of the week.
    week_slots as (
        select
            price_key,
            0 as week_minute_from,
            {{ 7 * 24 * 60 }} as week_minute_to
        from price_book
        where is_all_week
        union all
        select
            price_book.price_key,
            (weekdays.weekday - 1) * {{ 24 * 60 }} + price_book.minute_from as week_minute_from,
            (weekdays.weekday - 1) * {{ 24 * 60 }} + price_book.minute_to as week_minute_to
        from price_book
        inner join weekdays
            on {{ dbt.position("cast(weekdays.weekday as " ~ dbt.type_string() ~ ")", "price_book.weekdays") }} > 0
        where not price_book.is_all_week
    ),

    list_prices as (
        select
            price_book.*,
            week_slots.week_minute_from,
            week_slots.week_minute_to,
            coalesce(price_book.reasoning_price <> price_book.output_price, price_book.reasoning_price is not null)
                as has_reasoning_price
        from price_book
        inner join week_slots on price_book.price_key = week_slots.price_key
    ),

    -- When a tier or a region has prices at all: outside of that, standard and everywhere hold.
    known_tiers as (
        select distinct
            channel,
            model_id,
            region,
            service_tier,
            valid_from,
            valid_to
        from price_book
        where service_tier <> 'standard'
    ),

    known_regions as (
        select distinct
            channel,
            model_id,
            region,
            valid_from,
            valid_to
        from price_book
        where region <> '*'
    ),

    free_usage as (
        {{ free_usage(metered, is_named) }}
    ),

    named as (
        select
            requests.*,
            {% if not is_named -%}
            coalesce(resolution.provider, lower(requests.raw_provider)) as provider,
            resolution.channel,
            resolution.model_id,
            resolution.matched_by as model_matched_by,
            {% endif -%}
            coalesce(known_regions.region, '*') as priced_region
        from {{ relation }} as requests
        {% if not is_named -%}
        left join resolution
            on {{ names_model('requests', 'resolution') }}
        {% endif -%}
        left join known_regions
            on
                {{ names }}.channel = known_regions.channel
                and {{ names }}.model_id = known_regions.model_id
                and lower(requests.region) = known_regions.region
                and requests.started_at >= known_regions.valid_from
                and requests.started_at < known_regions.valid_to
    ),

    resolved as (
        select
            named.*,
            not ({{ is_standard_tier('named.service_tier') }}) as is_special_tier,
            coalesce(known_tiers.service_tier, 'standard') as priced_tier,
            ({{ iso_weekday('named.started_at') }} - 1) * {{ 24 * 60 }} + {{ minute_of_day('named.started_at') }}
                as week_minute
        from named
        left join known_tiers
            on
                named.channel = known_tiers.channel
                and named.model_id = known_tiers.model_id
                and named.priced_region = known_tiers.region
                and lower(named.service_tier) = known_tiers.service_tier
                and named.started_at >= known_tiers.valid_from
                and named.started_at < known_tiers.valid_to
    ),

    listed as (
        select
            resolved.*,
            list_prices.pricing_basis,
            list_prices.has_contract_prices,
            list_prices.model_id is not null as has_price,
            {%- for bucket in token_buckets() %}
            {{ 'or ' if not loop.first }}(resolved.{{ bucket.quantity }} > 0 and list_prices.{{ bucket.price }} is null)
            {%- endfor %}
                as lacks_bucket_price,
            {% for bucket in token_buckets() if bucket.parents -%}
            (resolved.{{ bucket.quantity }} > 0 and list_prices.{{ bucket.inherited }})
            or {% endfor -%}
            (
                resolved.total_tokens > 0
                and list_prices.has_audio_prices
                and not resolved.is_other_usage_known
            )
                as takes_parent_price,
            {% for class in token_classes() -%}
            cast({{ bucket_cost(class, 'resolved.', 'list_prices.') }} as {{ type_money() }})
                as bucket_{{ class.name }}_usd,
            {% endfor -%}
            cast({{ calls_cost('resolved.', 'list_prices.', calls) }} as {{ type_money() }}) as calls_usd,
            resolved.is_special_tier and resolved.priced_tier = 'standard' as is_tier_assumed,
            case
                when
                    resolved.has_other_usage
                    or list_prices.has_contract_prices
                    or (resolved.reasoning_tokens > 0 and list_prices.has_reasoning_price)
                    then list_prices.price_key
            end as other_price_key,
            case when resolved.has_other_usage then resolved.request_key end as other_request_key
        from resolved
        left join list_prices
            on
                resolved.channel = list_prices.channel
                and resolved.model_id = list_prices.model_id
                and resolved.priced_region = list_prices.region
                and resolved.priced_tier = list_prices.service_tier
                and resolved.started_at >= list_prices.valid_from
                and resolved.started_at < list_prices.valid_to
                and coalesce(resolved.{{ threshold }}, 0) > list_prices.input_tokens_gt
                and coalesce(resolved.{{ threshold }}, 0) <= list_prices.input_tokens_lte
                and resolved.week_minute >= list_prices.week_minute_from
                and resolved.week_minute < list_prices.week_minute_to
    ),

    -- Selects one after the other: what stands twice in one of them is computed for every request, needed or not.
    fetched as (
        select
            listed.*,
            {% for column in other_price_columns() -%}
            other_prices.{{ column }},
            {% endfor -%}
            {%- for unit in units_beside_tokens() %}
            listed.{{ unit.quantity }} - coalesce(free_usage.free_{{ unit.quantity }}, 0) as paid_{{ unit.quantity }}
            {{- ',' if not loop.last }}
            {%- endfor %}
        from listed
        left join price_book as other_prices on listed.other_price_key = other_prices.price_key
        left join free_usage on listed.other_request_key = free_usage.request_key
    ),

    extended as (
        select
            *,
            {% for class in token_classes() -%}
            {%- set bucket_usd = 'bucket_' ~ class.name ~ '_usd' -%}
            case
                when other_price_key is not null
                    then cast({{ class_cost(class, bucket_usd) | indent(24) }} as {{ type_money() }})
                else {{ bucket_usd }}
            end as list_{{ class.name }}_usd,
            {% endfor -%}
            case
                when other_price_key is not null
                    then cast(calls_usd + {{ beside_cost() | indent(24) }} as {{ type_money() }})
                else calls_usd
            end as list_other_usd,
            case
                when has_other_usage
                    then
                        {{ lacks_other_price() | indent(24) }}
                else lacks_bucket_price
            end as lacks_unit_price,
            case
                when has_other_usage
                    then
                        {{ takes_bucket_price() | indent(24) }}
                else false
            end as takes_bucket_price
        from fetched
    ),

    contracted as (
        select
            *,
            {% for class in token_classes() -%}
            case
                when has_contract_prices
                    then {{ class_cost(class, bucket_cost(class, '', 'contract_'), 'contract_') | indent(24) }}
            end as exact_{{ class.name }}_usd,
            {% endfor -%}
            case
                when has_contract_prices
                    then {{ calls_cost('', 'contract_', calls) }} + {{ beside_cost('contract_') | indent(24) }}
            end as exact_other_usd,
            cast(list_{{ cost_parts() | join('_usd + list_') }}_usd as {{ type_money() }}) as computed_usd
        from extended
    ),

    -- Contract prices have more digits than money. Each part is what it adds to the rounded sum of those before it: so
    -- the parts add up to the rounded cost, and a part that is nothing stays 0.
    rounded as (
        select
            *,
            {%- for part in cost_parts() %}
            {%- set sum = 'exact_' ~ cost_parts()[:loop.index] | join('_usd + exact_') ~ '_usd' %}
            case when has_contract_prices then cast(round({{ sum }}, 12) as {{ type_money() }}) end
                as up_to_{{ part }}_usd{{ ',' if not loop.last }}
            {%- endfor %}
        from contracted
    ),

    divided as (
        select
            *,
            {% for part in cost_parts() -%}
            {%- set before = ' - up_to_' ~ cost_parts()[loop.index0 - 1] ~ '_usd' if not loop.first else '' -%}
            case when has_contract_prices then up_to_{{ part }}_usd{{ before }} else list_{{ part }}_usd end
                as contract_{{ part }}_usd,
            {% endfor -%}
            case when has_contract_prices then up_to_{{ cost_parts() | last }}_usd else computed_usd end
                as computed_contract_usd
        from rounded
    ),

    judged as (
        select
            *,
            case
                when is_gateway_cache_hit then 'cache_hit'
                when token_quality = 'usage_conflict' then 'usage_conflict'
                when status = 'success' and token_quality = 'missing_usage' and operation = 'poll' then 'not_billed'
                when status = 'success' and token_quality = 'missing_usage' then 'no_usage'
                -- The provider may have worked, and billed, until we stopped waiting.
                when
                    coalesce(total_tokens, 0) = 0
                    and not has_other_usage
                    and (http_status in (408, 499, 504) or status = 'cancelled')
                    then 'unmeasured'
                when coalesce(total_tokens, 0) = 0 and not has_other_usage then 'not_billed'
                when not has_price or lacks_unit_price then 'unpriced'
                when computed_usd = 0 then 'free'
                when is_tier_assumed then 'assumed_standard'
                when takes_parent_price or takes_bucket_price then 'parent_unit'
                else 'priced'
            end as price_status
        from divided
    ),

    -- True: it costs what was computed. False: it is known to cost nothing. NULL: nobody knows.
    charged as (
        select
            *,
            case
                when price_status in ('priced', 'free', 'assumed_standard', 'parent_unit') then true
                when price_status in ('cache_hit', 'not_billed') then false
            end as is_charged
        from judged
    ),

    final as (
        select
            {{ columns | join(',\n            ') if columns else '*' }},
            {% for cost, computed in costs.items() -%}
            case when is_charged then {{ computed }} when not is_charged then cast(0 as {{ type_money() }}) end
                as {{ cost }},
            {% endfor -%}
            case when price_status = 'cache_hit' and has_price and not lacks_unit_price then computed_usd end
                as cost_saved_usd
        from charged
    )

    select * from final
{% endmacro %}
