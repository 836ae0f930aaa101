{# What a kind of anomaly compares: a ratio, or USD per million tokens. `days`: a relation like int_member_days. #}
{% macro rate_of(kind, days) -%}
case {{ kind }}
    when 'error_rate' then {{ llm_spend.whole_ratio(days ~ '.failed_attempts', days ~ '.attempts') }}
    when 'cache_miss_rate'
        then {{ llm_spend.whole_ratio(days ~ '.input_tokens - ' ~ days ~ '.cache_read_tokens', days ~ '.input_tokens') }}
    else {{ llm_spend.whole_ratio(llm_spend.millionths(days ~ '.cost_usd'), days ~ '.priced_tokens') }}
end
{%- endmacro %}
