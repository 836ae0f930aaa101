{#
    The slices of usage that a bill may be spread over, from the finest to the coarsest: allocation method -> its span of time
    (`day` or `month`), and whether it is of one model, and of one class of tokens.
#}
{% macro bill_slices() %}
    {{ return({
        'bill_by_day_model_and_class': {'span': 'day', 'has_model': true, 'has_class': true},
        'bill_by_day_and_model': {'span': 'day', 'has_model': true, 'has_class': false},
        'bill_by_day': {'span': 'day', 'has_model': false, 'has_class': false},
        'bill_by_month_model_and_class': {'span': 'month', 'has_model': true, 'has_class': true},
        'bill_by_month_and_model': {'span': 'month', 'has_model': true, 'has_class': false},
        'bill_by_month': {'span': 'month', 'has_model': false, 'has_class': false}
    }) }}
{% endmacro %}

{# What names a slice; slice_model and slice_class are empty for all of them. #}
{% macro bill_slice_columns() %}
    {{ return(['allocation_method', 'billing_period', 'billed_by', 'pool', 'slice_date', 'slice_model', 'slice_class']) }}
{% endmacro %}

{# Whose usage it is: who pays a part of what the slice is billed. #}
{% macro bill_slice_owner() %}
    {{ return(['provider', 'cost_center_id', 'team_id', 'model_id']) }}
{% endmacro %}
