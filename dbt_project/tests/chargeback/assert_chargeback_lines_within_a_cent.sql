-- Rounding moves a line by less than a cent, and a line without a known cost not at all.
{{ config(severity='error') }}

select
    line_id,
    exact_cost_usd,
    amount_usd
from {{ ref('llm_chargeback_lines') }}
where abs(amount_usd - exact_cost_usd) * 100 >= 1
    or (amount_usd is null) <> (exact_cost_usd is null)
