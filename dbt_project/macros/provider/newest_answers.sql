{#
    Rows of usage or of bills of which several answers were loaded: only those of the newest, each with row_key, the
    number of its occurrence, asked_at and origin (`api` or `file`).

    relation: staged rows. key: SQL of what names a row, without its occurrence. order: columns that tell rows with the
    same key apart, so that they get the same occurrence in every build.

    Windows that were asked for again are out of int_provider_loads. Two files may still say the same of one bucket: the one
    loaded last counts, with all its rows of that key; equal rows within it are several lines.
#}
{% macro newest_answers(relation, key, order) %}
    with answers as (
        select
            staged.*,
            loads.asked_at,
            case when loads.is_window then 'api' else 'file' end as origin
        from {{ relation }} as staged
        inner join {{ ref('int_provider_loads') }} as loads
            on staged.load_id = loads.load_id and (loads.is_window or staged.path = loads.path)
    ),

    keyed as (
        select
            *,
            {{ key }} as row_key
        from answers
    ),

    ranked as (
        select
            *,
            dense_rank() over (
                partition by row_key
                order by load_id desc, asked_at desc, path desc
            ) as answer_rank,
            row_number() over (
                partition by row_key, load_id, path
                order by stated_occurrence, {{ order | join(', ') }}
            ) - 1 as occurrence
        from keyed
    )

    select * from ranked
    where answer_rank = 1
{% endmacro %}
