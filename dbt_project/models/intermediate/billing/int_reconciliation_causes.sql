{% set buckets = llm_spend.token_buckets() %}
{% set input_buckets = buckets | rejectattr('unit', 'equalto', 'output_tokens') | list %}
{% set causes = llm_spend.reconciliation_causes() %}
{% set counts = [
    'attempts', 'unmeasured_attempts', 'unpriced_attempts', 'usage_rows', 'unpriced_usage_rows', 'unpriced_usage_tokens',
    'bill_rows', 'cost_rows_without_rate'
] %}
{% set amounts = [
    'gateway_usd', 'billed_usd', 'other_charges_usd', 'invoice_gap_usd', 'own_prices_usd', 'old_prices_usd',
    'gateway_tier_usd', 'gateway_region_usd', 'logged_tier_usd', 'logged_region_usd', 'gateway_base_usd'
] %}
{% set callers_measures = ['usage_rows', 'usage_requests', 'usage_usd', 'usage_standard_tier_usd', 'usage_base_usd'] %}

with slices as (
    select * from {{ ref('int_reconciliation_slices') }}
),

days as (
    select * from {{ ref('int_reconciliation_days') }}
),

prices as (
    select * from {{ ref('int_reconciliation_prices') }}
    where service_tier = 'standard' and region = '*'
),

compared_slices as (
    select
        slices.*,
        days.is_billed_by_caller,
        -- Finest dimensions of the usage that the bill has too.
        case when days.is_billed_by_key then slices.api_key_id else '(any)' end as billed_key,
        case when days.is_billed_by_project then slices.project_id else '(any)' end as billed_project
    from slices
    inner join days
        on
            slices.provider = days.provider
            and slices.provider_instance = days.provider_instance
            and slices.usage_date = days.usage_date
),

billed_models as (
    select
        provider,
        provider_instance,
        usage_date,
        billed_project,
        billed_key,
        model,
        coalesce(sum(usage_rows), 0) as usage_rows,
        coalesce(sum(billed_usd), 0) as billed_usd,
        coalesce(sum(cost_rows_without_rate), 0) as cost_rows_without_rate,
        coalesce(sum(case when is_outside_gateway then 0 else usage_usd end), 0) as usage_usd
    from compared_slices
    group by provider, provider_instance, usage_date, billed_project, billed_key, model
),

-- A line for which there is no usage may be for any, and one without a rate of any amount: then nobody knows what was
-- not billed.
billed_callers as (
    select
        provider,
        provider_instance,
        usage_date,
        billed_project,
        billed_key,
        sum(cost_rows_without_rate)
        + sum(case when usage_rows = 0 and billed_usd <> 0 then 1 else 0 end) as lines_of_unknown_usage
    from billed_models
    group by provider, provider_instance, usage_date, billed_project, billed_key
),

unbilled_models as (
    select
        billed_models.provider,
        billed_models.provider_instance,
        billed_models.usage_date,
        billed_models.model,
        sum(billed_models.usage_usd) as unbilled_usd
    from billed_models
    inner join billed_callers
        on
            billed_models.provider = billed_callers.provider
            and billed_models.provider_instance = billed_callers.provider_instance
            and billed_models.usage_date = billed_callers.usage_date
            and billed_models.billed_project = billed_callers.billed_project
            and billed_models.billed_key = billed_callers.billed_key
    where billed_models.billed_usd = 0 and billed_callers.lines_of_unknown_usage = 0
    group by
        billed_models.provider, billed_models.provider_instance, billed_models.usage_date, billed_models.model
),

by_model as (
    select
        billing_period,
        provider,
        provider_instance,
        usage_date,
        model,
        {% for measure in counts + amounts -%}
        coalesce(sum({{ measure }}), 0) as {{ measure }},
        {% endfor -%}
        {% for measure in callers_measures -%}
        coalesce(sum(case when is_outside_gateway then 0 else {{ measure }} end), 0) as gateway_{{ measure }},
        {% endfor -%}
        {% for bucket in buckets -%}
        cast(
            coalesce(sum(case when is_outside_gateway then 0 else usage_{{ bucket.quantity }} end), 0)
            - coalesce(sum(gateway_{{ bucket.quantity }}), 0) as {{ dbt.type_bigint() }}
        ) as {{ bucket.quantity }},
        {% endfor -%}
        coalesce(
            -- Of which nobody knows (NULL) is not outside.
            sum(
                case
                    when not coalesce(is_outside_gateway, false) then 0
                    when is_billed_by_caller then billed_usd
                    else usage_usd
                end
            ),
            0
        ) as outside_usd
    from compared_slices
    group by billing_period, provider, provider_instance, usage_date, model
),

