{#
    SQL condition: the cost of nearly all tokens is known; of those without a price there are no more than a tenth of those
    with one. `of`: a relation, or a prefix, with the columns priced_tokens and unpriced_tokens.
#}
{% macro is_nearly_all_priced(of) %}{{ of }}unpriced_tokens * 10 <= {{ of }}priced_tokens{% endmacro %}

{# What a kind of anomaly compares: a ratio, or USD per million tokens. `days`: a relation like int_member_days. #}
{% macro rate_of(kind, days) -%}
case {{ kind }}
    when 'error_rate' then {{ llm_spend.whole_ratio(days ~ '.failed_attempts', days ~ '.attempts') }}
    when 'cache_miss_rate'
        then {{ llm_spend.whole_ratio(days ~ '.input_tokens - ' ~ days ~ '.cache_read_tokens', days ~ '.input_tokens') }}
    else {{ llm_spend.whole_ratio(llm_spend.millionths(days ~ '.cost_usd'), days ~ '.priced_tokens') }}
end
{%- endmacro %}
