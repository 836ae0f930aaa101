{% set columns = [
    'limit_name', 'limit_kind', 'scope_type', 'scope', 'counter_keys', 'measure', 'limit_value', 'limit_unit',
    'window_unit', 'window_length', 'window_anchor', 'enforcement', 'evaluation', 'rule_order', 'alert_thresholds', 'status'
] %}
{% set text = dbt.type_string() %}

-- next_reset_at moves with every period, and is no change of the limit.
with limits as (
    select
        *,
        false as is_deleted,
        {{ state_text([
            'limit_name', 'limit_kind', 'scope_type', document_text('scope'), document_text('counter_keys'), 'measure',
            'cast(limit_value as ' ~ text ~ ')', 'limit_unit', 'window_unit', 'cast(window_length as ' ~ text ~ ')',
            'window_anchor', 'enforcement', 'evaluation', 'cast(rule_order as ' ~ text ~ ')',
            document_text('alert_thresholds'), 'status'
        ]) }} as state_text
    from {{ ref('stg_gateway__limits') }}
),

versions as (
    {{ listed_versions('limits', ['limit_id'], columns) }}
),

final as (
    select
        source_system,
        source_instance,
        limit_id,
        {{ columns | join(',\n        ') }},
        valid_from,
        next_valid_from as valid_to,
        next_valid_from is null as is_current
    from versions
    where not is_deleted
)

select * from final
