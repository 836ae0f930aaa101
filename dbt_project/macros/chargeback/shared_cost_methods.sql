{#
    By what a shared cost is shared: method -> the weight of one who shares it, a whole number, in SQL. A share of usage is
    of all that the month's statement has; costs are weighed in millionths of a USD, begun ones too.
#}
{% macro shared_cost_methods() %}
    {{ return({
        'proportional_by_cost': 'ceil(greatest(usage_of_teams.cost_usd, 0) * 1000000)',
        'proportional_by_tokens': 'usage_of_teams.tokens',
        'proportional_by_requests': 'usage_of_teams.attempts',
        'headcount': 'headcounts.people',
        'even': '1',
        'fixed_weights': 'ceil(sharers.weight * 1000000)'
    }) }}
{% endmacro %}
