-- Lines of a bill that could not be read, of versions of a file or answers of an API that count: the bill of these days
-- is not whole. One without a currency is one of them, since none is ever assumed. Correct the file and load it again.
{{ config(severity='error') }}

with quarantine as (
    select * from {{ ref('stg_loads__quarantine') }}
    where table_name in ('provider__costs', 'provider__usage', 'provider__focus')
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
