-- Lines of a bill that could not be read, of versions of a file or answers of an API that count: the bill of these days
-- is not whole. One without a currency is one of them, since none is ever assumed. Correct the file and load it again;
-- with all other parts of its export, if it has several. An export that newer ones replaced altogether may stay.
{{ config(severity='error') }}

{% set bill = ['source_instance', 'profile', 'billing_account_id', 'sub_account_id', 'billing_period_start'] %}

with quarantine as (
    select * from {{ ref('stg_loads__quarantine') }}
    where table_name in ('provider__costs', 'provider__usage', 'provider__focus')
),

exports as (
    select * from {{ ref('int_focus_exports') }}
),

replaced as (
    select
        exports.source_instance,
        exports.export_path
    from exports
    left join exports as newer
        on
            exports.export_number < newer.export_number
            and exports.covered_from >= newer.covered_from
            and exports.covered_to <= newer.covered_to
            {%- for column in bill %}
            and exports.{{ column }} = newer.{{ column }}
            {%- endfor %}
    group by exports.source_instance, exports.export_path
    having count(*) = count(newer.export_number)
),

replaced_files as (
    select
        files.source_instance,
        files.path
    from {{ ref('int_focus_files') }} as files
    inner join replaced
        on files.source_instance = replaced.source_instance and files.export_path = replaced.export_path
)

select
    quarantine.source,
    quarantine.source_instance,
    quarantine.file,
    quarantine.line,
    quarantine.reason
from quarantine
inner join {{ ref('int_provider_loads') }} as loads
    on quarantine.load_id = loads.load_id and (loads.is_window or quarantine.file = loads.path)
left join replaced_files
    on
        quarantine.table_name = 'provider__focus'
        and quarantine.source_instance = replaced_files.source_instance
        and quarantine.file = replaced_files.path
where replaced_files.path is null
