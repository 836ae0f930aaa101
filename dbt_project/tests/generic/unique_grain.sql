{# Fails with one row per combination of `columns` that occurs more than once. NULLs count as equal. #}
{% test unique_grain(model, columns) %}
select
    {{ columns | join(',\n    ') }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
