{% set beginning = "cast('1970-01-01' as " ~ llm_spend.type_timestamp() ~ ")" %}
{% set open_end = "cast('9999-12-31' as " ~ llm_spend.type_timestamp() ~ ")" %}
with

model_names as (

    select * from {{ ref('int_model_names') }}

),

provider_names as (

    select * from {{ ref('stg_mapping__provider_names') }}

),

deployments as (

    select * from {{ ref('stg_mapping__model_deployments') }}

),

channel_fallbacks as (

    select * from {{ ref('stg_prices__channel_fallbacks') }}

),

listed_aliases as (

    select * from {{ ref('stg_prices__model_aliases') }}

),

prices as (

    select provider, channel, model_id from {{ ref('stg_prices__model_prices') }}
    {{ llm_spend.union_distinct() }}
    select provider, channel, model_id from {{ ref('stg_prices__price_overrides') }}

),

-- A model's own id is always a name of it: a hand-written price needs no alias.
aliases as (

    select
        provider,
        channel,
        model_id,
        match_type,
        pattern,
        excluded_pattern,
        catalogue_order
    from listed_aliases

    union all

    select
        min(provider) as provider,
        channel,
        model_id,
        'equals' as match_type,
        lower(model_id) as pattern,
        cast(null as {{ dbt.type_string() }}) as excluded_pattern,
        cast(0 as {{ dbt.type_bigint() }}) as catalogue_order
    from prices
    where
        not exists (
            select 1
            from listed_aliases
            where
                listed_aliases.channel = prices.channel
                and listed_aliases.match_type = 'equals'
                and listed_aliases.pattern = lower(prices.model_id)
        )
    group by channel, model_id

),

names as (

    select
        -- A provider or a model can be missing, so the name itself is no key to join by.
        row_number() over (order by source_system, raw_provider, raw_model) as name_number,
        source_system,
        raw_provider,
        raw_model,
        lower(trim(source_system)) as system_name,
        nullif(lower(trim(raw_provider)), '') as provider_name,
        nullif(lower(trim(raw_model)), '') as model_name
    from model_names

),

-- 1. The provider, before the model: who bills decides which names and prices can be meant.
provider_candidates as (

    select
        names.name_number,
        provider_names.provider,
        provider_names.channel,
        row_number() over (
            partition by names.name_number
            order by
                case when provider_names.raw_provider = names.provider_name then 0 else 1 end,
                case when provider_names.source_system = names.system_name then 0 else 1 end
        ) as choice
    from names
    inner join provider_names
        on
            provider_names.source_system in (names.system_name, '*')
            and (
                names.provider_name = provider_names.raw_provider
                or (
                    {{ dbt.position("'/'", "names.model_name") }} > 0
                    and {{ dbt.split_part("names.model_name", "'/'", 1) }} = provider_names.raw_provider
                )
            )

),

identified as (

    select
        names.*,
        provider_candidates.provider,
        provider_candidates.channel
    from names
    left join provider_candidates
        on names.name_number = provider_candidates.name_number and provider_candidates.choice = 1

),

-- 2. Private names (deployments) stand for a model for some time; outside of it the name speaks for itself.
deployed as (

    select
        identified.name_number,
        deployments.model_id,
        deployments.valid_from,
        deployments.valid_to
    from identified
    inner join deployments
        on
            identified.channel = deployments.channel
            and (
                identified.model_name = deployments.deployment
                or regexp_replace(identified.model_name, '^.*/', '') = deployments.deployment
            )

),

instants as (

    select name_number, {{ beginning }} as instant from identified
    {{ llm_spend.union_distinct() }}
    select name_number, valid_from as instant from deployed
    {{ llm_spend.union_distinct() }}
    select name_number, valid_to as instant from deployed where valid_to < {{ open_end }}

),

spans as (

    select
        name_number,
        instant as valid_from,
        coalesce(lead(instant) over (partition by name_number order by instant), {{ open_end }}) as valid_to
    from instants

),

span_candidates as (

    select
        spans.*,
        deployed.model_id as deployed_model_id,
        row_number() over (
            partition by spans.name_number, spans.valid_from
            order by deployed.valid_from desc, deployed.model_id
        ) as choice
    from spans
    left join deployed
        on
            spans.name_number = deployed.name_number
            and spans.valid_from >= deployed.valid_from
            and spans.valid_from < deployed.valid_to

),

named as (

    select
        identified.source_system,
        identified.raw_provider,
        identified.raw_model,
        identified.provider_name,
        identified.provider,
        identified.channel,
        span_candidates.valid_from,
        span_candidates.valid_to,
        span_candidates.deployed_model_id,
        coalesce(lower(span_candidates.deployed_model_id), identified.model_name) as lookup_name
    from identified
    inner join span_candidates on identified.name_number = span_candidates.name_number
    where span_candidates.choice = 1

),

-- 3. The spellings of a name, in the order in which they are tried.
lookups as (

    select distinct channel, lookup_name from named where lookup_name is not null

),

unprefixed as (

    select
        channel,
        lookup_name,
        lookup_name as spelling,
        1 as spelling_order,
        '' as spelling_note
    from lookups

    union all

    select
        channel,
        lookup_name,
        regexp_replace(lookup_name, '^[^/]*/', '') as spelling,
        2 as spelling_order,
        ', prefix removed' as spelling_note
    from lookups
    where {{ dbt.position("'/'", "lookup_name") }} > 0

    union all

    select
        channel,
        lookup_name,
        regexp_replace(lookup_name, '^.*/', '') as spelling,
        3 as spelling_order,
        ', prefix removed' as spelling_note
    from lookups
    where {{ dbt.position("'/'", "lookup_name") }} > 0

),

