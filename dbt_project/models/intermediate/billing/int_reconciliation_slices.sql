{% set buckets = llm_spend.token_buckets() %}
{% set dimensions = [
    'provider', 'provider_instance', 'usage_date', 'project_id', 'api_key_id', 'model', 'service_tier', 'region',
    'is_outside_gateway'
] %}
{% set gateway_amounts = [
    'gateway_usd', 'own_prices_usd', 'old_prices_usd', 'gateway_tier_usd', 'gateway_region_usd', 'logged_tier_usd',
    'logged_region_usd', 'gateway_base_usd'
] %}
{% set gateway_counts = ['attempts', 'unmeasured_attempts', 'unpriced_attempts'] %}
{% set usage_amounts = ['usage_usd', 'usage_standard_tier_usd', 'usage_base_usd'] %}
{% set usage_counts = ['usage_rows', 'usage_requests', 'unpriced_usage_rows', 'unpriced_usage_tokens'] %}
{% set cost_amounts = ['billed_usd', 'other_charges_usd', 'invoice_gap_usd'] %}
{% set cost_counts = [
    'bill_rows', 'cost_rows', 'cost_rows_without_key', 'cost_rows_without_project', 'cost_rows_without_rate',
    'open_cost_rows'
] %}
{% for bucket in buckets -%}
{% do gateway_counts.append('gateway_' ~ bucket.quantity) -%}
{% do usage_counts.append('usage_' ~ bucket.quantity) -%}
{% endfor -%}
{% set amounts = gateway_amounts + usage_amounts + cost_amounts %}
{% set counts = gateway_counts + usage_counts + cost_counts %}

with members as (
    select * from {{ ref('int_reconciliation_accounts') }}
),

estimates as (
    select * from {{ ref('int_reconciliation_estimates') }}
),

provider_accounts as (
    select * from {{ ref('stg_mapping__provider_accounts') }}
),

usage_facts as (
    select
        *,
        provider_usage.grouping as asked_for
    from {{ ref('fct_llm_provider_usage') }} as provider_usage
    where is_of_record
),

cost_facts as (
    select
        *,
        provider_costs.grouping as asked_for,
        charge_category = 'Usage' and origin not in ('invoice_difference', 'seat') as is_usage,
        charge_category = 'Usage' and origin = 'invoice_difference' as is_invoice_gap,
        cast(bucket_start as date) as first_date,
        cast({{ minutes_before('bucket_end', 1) }} as date) as last_date
    from {{ ref('fct_llm_provider_costs') }} as provider_costs
    where is_of_record
),

gateway_side as (
    select
        estimates.channel as provider,
        members.provider_instance,
        estimates.usage_date,
        '(none)' as project_id,
        '(none)' as api_key_id,
        estimates.model,
        estimates.service_tier,
        estimates.region,
        false as is_outside_gateway,
        {% for measure in gateway_amounts -%}
        estimates.{{ measure }},
        {% endfor -%}
        estimates.attempts,
        estimates.unmeasured_attempts,
        estimates.unpriced_attempts,
        {% for bucket in buckets -%}
        estimates.{{ bucket.quantity }} as gateway_{{ bucket.quantity }},
        {% endfor -%}
        {{ zeros(usage_amounts + usage_counts + cost_amounts + cost_counts) }}
    from estimates
    inner join members
        on
            members.member_kind = 'gateway'
            and estimates.channel = members.provider
            and estimates.source_system = members.source_system
            and estimates.source_instance = members.source_instance
),

callers as (
    {% for relation, date_column in [('usage_facts', 'usage_date'), ('cost_facts', 'cost_date')] -%}
    select
        provider,
        source_instance,
        {{ date_column }} as usage_date,
        {{ month_start(date_column) }} as billing_period,
        coalesce(project_id, '(none)') as project_id,
        coalesce(api_key_id, '(none)') as api_key_id,
        asked_for
    from {{ relation }}
    {{ llm_spend.union_distinct() if not loop.last }}
    {% endfor -%}
),

