{#
    Fails with one row per pair of rows of the same `key` whose dates [valid_from, valid_to), input thresholds
    (input_tokens_gt, input_tokens_lte] and slots of the week all overlap: a request would find two prices.
#}
{% test no_overlapping_prices(model, key) %}
with numbered as (
    select
        *,
        row_number() over (
            order by
                {{ key | join(', ') }}, valid_from, input_tokens_gt, minute_from, weekdays, valid_to, input_tokens_lte
        ) as row_no
    from {{ model }}
)

select
    {% for column in key %}a.{{ column }},{% endfor %}
    a.valid_from,
    b.valid_from as other_valid_from,
    a.input_tokens_gt,
    b.input_tokens_gt as other_input_tokens_gt,
    a.minute_from,
    b.minute_from as other_minute_from,
    a.weekdays,
    b.weekdays as other_weekdays
from numbered as a
inner join numbered as b
    on
        a.row_no < b.row_no
        {% for column in key %}and a.{{ column }} = b.{{ column }} {% endfor %}
        and a.valid_from < b.valid_to
        and b.valid_from < a.valid_to
        and a.input_tokens_gt < b.input_tokens_lte
        and b.input_tokens_gt < a.input_tokens_lte
        and a.minute_from < b.minute_to
        and b.minute_from < a.minute_to
        and (
            {% for day in range(1, 8) %}
            ({{ dbt.position("'" ~ day ~ "'", "a.weekdays") }} > 0 and {{ dbt.position("'" ~ day ~ "'", "b.weekdays") }} > 0)
            {{ 'or' if not loop.last }}
            {% endfor %}
        )
{% endtest %}