priced as (
    select
        by_model.*,
        days.comparison,
        days.is_final,
        -- Otherwise a difference of tokens says nothing: one side does not have the model, or not what it costs.
        days.is_usage_known
        and by_model.unpriced_usage_rows = 0
        and by_model.gateway_usage_rows > 0
        and by_model.attempts > 0 as is_usage_known,
        -- Tokens that the provider has more of in one class and less in another, but counts all the same.
        {% for sign, name in [('', 'more'), ('-', 'fewer')] -%}
        0
        {%- for bucket in input_buckets %}
        + case
            when {{ sign }}by_model.{{ bucket.quantity }} > 0 then {{ sign }}by_model.{{ bucket.quantity }}
            else 0
        end
        {%- endfor %} as {{ name }}_input_tokens,
        cast(round(
            0
            {%- for bucket in input_buckets %}
            + case
                when {{ sign }}by_model.{{ bucket.quantity }} > 0
                    then {{ sign }}by_model.{{ bucket.quantity }} * prices.{{ bucket.price }}
                else 0
            end
            {%- endfor %},
            12
        ) as {{ type_money() }}) as {{ name }}_input_usd,
        {% endfor -%}
        coalesce(unbilled_models.unbilled_usd, 0) as unbilled_usd
    from by_model
    inner join days
        on
            by_model.provider = days.provider
            and by_model.provider_instance = days.provider_instance
            and by_model.usage_date = days.usage_date
    left join unbilled_models
        on
            by_model.provider = unbilled_models.provider
            and by_model.provider_instance = unbilled_models.provider_instance
            and by_model.usage_date = unbilled_models.usage_date
            and by_model.model = unbilled_models.model
    left join prices
        on
            by_model.provider = prices.channel
            and by_model.model = prices.model_id
            and by_model.usage_date >= prices.valid_from
            and by_model.usage_date < prices.valid_to
),

-- As many tokens as both sides have, in other classes; what one side has beyond that are other tokens.
recomposed as (
    select
        *,
        case when more_input_tokens < fewer_input_tokens then more_input_tokens else fewer_input_tokens end
            as recomposed_tokens
    from priced
),

measured as (
    select
        *,
        case
            when is_usage_known and recomposed_tokens > 0
                then coalesce(
                    {% for name in ['more', 'fewer'] -%}
                    cast(round(
                        {{ name }}_input_usd * {{ whole_ratio('recomposed_tokens', name ~ '_input_tokens') }}, 12
                    ) as {{ type_money() }})
                    {{ '- ' if not loop.last }}
                    {%- endfor %},
                    0
                )
            else 0
        end as cache_difference_usd,
        case when is_usage_known then gateway_usage_base_usd - gateway_base_usd else 0 end as base_difference_usd
    from recomposed
),

counted as (
    select
        *,
        base_difference_usd - cache_difference_usd as surplus_usd
    from measured
),

-- What neither the bill nor the gateway has is no difference between them.
netted as (
    select
        *,
        case
            when surplus_usd <= 0 then 0
            when surplus_usd < unbilled_usd then surplus_usd
            else unbilled_usd
        end as unseen_usd
    from counted
),

named as (
    select
        *,
        billed_usd + other_charges_usd + invoice_gap_usd as provider_usd,
        case comparison
            when 'no_gateway' then billed_usd
            when 'compared' then outside_usd
            else 0
        end as outside_gateway_usd,
        case
            when comparison <> 'compared' then 0
            when is_usage_known then gateway_usage_usd - gateway_usage_standard_tier_usd - gateway_tier_usd
            else logged_tier_usd - gateway_tier_usd
        end as tier_or_batch_usd,
        case
            when comparison <> 'compared' then 0
            when is_usage_known then gateway_usage_standard_tier_usd - gateway_usage_base_usd - gateway_region_usd
            else logged_region_usd - gateway_region_usd
        end as regional_uplift_usd,
        case when comparison = 'compared' then cache_difference_usd else 0 end as cache_usd,
        case
            when
                comparison = 'compared'
                and unmeasured_attempts > 0
                and surplus_usd > unseen_usd
                -- Many more requests than the gateway has are other traffic.
                and gateway_usage_requests <= attempts + unmeasured_attempts
                then surplus_usd - unseen_usd
            else 0
        end as unmeasured_attempts_usd,
        case when comparison = 'compared' then own_prices_usd else 0 end as gateway_prices_usd,
        case when comparison = 'compared' then old_prices_usd else 0 end as price_changes_usd,
        case when comparison = 'compared' then unseen_usd - unbilled_usd else 0 end as not_billed_usd,
        other_charges_usd as charges_besides_usage_usd,
        invoice_gap_usd as invoice_difference_usd,
        case when comparison in ('bill_not_loaded', 'log_not_loaded') then billed_usd - gateway_usd else 0 end
            as late_data_usd,
        case when comparison = 'no_bill' then billed_usd - gateway_usd else 0 end as no_bill_usd
    from netted
),

final as (
    select
        billing_period,
        provider,
        provider_instance,
        usage_date,
        model,
        comparison,
        is_final,
        is_usage_known,
        {% for count in counts -%}
        cast({{ count }} as {{ dbt.type_bigint() }}) as {{ count }},
        {% endfor -%}
        cast(gateway_usd as {{ type_money() }}) as gateway_usd,
        cast(provider_usd as {{ type_money() }}) as provider_usd,
        {% for cause in causes -%}
        cast({{ cause }}_usd as {{ type_money() }}) as {{ cause }}_usd,
        {% endfor -%}
        cast(
            provider_usd - gateway_usd
            {%- for cause in causes %}
            - {{ cause }}_usd
            {%- endfor %}
            as {{ type_money() }}
        ) as unexplained_usd
    from named
)

select * from final
