{% set line_types = ['direct', 'shared', 'unallocated', 'true_up', 'commitment', 'credit', 'restatement'] %}

with lines as (
    select * from {{ ref('llm_chargeback_lines') }}
),

statements as (
    select
        billing_period,
        cost_center_id,
        team_id,
        -- No line of a type is a known 0; lines whose cost is not known are NULL.
        {% for line_type in line_types -%}
        case
            when sum(case when line_type = '{{ line_type }}' then 1 else 0 end) = 0 then 0
            else sum(case when line_type = '{{ line_type }}' then amount_usd end)
        end as {{ line_type }}_usd,
        {% endfor -%}
        coalesce(
            sum(case when line_type = 'commitment' and allocation_method = 'unused_commitment' then amount_usd end), 0
        ) as unused_commitment_usd,
        sum(amount_usd) as total_usd,
        cast(sum(quantity_tokens) as bigint) as quantity_tokens,
        -- A closed month's usage that has a price by now makes what is unknown in this one no less.
        cast(sum(greatest(unpriced_tokens, 0)) as bigint) as unpriced_tokens,
        cast(sum(greatest(unpriced_requests, 0)) as bigint) as unpriced_requests,
        max(case when has_unknown_share then 1 else 0 end) = 1 as has_unknown_share,
        max(case when is_closed then 1 else 0 end) = 1 as is_closed
    from lines
    group by billing_period, cost_center_id, team_id
),

bills as (
    select
        billing_period,
        {{ llm_spend.round_to_cents('sum(amount_usd)') }} as bill_cents
    from lines
    group by billing_period
),

final as (
    select
        statements.billing_period,
        statements.cost_center_id,
        statements.team_id,
        {% for line_type in line_types -%}
        cast(statements.{{ line_type }}_usd as {{ llm_spend.type_decimal(38, 2) }}) as {{ line_type }}_usd,
        {% endfor -%}
        cast(statements.unused_commitment_usd as {{ llm_spend.type_decimal(38, 2) }}) as unused_commitment_usd,
        cast(statements.total_usd as {{ llm_spend.type_decimal(38, 2) }}) as total_usd,
        {{ llm_spend.whole_ratio(llm_spend.round_to_cents('statements.total_usd'), 'bills.bill_cents') }}
            as share_of_bill,
        'USD' as currency,
        statements.quantity_tokens,
        statements.unpriced_tokens,
        statements.unpriced_requests,
        statements.unpriced_requests > 0 as has_unpriced_usage,
        statements.has_unknown_share,
        statements.is_closed
    from statements
    inner join bills
        on statements.billing_period = bills.billing_period
)

select * from final
