{#
    Fails with one row per combination of `columns` that occurs more than once. NULLs count as equal.
    by_date: the model is built by usage_date, and only dates that were built of late need a look.
#}
{% test unique_grain(model, columns, by_date=false) %}
select
    {{ columns | join(',\n    ') }},
    count(*) as row_count
from {{ model }}
{% if by_date %}where {{ llm_spend.recently_built() }}{% endif %}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
