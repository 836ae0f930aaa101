{#
    Fails when one of `columns` is ever NULL; the row that it returns has the number of NULLs of each column.
    by_date: the model is built by usage_date, and only dates that were built of late need a look.
#}
{% test never_null(model, columns, by_date=false) %}
with counted as (
    select
        {%- for column in columns %}
        count(*) - count({{ column }}) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ model }}
    {% if by_date %}where {{ llm_spend.recently_built() }}{% endif %}
)

select *
from counted
where {% for column in columns %}{{ column }} > 0{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