-- By which of its dimensions an account tells the keys of gateways from others; only months of which something is said.
mapped_accounts as (
    select
        accounts.provider,
        accounts.source_instance,
        accounts.billing_period,
        max(case when provider_accounts.api_key_id is not null then 1 else 0 end) = 1 as is_by_key,
        max(case
            when provider_accounts.api_key_id is null and provider_accounts.project_id is not null then 1
            else 0
        end) = 1 as is_by_project
    from (select distinct provider, source_instance, billing_period from callers) as accounts
    inner join provider_accounts
        on
            accounts.provider = provider_accounts.provider
            -- An invoice may be of any account.
            and accounts.source_instance in (
                '', coalesce(provider_accounts.provider_instance, accounts.source_instance)
            )
            and {{ llm_spend.month_after('accounts.billing_period') }} > provider_accounts.valid_from
            and accounts.billing_period < provider_accounts.valid_to
    group by accounts.provider, accounts.source_instance, accounts.billing_period
),

-- NULL: the account has its keys told apart, but these rows do not say by which key it was.
judged_callers as (
    select
        callers.provider,
        callers.source_instance,
        callers.usage_date,
        callers.project_id,
        callers.api_key_id,
        callers.asked_for,
        case
            when mapped_accounts.provider is null then false
            when
                (
                    mapped_accounts.is_by_key
                    and callers.api_key_id = '(none)'
                    and not {{ names_dimension('callers.asked_for', 'api_key_id') }}
                )
                or (
                    mapped_accounts.is_by_project
                    and callers.project_id = '(none)'
                    and not {{ names_dimension('callers.asked_for', 'project_id') }}
                )
                then null
            else max(case when provider_accounts.provider is null then 0 else 1 end) = 0
        end as is_outside_gateway
    from callers
    left join mapped_accounts
        on
            callers.provider = mapped_accounts.provider
            and callers.source_instance = mapped_accounts.source_instance
            and callers.billing_period = mapped_accounts.billing_period
    left join provider_accounts
        on
            callers.provider = provider_accounts.provider
            and callers.source_instance in ('', coalesce(provider_accounts.provider_instance, callers.source_instance))
            and callers.api_key_id = coalesce(provider_accounts.api_key_id, callers.api_key_id)
            and callers.project_id
            = case
                when provider_accounts.api_key_id is not null then callers.project_id
                else coalesce(provider_accounts.project_id, callers.project_id)
            end
            and callers.usage_date >= provider_accounts.valid_from
            and callers.usage_date < provider_accounts.valid_to
    group by
        callers.provider,
        callers.source_instance,
        callers.usage_date,
        callers.project_id,
        callers.api_key_id,
        callers.asked_for,
        mapped_accounts.provider,
        mapped_accounts.is_by_key,
        mapped_accounts.is_by_project
),

usage_side as (
    select
        facts.provider,
        members.provider_instance,
        facts.usage_date,
        coalesce(facts.project_id, '(none)') as project_id,
        coalesce(facts.api_key_id, '(none)') as api_key_id,
        coalesce(facts.model_id, lower(facts.resolved_model), '(none)') as model,
        case when facts.is_batch then 'batch' else {{ tier_name('facts.service_tier') }} end as service_tier,
        coalesce(lower(facts.region), '(none)') as region,
        judged_callers.is_outside_gateway,
        {{ zeros(gateway_amounts + gateway_counts) }},
        coalesce(facts.contract_cost_usd, 0) as usage_usd,
        coalesce(facts.standard_tier_usd, facts.contract_cost_usd, 0) as usage_standard_tier_usd,
        coalesce(facts.base_usd, facts.contract_cost_usd, 0) as usage_base_usd,
        1 as usage_rows,
        coalesce(facts.requests, 0) as usage_requests,
        case when facts.contract_cost_usd is null then 1 else 0 end as unpriced_usage_rows,
        case when facts.contract_cost_usd is null then coalesce(facts.total_tokens, 0) else 0 end
            as unpriced_usage_tokens,
        {% for bucket in buckets -%}
        case when facts.contract_cost_usd is null then 0 else coalesce(facts.{{ bucket.quantity }}, 0) end
            as usage_{{ bucket.quantity }},
        {% endfor -%}
        {{ zeros(cost_amounts + cost_counts) }}
    from usage_facts as facts
    inner join members
        on
            members.member_kind = 'account'
            and facts.provider = members.provider
            and facts.source_instance = members.source_instance
    inner join judged_callers
        on
            facts.provider = judged_callers.provider
            and facts.source_instance = judged_callers.source_instance
            and facts.usage_date = judged_callers.usage_date
            and coalesce(facts.project_id, '(none)') = judged_callers.project_id
            and coalesce(facts.api_key_id, '(none)') = judged_callers.api_key_id
            and facts.asked_for = judged_callers.asked_for
),

