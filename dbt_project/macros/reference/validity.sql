{#
    A seed of dated facts as ranges that can't overlap: [valid_from, valid_to) by key, dates. A row ends where the
    next one of its key begins, so an as-of join finds one row at most and no request is counted twice.

    relation: a seed whose columns are all text; key: its key columns; columns: the others to keep.
#}
{% macro validity_ranges(relation, key, columns) %}
    with typed as (
        select
            {% for column in key %}trim({{ column }}) as {{ column }},{% endfor %}
            {% for column in columns %}nullif(trim({{ column }}), '') as {{ column }},{% endfor %}
            coalesce(cast(nullif(trim(valid_from), '') as date), cast('1900-01-01' as date)) as valid_from,
            coalesce(cast(nullif(trim(valid_to), '') as date), cast('9999-12-31' as date)) as stated_valid_to
        from {{ relation }}
    ),

    -- Of rows that begin on the same day only one can hold.
    numbered as (
        select
            *,
            row_number() over (
                partition by {{ key | join(', ') }}, valid_from
                order by {% for column in columns %}coalesce({{ column }}, ''), {% endfor %}stated_valid_to
            ) as copy_number
        from typed
    ),

    ordered as (
        select
            *,
            lead(valid_from) over (partition by {{ key | join(', ') }} order by valid_from) as next_valid_from
        from numbered
        where copy_number = 1
    ),

    final as (
        select
            {{ (key + columns) | join(', ') }},
            valid_from,
            case when next_valid_from < stated_valid_to then next_valid_from else stated_valid_to end as valid_to
        from ordered
    )

    select * from final
{% endmacro %}
