with days as (
    select * from {{ ref('int_requests_daily') }}
    where unpriced_requests > 0 and is_of_record
),

models as (
    select
        source_system,
        provider,
        channel,
        resolved_model,
        model_id,
        price_status,
        cast(sum(unpriced_requests) as {{ dbt.type_bigint() }}) as unpriced_requests,
        cast(sum(unpriced_tokens) as {{ dbt.type_bigint() }}) as unpriced_tokens,
        sum(unpriced_output_tokens) > 0 as has_output,
        cast(sum(unpriced_gateway_usd) as {{ type_money() }}) as gateway_reported_usd,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from days
    group by source_system, provider, channel, resolved_model, model_id, price_status
),

remedies as (
    select
        *,
        case
            when price_status <> 'unpriced' then null
            when channel is null and provider is not null then 'mapping/provider_names.csv'
            -- Clouds call models by names of their customers: what the name stands for has its price already.
            when model_id is null and channel in ('azure', 'aws') then 'mapping/model_deployments.csv'
            else 'prices/price_overrides.csv'
        end as seed_file
    from models
),

final as (
    select
        source_system,
        coalesce(provider, '(unknown)') as provider,
        coalesce(channel, '(unknown)') as channel,
        coalesce(resolved_model, '(unknown)') as resolved_model,
        coalesce(model_id, '(unresolved)') as model_id,
        price_status,
        unpriced_requests,
        unpriced_tokens,
        gateway_reported_usd,
        first_seen_at,
        last_seen_at,
        seed_file,
        case seed_file
            when 'mapping/provider_names.csv'
                then {{ csv_line(['source_system', 'provider', "'FILL_IN'", "'FILL_IN'"]) }}
            when 'mapping/model_deployments.csv'
                then {{ csv_line(['channel', 'resolved_model', "'FILL_IN'", "''", "''"]) }}
            when 'prices/price_overrides.csv'
                then case
                    when model_id is not null then {{ override_line('model_id', "'FILL_IN'", "'FILL_IN'") }}
                    when not has_output then {{ override_line('resolved_model', "'input_tokens'", "'1000000'") }}
                    else {{ dbt.concat([
                        override_line('resolved_model', "'input_tokens'", "'1000000'"),
                        'chr(10)',
                        override_line('resolved_model', "'output_tokens'", "'1000000'")
                    ]) }}
                end
        end as seed_line
    from remedies
)

select * from final
