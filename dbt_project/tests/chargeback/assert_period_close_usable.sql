-- Lines of the ledger that a merge or an editor left behind. Of two closings remove the one that no build has seen; the
-- build stops here, before anything is kept for it.
{{ config(severity='error') }}

with entries as (
    select
        billing_period,
        closed_at,
        action,
        lag(action) over (partition by billing_period order by closed_at, closing) as action_before
    from {{ ref('stg_rules__period_close') }}
),

final as (
    select
        billing_period,
        closed_at,
        'It is closed already, and was not opened again: remove one line from seeds/rules/period_close.csv.' as problem
    from entries
    where action = 'close' and action_before = 'close'

    union all

    select
        billing_period,
        closed_at,
        'billing_period in seeds/rules/period_close.csv is not the first day of a month.' as problem
    from entries
    where billing_period <> {{ llm_spend.month_start('billing_period') }}

    union all

    select
        billing_period,
        closed_at,
        'time_zone in seeds/rules/period_close.csv is no name such as Europe/Berlin.' as problem
    from {{ ref('stg_rules__period_close') }}
    where not {{ llm_spend.regex_found('time_zone', "'^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$'") }}
)

select * from final
