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

alias_overrides as (

    select * from {{ ref('stg_prices__alias_overrides') }}

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
        catalogue_order,
        valid_from,
        valid_to,
        false as is_override
    from listed_aliases

    union all

    select
        provider,
        channel,
        model_id,
        match_type,
        pattern,
        cast(null as {{ dbt.type_string() }}) as excluded_pattern,
        cast(0 as {{ dbt.type_bigint() }}) as catalogue_order,
        valid_from,
        valid_to,
        true as is_override
    from alias_overrides

    union all

    select
        min(provider) as provider,
        channel,
        model_id,
        'equals' as match_type,
        lower(model_id) as pattern,
        cast(null as {{ dbt.type_string() }}) as excluded_pattern,
        cast(0 as {{ dbt.type_bigint() }}) as catalogue_order,
        {{ beginning }} as valid_from,
        {{ open_end }} as valid_to,
        false as is_override
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

-- Nobody said whose model it is: only a name that exactly one channel has can be meant.
only_channels as (

    select
        named.lookup_name,
        min(aliases.channel) as channel
    from named
    inner join aliases on named.lookup_name = aliases.pattern and aliases.match_type = 'equals'
    where named.channel is null
    group by named.lookup_name
    having count(distinct aliases.channel) = 1

),

placed as (

    select
        named.source_system,
        named.raw_provider,
        named.raw_model,
        named.provider_name,
        named.provider,
        coalesce(named.channel, only_channels.channel) as channel,
        named.channel is null as is_channel_found,
        named.valid_from,
        named.valid_to,
        named.deployed_model_id,
        named.lookup_name
    from named
    left join only_channels on named.lookup_name = only_channels.lookup_name

),

-- 3. The spellings of a name, in the order in which they are tried.
lookups as (

    select distinct channel, lookup_name from placed where lookup_name is not null

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
        aliases.catalogue_order,
        aliases.valid_from,
        aliases.valid_to,
        aliases.is_override
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
        (
            aliases.excluded_pattern is null
            or not {{ llm_spend.regex_found('spellings.spelling', 'aliases.excluded_pattern') }}
        )
        -- A fine-tuned model never costs what its base model does.
        and (left(spellings.spelling, 3) <> 'ft:' or left(aliases.model_id, 3) = 'ft:')

),

-- 5. Aliases that hold for some time only: between two neighbours of these instants a name has one meaning.
alias_instants as (

    select channel, lookup_name, {{ beginning }} as instant from matches
    {{ llm_spend.union_distinct() }}
    select channel, lookup_name, valid_from as instant from matches
    {{ llm_spend.union_distinct() }}
    select channel, lookup_name, valid_to as instant from matches where valid_to < {{ open_end }}

),

alias_spans as (

    select
        channel,
        lookup_name,
        instant as span_from,
        coalesce(lead(instant) over (partition by channel, lookup_name order by instant), {{ open_end }}) as span_to
    from alias_instants

),

ranked_matches as (

    select
        matches.*,
        alias_spans.span_from,
        alias_spans.span_to,
        row_number() over (
            partition by matches.channel, matches.lookup_name, alias_spans.span_from
            order by
                case when matches.is_override and matches.catalogue = matches.channel then 0 else 1 end,
                matches.spelling_order,
                matches.fallback_order,
                case when matches.is_override then 0 else 1 end,
                case matches.match_type when 'equals' then 1 when 'starts_with' then 2 else 3 end,
                case when matches.match_type = 'starts_with' then length(matches.pattern) else 0 end desc,
                matches.catalogue_order,
                matches.match_type,
                matches.pattern,
                matches.valid_from desc,
                matches.model_id
        ) as choice
    from alias_spans
    inner join matches
        on
            alias_spans.channel = matches.channel
            and alias_spans.lookup_name = matches.lookup_name
            and alias_spans.span_from >= matches.valid_from
            and alias_spans.span_from < matches.valid_to

),

resolved as (

    select
        alias_spans.channel,
        alias_spans.lookup_name,
        alias_spans.span_from,
        alias_spans.span_to,
        ranked_matches.provider,
        ranked_matches.model_id,
        {{ dbt.concat([
            "case when ranked_matches.is_undated then 'date_suffix' else ranked_matches.match_type end",
            "case when ranked_matches.is_override then ', alias override' else '' end",
            "ranked_matches.spelling_note",
        ]) }} as how,
        case
            when ranked_matches.catalogue = alias_spans.channel then ''
            else {{ dbt.concat(["', listed by '", "ranked_matches.catalogue"]) }}
        end as whose
    from alias_spans
    left join ranked_matches
        on
            alias_spans.channel = ranked_matches.channel
            and alias_spans.lookup_name = ranked_matches.lookup_name
            and alias_spans.span_from = ranked_matches.span_from
            and ranked_matches.choice = 1

),

final as (

    select
        placed.source_system,
        placed.raw_provider,
        placed.raw_model,
        greatest(placed.valid_from, coalesce(resolved.span_from, placed.valid_from)) as valid_from,
        least(placed.valid_to, coalesce(resolved.span_to, placed.valid_to)) as valid_to,
        coalesce(resolved.provider, placed.provider, placed.provider_name) as provider,
        placed.channel,
        coalesce(resolved.model_id, placed.deployed_model_id) as model_id,
        case
            when placed.deployed_model_id is not null
                then {{ dbt.concat(["'deployment'", "coalesce(resolved.whose, '')"]) }}
            when resolved.model_id is not null
                then {{ dbt.concat([
                    "resolved.how",
                    "resolved.whose",
                    "case when placed.is_channel_found then ', any provider' else '' end",
                ]) }}
        end as matched_by
    from placed
    left join resolved
        on
            placed.channel = resolved.channel
            and placed.lookup_name = resolved.lookup_name
            and placed.valid_from < resolved.span_to
            and placed.valid_to > resolved.span_from

)

select * from final
