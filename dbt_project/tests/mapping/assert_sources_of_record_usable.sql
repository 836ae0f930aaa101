-- Rules that could not take effect, or two of which only chance says which wins, would leave calls counted twice or not at all.
{{ config(severity='error') }}

with rules as (
    select * from {{ ref('stg_mapping__sources_of_record') }}
),

final as (
    select
        rule_order,
        'rule_order is no whole number, or stands twice, in seeds/mapping/sources_of_record.csv.' as problem
    from rules
    group by rule_order
    having rule_order is null or count(*) > 1

    union all

    select
        rule_order,
        'is_of_record is neither true nor false in seeds/mapping/sources_of_record.csv.' as problem
    from rules
    where is_of_record is null

    union all

    select
        rule_order,
        'valid_to is not after valid_from in seeds/mapping/sources_of_record.csv: the rule never holds.' as problem
    from rules
    where valid_to <= valid_from
)

select * from final
