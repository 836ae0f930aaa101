-- Months that were opened again although a later closed one has booked restatements of them: these would count twice. Open
-- the later ones first (`llm-spend close --reopen`), or close the month again.
{{ config(severity='error') }}

select
    original_period,
    billing_period as restated_in,
    sum(amount_usd) as amount_usd
from {{ ref('llm_chargeback_lines') }}
where
    line_type = 'restatement'
    and original_period not in (select billing_period from {{ ref('int_closed_periods') }})
group by original_period, billing_period
