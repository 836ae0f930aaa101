{#
    The kinds of members that insights look at, each with the column of int_member_days_crossed that names the member;
    `total` is everybody, and has none.
#}
{% macro insight_members() %}
    {{ return({
        'total': none, 'team': 'team_id', 'feature': 'feature_id', 'customer': 'customer_id', 'model': 'model_id',
        'user': 'user_id', 'api_key': 'api_key_id'
    }) }}
{% endmacro %}

{# SQL condition: of a kind of member that is forecast; of each kind but the total the members add up to it. #}
{% macro is_forecast() %}member_type in ('total', 'team', 'feature', 'customer', 'model'){% endmacro %}
