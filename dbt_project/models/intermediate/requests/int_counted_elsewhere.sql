with rules as (
    select * from {{ ref('stg_mapping__sources_of_record') }}
),

-- What was logged, a row a date and name: rules are matched to these few, not to single requests.
names_of_dates as (
    select distinct
        source_system,
        source_instance,
        usage_date,
        raw_provider,
        raw_model
    from {{ ref('int_load_contents') }}
    where
        usage_date is not null
        and exists (select 1 from rules)
),

resolution as (
    select * from {{ ref('int_model_resolution') }}
),

-- A name that changes its meaning within a day has for this purpose the meaning of the first hour.
named as (
    select
        names_of_dates.*,
        coalesce(resolution.provider, lower(names_of_dates.raw_provider), '') as provider,
        coalesce(resolution.channel, '') as channel,
        coalesce(lower(resolution.model_id), '') as model_id
    from names_of_dates
    left join resolution
        on
            names_of_dates.source_system = resolution.source_system
            and coalesce(names_of_dates.raw_provider, '') = coalesce(resolution.raw_provider, '')
            and coalesce(names_of_dates.raw_model, '') = coalesce(resolution.raw_model, '')
            and cast(names_of_dates.usage_date as {{ llm_spend.type_timestamp() }}) >= resolution.valid_from
            and cast(names_of_dates.usage_date as {{ llm_spend.type_timestamp() }}) < resolution.valid_to
),

ranked as (
    select
        named.*,
        rules.is_of_record,
        row_number() over (
            partition by
                named.source_system, named.source_instance, named.usage_date, named.raw_provider, named.raw_model
            order by rules.rule_order
        ) as choice
    from named
    inner join rules
        on
            rules.source_system in ('*', lower(named.source_system))
            and rules.source_instance in ('*', named.source_instance)
            and rules.provider in ('*', lower(named.provider), lower(named.channel))
            and named.usage_date >= rules.valid_from
            and named.usage_date < rules.valid_to
    where
        {{ llm_spend.matches_pattern("lower(coalesce(named.raw_model, ''))", 'rules.model_pattern') }}
        or {{ llm_spend.matches_pattern('named.model_id', 'rules.model_pattern') }}
),

final as (
    select
        source_system,
        source_instance,
        usage_date,
        coalesce(raw_provider, '') as provider_name,
        coalesce(raw_model, '') as model_name
    from ranked
    where
        choice = 1
        and not is_of_record
)

select * from final
