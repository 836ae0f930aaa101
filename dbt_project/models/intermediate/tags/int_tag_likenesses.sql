{# Of more values than this a key is an id, not a name. #}
{% set most_names = 200 %}
{# A value without a list to compare with is a slip only beside one that is sent so many times as often. #}
{% set times_as_often = 10 %}
{# Shorter names differ in one letter by right: `prod` and `proc`. Keys are fewer, and chosen to be told apart. #}
{% set enough_letters = {'keys': 4, 'values': 5} %}

with known as (
    {{ known_usage() }}
),

registry as (
    select * from {{ ref('stg_mapping__tag_registry') }}
),

rules as (
    select
        metadata_key,
        min(dimension) as dimension
    from {{ ref('stg_mapping__attribution_rules') }}
    group by metadata_key
),

used as (
    select
        days.tag_key,
        days.tag_value,
        sum(days.attempts) as attempts
    from {{ ref('int_tags_daily') }} as days
    cross join known
    where {{ is_audited('days.usage_date', 'known.as_of') }} and substr(days.tag_key, 1, 1) <> '('
    group by days.tag_key, days.tag_value
),

used_keys as (
    select
        tag_key,
        sum(attempts) as attempts,
        count(*) as names
    from used
    group by tag_key
),

known_keys as (
    select
        registry.tag_key,
        1 as is_registered
    from registry
    cross join known
    where registry.retired > known.as_of
    {{ llm_spend.union_distinct() }}
    select
        metadata_key as tag_key,
        0 as is_registered
    from rules
    where metadata_key not in (select tag_key from registry)
),

-- What may be a slip, and what it may be a slip of.
names as (
    select
        '(keys)' as tag_key,
        used_keys.tag_key as name,
        used_keys.attempts,
        1 as is_suspect,
        0 as is_model,
        0 as is_compared_by_use,
        {{ folded_name('used_keys.tag_key') }} as folded_name,
        {{ enough_letters['keys'] }} as enough_letters
    from used_keys
    left join known_keys on used_keys.tag_key = known_keys.tag_key
    left join registry on used_keys.tag_key = registry.tag_key
    where
        known_keys.tag_key is null
        and registry.tag_key is null
        and not {{ is_gateway_tag('used_keys.tag_key') }}
    union all
    select
        '(keys)' as tag_key,
        tag_key as name,
        is_registered as attempts,
        0 as is_suspect,
        1 as is_model,
        0 as is_compared_by_use,
        {{ folded_name('tag_key') }} as folded_name,
        {{ enough_letters['keys'] }} as enough_letters
    from known_keys
    union all
    select
        used.tag_key,
        used.tag_value as name,
        used.attempts,
        case when {{ is_listed('used.tag_value', 'registry.allowed_values') }} then 0 else 1 end as is_suspect,
        case when registry.allowed_values is null then 1 else 0 end as is_model,
        case when registry.allowed_values is null then 1 else 0 end as is_compared_by_use,
        {{ folded_name('used.tag_value') }} as folded_name,
        {{ enough_letters['values'] }} as enough_letters
    from used
    inner join used_keys on used.tag_key = used_keys.tag_key
    left join registry on used.tag_key = registry.tag_key
    left join rules on used.tag_key = rules.metadata_key
    where
        used_keys.names <= {{ most_names }}
        and used.tag_value <> {{ too_many_values() }}
        and registry.pattern is null
        -- Users are compared without case and spaces where owners are found, and Anna is not Anne.
        and coalesce(rules.dimension, '') <> 'user'
        and not {{ is_gateway_tag('used.tag_key') }}
    union all
    -- Of the values that a list allows, those that callers send, under whichever key.
    select
        registry.tag_key,
        used.tag_value as name,
        sum(used.attempts) as attempts,
        0 as is_suspect,
        1 as is_model,
        0 as is_compared_by_use,
        {{ folded_name('used.tag_value') }} as folded_name,
        {{ enough_letters['values'] }} as enough_letters
    from registry
    inner join used on {{ is_listed('used.tag_value', 'registry.allowed_values') }}
    group by registry.tag_key, used.tag_value
),

-- `growth-team` under the key of teams is `growth`.
bare_names as (
    select
        names.*,
        case
            when right(names.folded_name, length(owners.word)) = owners.word
                then left(names.folded_name, length(names.folded_name) - length(owners.word))
            else substr(names.folded_name, length(owners.word) + 1)
        end as bare_name
    from names
    inner join (
        select
            used_keys.tag_key,
            coalesce(rules.dimension, {{ folded_name('used_keys.tag_key') }}) as word
        from used_keys
        left join rules on used_keys.tag_key = rules.metadata_key
    ) as owners on names.tag_key = owners.tag_key
    where
        names.is_suspect = 1
        and length(names.folded_name) > length(owners.word)
        and (
            right(names.folded_name, length(owners.word)) = owners.word
            or left(names.folded_name, length(owners.word)) = owners.word
        )
),

forms as (
    {{ name_forms('names', ['tag_key', 'name', 'attempts', 'is_suspect', 'is_model', 'is_compared_by_use']) }}
    union all
    select
        tag_key,
        name,
        attempts,
        is_suspect,
        0 as is_model,
        is_compared_by_use,
        bare_name as form,
        1 as letters_out
    from bare_names
    where bare_name <> ''
),

suspects as (
    select * from forms
    where is_suspect = 1
),

models as (
    select * from forms
    where is_model = 1
),

pairs as (
    select
        suspects.tag_key,
        suspects.name,
        models.name as similar_to,
        models.attempts as similar_attempts,
        min(suspects.letters_out + models.letters_out) as letters_out
    from suspects
    inner join models on suspects.tag_key = models.tag_key and suspects.form = models.form
    where
        suspects.name <> models.name
        and (
            suspects.is_compared_by_use = 0
            or suspects.attempts * {{ times_as_often }} <= models.attempts
            or (
                suspects.letters_out + models.letters_out = 0
                and (
                    suspects.attempts < models.attempts
                    or (suspects.attempts = models.attempts and suspects.name > models.name)
                )
            )
        )
    group by suspects.tag_key, suspects.name, models.name, models.attempts
),

ordered as (
    select
        *,
        row_number() over (
            partition by tag_key, name
            order by case when letters_out = 0 then 0 else 1 end, similar_attempts desc, similar_to
        ) as place
    from pairs
),

final as (
    select
        tag_key,
        name,
        similar_to,
        letters_out = 0 as is_same_when_folded
    from ordered
    where place = 1
)

select * from final
