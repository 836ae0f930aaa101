-- An anomaly is outside of its band, of the severity that its amount says, and told with one that is there.
{{ config(severity='error') }}

{% set shares = var('llm_spend_anomaly_shares') %}

with anomalies as (
    select * from {{ ref('llm_usage_anomalies') }}
),

final as (
    select
        anomalies.usage_date,
        anomalies.kind,
        anomalies.member_type,
        anomalies.member_id
    from anomalies
    left join anomalies as wider
        on
            anomalies.usage_date = wider.usage_date
            and anomalies.kind = wider.kind
            and anomalies.part_of_member_type = wider.member_type
            and anomalies.part_of_member_id = wider.member_id
    where
        (anomalies.kind not in ('new_model', 'new_api_key') and anomalies.upper is null)
        or (anomalies.observed between anomalies.lower and anomalies.upper)
        or anomalies.severity_usd < 0
        or anomalies.severity <> case
            when anomalies.severity_usd is null then 'medium'
            when anomalies.severity_usd >= anomalies.usual_usd * {{ exact(shares['high']) }} then 'high'
            when anomalies.severity_usd >= anomalies.usual_usd * {{ exact(shares['medium']) }} then 'medium'
            else 'low'
        end
        or anomalies.started_on > anomalies.usage_date
        or (anomalies.part_of_member_id is not null and wider.usage_date is null)
)

select * from final