cost_side as (
    select
        facts.provider,
        members.provider_instance,
        facts.cost_date as usage_date,
        coalesce(facts.project_id, '(none)') as project_id,
        coalesce(facts.api_key_id, '(none)') as api_key_id,
        coalesce(facts.model_id, lower(facts.resolved_model), '(none)') as model,
        {{ tier_name('facts.service_tier') }} as service_tier,
        coalesce(lower(facts.region), '(none)') as region,
        judged_callers.is_outside_gateway,
        {{ zeros(gateway_amounts + gateway_counts + usage_amounts + usage_counts) }},
        case when facts.is_usage then coalesce(facts.billed_usd, 0) else 0 end as billed_usd,
        case when facts.is_usage or facts.is_invoice_gap then 0 else coalesce(facts.billed_usd, 0) end
            as other_charges_usd,
        case when facts.is_invoice_gap then coalesce(facts.billed_usd, 0) else 0 end as invoice_gap_usd,
        1 as bill_rows,
        case when facts.is_usage then 1 else 0 end as cost_rows,
        {% for dimension, name in [('api_key_id', 'key'), ('project_id', 'project')] -%}
        case
            when not facts.is_usage or facts.{{ dimension }} is not null then 0
            when {{ names_dimension('facts.asked_for', dimension) }} then 0
            else 1
        end as cost_rows_without_{{ name }},
        {% endfor -%}
        case when facts.billed_usd is null then 1 else 0 end as cost_rows_without_rate,
        case when facts.is_usage and not facts.is_final then 1 else 0 end as open_cost_rows
    from cost_facts as facts
    inner join members
        on
            members.member_kind = 'account'
            and facts.provider = members.provider
            and facts.source_instance = members.source_instance
    inner join judged_callers
        on
            facts.provider = judged_callers.provider
            and facts.source_instance = judged_callers.source_instance
            and facts.cost_date = judged_callers.usage_date
            and coalesce(facts.project_id, '(none)') = judged_callers.project_id
            and coalesce(facts.api_key_id, '(none)') = judged_callers.api_key_id
            and facts.asked_for = judged_callers.asked_for
),

sides as (
    {% for side in ['gateway_side', 'usage_side', 'cost_side'] -%}
    select
        {{ (dimensions + amounts + counts) | join(',\n        ') }}
    from {{ side }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- A bill whose lines are of more than a day can be compared by the month only.
months_as_one as (
    select
        members.provider,
        members.provider_instance,
        {{ month_start('cost_facts.cost_date') }} as billing_period
    from cost_facts
    inner join members
        on
            members.member_kind = 'account'
            and cost_facts.provider = members.provider
            and cost_facts.source_instance = members.source_instance
    where cost_facts.is_usage and (cost_facts.first_date <> cost_facts.last_date or cost_facts.origin = 'invoice')
    group by members.provider, members.provider_instance, {{ month_start('cost_facts.cost_date') }}
),

dated as (
    select
        {% for dimension in dimensions -%}
        {% if dimension == 'usage_date' -%}
        coalesce(months_as_one.billing_period, sides.usage_date) as usage_date,
        {% else -%}
        sides.{{ dimension }},
        {% endif -%}
        {% endfor -%}
        {% for measure in amounts + counts -%}
        sides.{{ measure }},
        {% endfor -%}
        {{ month_start('sides.usage_date') }} as billing_period,
        months_as_one.billing_period is not null as is_whole_month
    from sides
    left join months_as_one
        on
            sides.provider = months_as_one.provider
            and sides.provider_instance = months_as_one.provider_instance
            and {{ month_start('sides.usage_date') }} = months_as_one.billing_period
),

final as (
    select
        billing_period,
        {{ dimensions | join(',\n        ') }},
        {% for amount in amounts -%}
        cast(sum({{ amount }}) as {{ type_money() }}) as {{ amount }},
        {% endfor -%}
        {% for count in counts -%}
        cast(sum({{ count }}) as {{ dbt.type_bigint() }}) as {{ count }},
        {% endfor -%}
        is_whole_month
    from dated
    group by billing_period, {{ dimensions | join(', ') }}, is_whole_month
)

select * from final
