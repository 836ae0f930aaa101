-- An export of a bill replaced an older one of the same days and has less than half of its amount. It may hold a
-- part of the bill only (one service, what came since the last export): such exports need an instance each.
{{ config(severity='warn') }}

{% set bill = ['source_instance', 'profile', 'billing_account_id', 'sub_account_id', 'billing_period_start'] %}

with exports as (
    select * from {{ ref('int_focus_exports') }}
),

charges as (
    select
        {% for column in bill -%}
        charges.{{ column }},
        {% endfor -%}
        charges.export_path,
        charges.charge_date,
        sum(charges.billed_amount) as billed_amount
    from {{ ref('stg_provider__focus_costs') }} as charges
    inner join {{ ref('int_focus_files') }} as files
        on
            charges.source_instance = files.source_instance
            and charges.path = files.path
            and charges.load_id = files.load_id
    group by
        {% for column in bill -%}
        charges.{{ column }},
        {% endfor -%}
        charges.export_path,
        charges.charge_date
),

replacements as (
    select
        newer.*,
        older.export_path as older_export_path,
        greatest(older.covered_from, newer.covered_from) as both_from,
        least(older.covered_to, newer.covered_to) as both_to
    from exports as older
    inner join exports as newer
        on
            older.export_number + 1 = newer.export_number
            {%- for column in bill %}
            and older.{{ column }} = newer.{{ column }}
            {%- endfor %}
),

compared as (
    select
        replacements.source_instance,
        replacements.billing_account_id,
        replacements.sub_account_id,
        replacements.billing_period_start,
        replacements.older_export_path,
        replacements.export_path,
        sum(case when charges.export_path = replacements.older_export_path then charges.billed_amount else 0 end)
            as older_amount,
        sum(case when charges.export_path = replacements.export_path then charges.billed_amount else 0 end)
            as newer_amount
    from replacements
    inner join charges
        on
            replacements.both_from <= charges.charge_date
            and replacements.both_to > charges.charge_date
            {%- for column in bill %}
            and replacements.{{ column }} = charges.{{ column }}
            {%- endfor %}
            and charges.export_path in (replacements.older_export_path, replacements.export_path)
    group by
        replacements.source_instance,
        replacements.billing_account_id,
        replacements.sub_account_id,
        replacements.billing_period_start,
        replacements.older_export_path,
        replacements.export_path
)

select * from compared
where newer_amount * 2 < older_amount