spellings as (

    select
        channel,
        lookup_name,
        spelling,
        spelling_order,
        spelling_note,
        false as is_undated
    from unprefixed

    union all

    -- Some gateways write 20251211 where the provider writes 2025-12-11.
    select
        channel,
        lookup_name,
        {{ dbt.concat([
            "substr(spelling, 1, length(spelling) - 4)",
            "'-'",
            "substr(spelling, length(spelling) - 3, 2)",
            "'-'",
            "substr(spelling, length(spelling) - 1, 2)",
        ]) }} as spelling,
        spelling_order + 10 as spelling_order,
        {{ dbt.concat(["', date rewritten'", "spelling_note"]) }} as spelling_note,
        false as is_undated
    from unprefixed
    where {{ llm_spend.regex_found('spelling', "'-20[0-9]{2}(0[1-9]|1[0-2])[0-3][0-9]$'") }}

    union all

    -- A dated version of a model that is listed without it.
    select
        channel,
        lookup_name,
        regexp_replace(spelling, '[-@]20[0-9]{2}-?(0[1-9]|1[0-2])-?[0-3][0-9]$', '') as spelling,
        spelling_order + 20 as spelling_order,
        spelling_note,
        true as is_undated
    from unprefixed
    where {{ llm_spend.regex_found('spelling', "'[-@]20[0-9]{2}-?(0[1-9]|1[0-2])-?[0-3][0-9]$'") }}

),

-- 4. The models that a channel sells: its own, then those of its fallbacks.
channel_catalogues as (

    select distinct channel, channel as catalogue, 0 as fallback_order from aliases
    union all
    select channel, fallback_channel as catalogue, fallback_order from channel_fallbacks

),

matches as (

    select
        spellings.channel,
        spellings.lookup_name,
        spellings.spelling_order,
        spellings.spelling_note,
        spellings.is_undated,
        channel_catalogues.catalogue,
        channel_catalogues.fallback_order,
        aliases.provider,
        aliases.model_id,
        aliases.match_type,
        aliases.pattern,
        aliases.catalogue_order
    from spellings
    inner join channel_catalogues on spellings.channel = channel_catalogues.channel
    inner join aliases
        on
            channel_catalogues.catalogue = aliases.channel
            and case aliases.match_type
                when 'equals' then spellings.spelling = aliases.pattern
                when 'starts_with'
                    then
                        not spellings.is_undated
                        and left(spellings.spelling, length(aliases.pattern)) = aliases.pattern
                when 'ends_with'
                    then
                        not spellings.is_undated
                        and right(spellings.spelling, length(aliases.pattern)) = aliases.pattern
                when 'contains'
                    then not spellings.is_undated and {{ dbt.position("aliases.pattern", "spellings.spelling") }} > 0
                when 'regex'
                    then
                        not spellings.is_undated
                        and {{ llm_spend.regex_found('spellings.spelling', 'aliases.pattern') }}
                else false
            end
    where
        aliases.excluded_pattern is null
        or not {{ llm_spend.regex_found('spellings.spelling', 'aliases.excluded_pattern') }}

),

ranked_matches as (

    select
        *,
        row_number() over (
            partition by channel, lookup_name
            order by
                spelling_order,
                fallback_order,
                case match_type when 'equals' then 1 when 'starts_with' then 2 else 3 end,
                case when match_type = 'starts_with' then length(pattern) else 0 end desc,
                catalogue_order,
                match_type,
                pattern
        ) as choice
    from matches

),

resolved as (

    select
        channel,
        lookup_name,
        provider,
        model_id,
        {{ dbt.concat([
            "case when is_undated then 'date_suffix' else match_type end",
            "spelling_note",
        ]) }} as how,
        case when catalogue = channel then '' else {{ dbt.concat(["', listed by '", "catalogue"]) }} end as whose
    from ranked_matches
    where choice = 1

),

-- Nobody said whose model it is: only a name that exactly one channel has can be meant.
resolved_anywhere as (

    select
        lookups.lookup_name,
        min(aliases.provider) as provider,
        min(aliases.channel) as channel,
        min(aliases.model_id) as model_id
    from lookups
    inner join aliases on lookups.lookup_name = aliases.pattern and aliases.match_type = 'equals'
    where lookups.channel is null
    group by lookups.lookup_name
    having count(distinct aliases.channel) = 1

),

final as (

    select
        named.source_system,
        named.raw_provider,
        named.raw_model,
        named.valid_from,
        named.valid_to,
        coalesce(resolved.provider, resolved_anywhere.provider, named.provider, named.provider_name) as provider,
        coalesce(named.channel, resolved_anywhere.channel) as channel,
        coalesce(resolved.model_id, resolved_anywhere.model_id, named.deployed_model_id) as model_id,
        case
            when named.deployed_model_id is not null
                then {{ dbt.concat(["'deployment'", "coalesce(resolved.whose, '')"]) }}
            when resolved.model_id is not null then {{ dbt.concat(["resolved.how", "resolved.whose"]) }}
            when resolved_anywhere.model_id is not null then 'equals, any provider'
        end as matched_by
    from named
    left join resolved
        on
            named.channel = resolved.channel
            and named.lookup_name = resolved.lookup_name
    left join resolved_anywhere
        on
            named.lookup_name = resolved_anywhere.lookup_name
            and named.channel is null

)

select * from final
