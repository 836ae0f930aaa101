with contents as (
    select * from {{ ref('int_load_contents') }}
),

provider_usage as (
    select * from {{ ref('stg_provider__usage') }}
),

provider_costs as (
    select * from {{ ref('stg_provider__costs') }}
),

focus_costs as (
    select * from {{ ref('stg_provider__focus_costs') }}
),

names as (
    select
        source_system,
        raw_provider,
        raw_model
    from contents
    where source_system is not null
    {{ llm_spend.union_distinct() }}
    select
        source_system,
        provider as raw_provider,
        raw_model
    from provider_usage
    {{ llm_spend.union_distinct() }}
    select
        source_system,
        provider as raw_provider,
        raw_model
    from provider_costs
    {{ llm_spend.union_distinct() }}
    select
        source_system,
        provider as raw_provider,
        raw_model
    from focus_costs
),

final as (
    select
        source_system,
        raw_provider,
        raw_model
    from names
)

select * from final
