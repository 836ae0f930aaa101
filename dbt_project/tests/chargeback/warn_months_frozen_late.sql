-- Closed months whose lines were kept long after the closing: they are what was known at that build. So it is after
-- int_closed_chargeback_lines was lost, or in another destination than the month was published from.
{{ config(severity='warn') }}

select
    kept.billing_period,
    kept.closed_at,
    min(kept.kept_at) as kept_at
from {{ ref('int_closed_chargeback_lines') }} as kept
inner join {{ ref('int_closed_periods') }} as closed_periods
    on kept.billing_period = closed_periods.billing_period and kept.closed_at = closed_periods.closed_at
group by kept.billing_period, kept.closed_at
having min(kept.kept_at) > cast({{ dbt.dateadd('day', 7, 'kept.closed_at') }} as {{ llm_spend.type_timestamp() }})
