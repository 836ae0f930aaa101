{# The caller that stands for a bill of several days that names neither project nor key: it is of all gateways of the account. #}
{% macro whole_account() %}'(account)'{% endmacro %}
