{# What a breach says of its window: columns that every relation of windows or breaches has. #}
{% macro quota_breach_columns() %}
    {{ return([
        'rule_set', 'rule_id', 'subject_type', 'subject', 'unit', 'enforcement', 'limit_to', 'window_start', 'window_end'
    ]) }}
{% endmacro %}
