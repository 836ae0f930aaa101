{#
    SQL condition of a join: a gateway of the pool may have made the calls that a charge is for. charges: int_bill_charges;
    pools: int_bill_pools. A gateway that did not call with the key yet, or no longer, has no part in what the key is billed
    then.
#}
{% macro is_called_by(charges, pools) -%}
{{ charges }}.billing_period = {{ pools }}.billing_period
and {{ charges }}.provider = {{ pools }}.provider
and {{ charges }}.account = {{ pools }}.account
and {{ charges }}.caller = {{ pools }}.caller
and {{ charges }}.covers_to > {{ pools }}.valid_from
and {{ charges }}.covers_from < {{ pools }}.valid_to
{%- endmacro %}
