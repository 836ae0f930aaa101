-- Visits of skippers, which Harbour counts itself, as llm_spend reads business events.
select
    cast('2026-08-20' as date) as event_date,
    'sessions' as event_type,
    'berths' as feature_id,
    cast(null as varchar) as customer_id,
    70 as quantity,
    cast(null as varchar) as currency,
    cast(null as decimal(18, 12)) as usd_per_unit,
    'day' as covers
