{# SQL for the key of a line: its period and the columns that name it; a `|` inside a value is written %7C. #}
{% macro chargeback_line_id(billing_period, columns) -%}
{{ llm_spend.date_text(billing_period) }}
{%- for column in columns %}
        || '|' || replace(replace({{ column }}, '%', '%25'), '|', '%7C')
{%- endfor %}
{%- endmacro %}

{#
    How a line came by its amount, from its id and type: a bill's share and its restatements say it at their end, so that
    lines that were kept before there were bills need no column for it.
#}
{% macro allocation_method(line_id, line_type) -%}
case
    when {{ line_type }} in ('direct', 'unallocated') then 'own_usage'
    else coalesce(
        nullif(
            case
                when {{ line_type }} = 'restatement' then {{ dbt.split_part(line_id, "'|'", 8) }}
                else {{ dbt.split_part(line_id, "'|'", 7) }}
            end,
            ''
        ),
        'own_usage'
    )
end
{%- endmacro %}

{# SQL condition: a line, or the restatement of one, is a share of a cost that teams share. #}
{% macro is_shared(allocation_method) -%}
{{ allocation_method }} in ('{{ llm_spend.shared_cost_methods() | join("', '") }}')
{%- endmacro %}

{# The columns of a line, own usage or restatement, as they are kept when its month is closed. #}
{% macro chargeback_line_columns() %}
    {{ return([
        'billing_period', 'line_id', 'line_type', 'cost_center_id', 'team_id', 'provider', 'model_id', 'attempts',
        'quantity_tokens', 'exact_cost_usd', 'amount_usd', 'cost_basis', 'original_period', 'restatement_reason',
        'unpriced_tokens', 'unpriced_requests', 'has_unknown_share'
    ]) }}
{% endmacro %}

{# Own lines of months (int_chargeback_lines) as chargeback_line_columns(). #}
{% macro own_lines(relation) %}
    select
        {%- for column in llm_spend.chargeback_line_columns() %}
        {% if column == 'original_period' -%}
        billing_period as original_period
        {%- elif column == 'restatement_reason' -%}
        cast(null as {{ dbt.type_string() }}) as restatement_reason
        {%- else -%}
        {{ column }}
        {%- endif %}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
{% endmacro %}

{#
    What is known now of months that were published, and was not published yet: restatement lines, as
    chargeback_line_columns().

    published: the lines that stand (int_closed_chargeback_lines), of these months and of later ones; lines: int_chargeback_lines;
    booked_in: a relation with one row, the billing_period to book them in; NULL books nothing.

    A line has one of the parts of the difference, which add up to it exactly. What the same usage costs more or less at
    today's prices than at those of the closing is a price_correction. The rest is usage: a reattribution where the
    requests and tokens of the provider's month are still those that were published, or all of those of the model, with
    other owners; else late_data. What a bill adds to the usage is restated apart, by its allocation method: as a
    bill_correction where it changes what the provider's month costs, else for the reason for which the usage changed. A
    bill has no prices that could be corrected, and where it covers a day, nor has the usage (int_cost_lines). What is shared of
    other lines follows them, at today's prices: a shared_correction, whatever moved them.
    A part that is nothing has no line. Cents are shared as in a month: what the
    provider's month costs now, rounded once, less what was charged for it.
#}
{% macro restatement_lines(published, lines, booked_in) %}
    {%- set key_columns = ['provider', 'cost_center_id', 'team_id', 'model_id'] %}
    {%- set keys = key_columns | join(', ') %}
    {%- set is_price = "restatement_reason = 'price_correction'" %}
    {%- set is_share = llm_spend.is_shared('allocation_method') %}
    with published_lines as (
        select
            *,
            {{ llm_spend.allocation_method('line_id', 'line_type') | indent(12) }} as allocation_method,
            coalesce({{ is_price }}, false) as is_price
        from {{ published }}
    ),

    -- A month may have been closed with restatements of others only, or with nothing.
    published_periods as (
        select distinct billing_period as original_period
        from published_lines
    ),

    known_lines as (
        select
            lines.*,
            {{ llm_spend.allocation_method('lines.line_id', 'lines.line_type') | indent(12) }} as known_method
        from {{ lines }} as lines
        inner join published_periods on lines.billing_period = published_periods.original_period
    ),

    sides as (
        select
            billing_period as original_period,
            {{ keys }},
            known_method as allocation_method,
            attempts,
            quantity_tokens,
            exact_cost_usd as usage_usd,
            case
                when exact_cost_usd is not null or restated_cost_usd is not null
                    then coalesce(restated_cost_usd, 0) - coalesce(exact_cost_usd, 0)
            end as price_usd,
            restated_cost_usd,
            restated_unpriced_tokens as unpriced_tokens,
            restated_unpriced_requests as unpriced_requests,
            case when has_unknown_share then 1 else 0 end as unknown_shares,
            cost_basis
        from known_lines
        union all
        select
            published_lines.original_period,
            {{ llm_spend.columns_of('published_lines', key_columns) }},
            published_lines.allocation_method,
            -attempts as attempts,
            -quantity_tokens as quantity_tokens,
            case when not is_price then -exact_cost_usd end as usage_usd,
            case when is_price then -exact_cost_usd end as price_usd,
            cast(null as {{ llm_spend.type_money() }}) as restated_cost_usd,
            -unpriced_tokens as unpriced_tokens,
            -unpriced_requests as unpriced_requests,
            0 as unknown_shares,
            cost_basis
        from published_lines
        inner join published_periods on published_lines.original_period = published_periods.original_period
        where published_lines.line_id is not null
    ),

    differences as (
        select
            original_period,
            {{ keys }},
            allocation_method,
            sum(attempts) as attempts,
            sum(quantity_tokens) as quantity_tokens,
            -- Nothing is known at the prices of the closing, but all that is said at today's.
            case when sum(usage_usd) is null and sum(restated_cost_usd) is not null then 0 else sum(usage_usd) end
                as usage_usd,
            sum(price_usd) as price_usd,
            sum(unpriced_tokens) as unpriced_tokens,
            sum(unpriced_requests) as unpriced_requests,
            max(unknown_shares) as unknown_shares,
            case when min(cost_basis) <> max(cost_basis) then 'mixed' else min(cost_basis) end as cost_basis
        from sides
        group by original_period, {{ keys }}, allocation_method
    ),

    -- What the usage of a model and of its provider became, whoever owns it.
    reasoned as (
        select
            *,
            attempts <> 0 or quantity_tokens <> 0 or coalesce(usage_usd, 0) <> 0 as has_other_usage,
            sum(attempts) over (partition by original_period, provider, model_id) as model_attempts,
            sum(quantity_tokens) over (partition by original_period, provider, model_id) as model_tokens,
            sum(case when allocation_method = 'own_usage' then coalesce(usage_usd, 0) else 0 end)
                over (partition by original_period, provider, model_id) as model_usd,
            sum(case when {{ is_share }} then 0 else coalesce(usage_usd, 0) end)
                over (partition by original_period, provider) as provider_usd,
            sum(attempts) over (partition by original_period, provider) as provider_attempts,
            sum(quantity_tokens) over (partition by original_period, provider) as provider_tokens
        from differences
    ),

    parts as (
        select
            original_period,
            {{ keys }},
            allocation_method,
            case
                when {{ is_share }} then 'shared_correction'
                -- The bill gives way to what its usage costs by the price book; what is left is the bill's own.
                when allocation_method <> 'own_usage' and provider_usd <> 0 then 'bill_correction'
                when model_attempts = 0 and model_tokens = 0 and model_usd = 0 then 'reattribution'
                when provider_attempts = 0 and provider_tokens = 0 then 'reattribution'
                else 'late_data'
            end as restatement_reason,
            attempts,
            quantity_tokens,
            usage_usd as exact_cost_usd,
            unpriced_tokens,
            unpriced_requests,
            unknown_shares,
            cost_basis
        from reasoned
        where has_other_usage
        union all
        select
            original_period,
            {{ keys }},
            allocation_method,
            'price_correction' as restatement_reason,
            0 as attempts,
            0 as quantity_tokens,
            price_usd as exact_cost_usd,
            -- The line of the usage has them, where there is one.
            case when has_other_usage then 0 else unpriced_tokens end as unpriced_tokens,
            case when has_other_usage then 0 else unpriced_requests end as unpriced_requests,
            unknown_shares,
            cost_basis
        from reasoned
        where coalesce(price_usd, 0) <> 0 or (not has_other_usage and unpriced_requests <> 0)
    ),

    floored as (
        select
            *,
            {{ llm_spend.floor_to_cents('exact_cost_usd') }} as floor_cents,
            coalesce({{ llm_spend.cents_left('exact_cost_usd') }}, 0) as fraction_of_cent
        from parts
    ),

    costs_now as (
        select
            billing_period as original_period,
            provider,
            {{ llm_spend.round_to_cents('coalesce(sum(restated_cost_usd), 0)') }} as cents
        from known_lines
        group by billing_period, provider
        union all
        select
            original_period,
            provider,
            -{{ llm_spend.round_to_cents('coalesce(sum(amount_usd), 0)') }} as cents
        from published_lines
        group by original_period, provider
        union all
        select
            original_period,
            provider,
            -coalesce(sum(floor_cents), 0) as cents
        from floored
        group by original_period, provider
    ),

    provider_months as (
        select
            original_period,
            provider,
            sum(cents) as cents_to_share
        from costs_now
        group by original_period, provider
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by original_period, provider
                order by fraction_of_cent desc, cost_center_id, team_id, model_id, restatement_reason, allocation_method
            ) as share_rank
        from floored
    ),

    final as (
        select
            booked_in.billing_period,
            {{ llm_spend.chargeback_line_id(
                'booked_in.billing_period',
                ['ranked.provider', 'ranked.cost_center_id', 'ranked.team_id', 'ranked.model_id']
            ) | indent(12) }}
            || '|' || {{ llm_spend.date_text('ranked.original_period') }} || '|' || ranked.restatement_reason
            || case when ranked.allocation_method = 'own_usage' then '' else '|' || ranked.allocation_method end as line_id,
            'restatement' as line_type,
            ranked.cost_center_id,
            ranked.team_id,
            ranked.provider,
            ranked.model_id,
            cast(ranked.attempts as {{ dbt.type_bigint() }}) as attempts,
            cast(ranked.quantity_tokens as {{ dbt.type_bigint() }}) as quantity_tokens,
            cast(ranked.exact_cost_usd as {{ llm_spend.type_money() }}) as exact_cost_usd,
            {{ llm_spend.whole_cents_to_usd(
                'cast(ranked.floor_cents + case when ranked.share_rank <= provider_months.cents_to_share then 1 else 0 end as '
                ~ dbt.type_bigint() ~ ')'
            ) }} as amount_usd,
            ranked.cost_basis,
            ranked.original_period,
            ranked.restatement_reason,
            cast(ranked.unpriced_tokens as {{ dbt.type_bigint() }}) as unpriced_tokens,
            cast(ranked.unpriced_requests as {{ dbt.type_bigint() }}) as unpriced_requests,
            ranked.unknown_shares = 1 as has_unknown_share
        from ranked
        inner join provider_months
            on
                ranked.original_period = provider_months.original_period
                and ranked.provider = provider_months.provider
        cross join {{ booked_in }} as booked_in
        where booked_in.billing_period is not null
    )

    select {{ llm_spend.chargeback_line_columns() | join(', ') }} from final
{% endmacro %}
