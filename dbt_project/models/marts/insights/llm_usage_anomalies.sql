{% set finding = ['kind', 'usage_date', 'member_type', 'member_id'] %}
{% set shares = var('llm_spend_anomaly_shares') %}
{# From the widest to the narrowest: an anomaly is told with the widest that it is a part of. #}
{% set widths = {'total': 1, 'team': 2, 'feature': 3, 'customer': 4, 'model': 5, 'api_key': 6, 'user': 7} %}

with findings as (
    select
        int_anomalies.*,
        case member_type
            {% for member_type, width in widths.items() -%}
            when '{{ member_type }}' then {{ width }}
            {% endfor -%}
        end as width,
        {{ member_text('member_type', 'member_id') }} as member_text
    from {{ ref('int_anomalies') }} as int_anomalies
),

contributors as (
    select
        contributors.*,
        case contributors.member_type
            {% for member_type, width in widths.items() -%}
            when '{{ member_type }}' then {{ width }}
            {% endfor -%}
        end as width
    from {{ ref('int_anomaly_contributors') }} as contributors
),

-- Runs of one anomaly: no more than three days from one to the next, as over a weekend.
followed as (
    select
        {{ finding | join(',\n        ') }},
        lag(usage_date) over (partition by kind, member_type, member_id order by usage_date) as previous_date
    from findings
),

numbered as (
    select
        {{ finding | join(',\n        ') }},
        sum(case when {{ dbt.datediff('previous_date', 'usage_date', 'day') }} <= 3 then 0 else 1 end) over (
            partition by kind, member_type, member_id
            order by usage_date rows between unbounded preceding and current row
        ) as run_number
    from followed
),

runs as (
    select
        {{ finding | join(',\n        ') }},
        min(usage_date) over (partition by kind, member_type, member_id, run_number) as started_on
    from numbered
),

-- The widest anomaly of the same day and kind of whose change this member is a third or more.
covered as (
    select
        findings.{{ finding | join(',\n        findings.') }},
        contributors.member_type as part_of_member_type,
        contributors.member_id as part_of_member_id,
        row_number() over (
            partition by findings.{{ finding | join(', findings.') }}
            order by contributors.width, contributors.share_ratio desc, contributors.member_id
        ) as place
    from findings
    inner join contributors
        on
            findings.kind = contributors.kind
            and findings.usage_date = contributors.usage_date
            and findings.member_type = contributors.contributor_type
            and findings.member_id = contributors.contributor_id
    where contributors.width < findings.width and contributors.share_ratio >= {{ exact('0.333333') }}
),

told as (
    select
        {{ finding | join(',\n        ') }},
        place,
        contributor_type,
        contributor_id,
        share_ratio,
        {{ dbt.concat([
            member_text('contributor_type', 'contributor_id'),
            "' '",
            "case when change < 0 then '-' else '+' end",
            "case kind when 'error_rate' then " ~ dbt.concat([count_text('round(abs(change), 0)'), "' failed calls'"])
            ~ " when 'cache_miss_rate' then " ~ dbt.concat([count_text('round(abs(change), 0)'), "' tokens'"])
            ~ " else " ~ usd_text('change') ~ " end",
            "' ('", percent_text('share_ratio'), "')'"
        ]) }} as contributor_text
    from contributors
    where place <= 3
),

topped as (
    select
        {{ finding | join(',\n        ') }},
        {% for place in range(1, 4) -%}
        max(case when place = {{ place }} then contributor_text end) as contributor_{{ place }},
        {% endfor -%}
        max(case when place = 1 then contributor_type end) as top_member_type,
        max(case when place = 1 then contributor_id end) as top_member_id,
        max(case when place = 1 then share_ratio end) as top_share_ratio
    from told
    group by {{ finding | join(', ') }}
),

described as (
    select
        findings.*,
        topped.contributor_1,
        topped.contributor_2,
        topped.contributor_3,
        topped.top_member_type,
        topped.top_member_id,
        topped.top_share_ratio,
        runs.started_on,
        covered.part_of_member_type,
        covered.part_of_member_id,
        {{ capitalized('findings.member_text') }} as subject_text,
        {{ date_text('findings.usage_date') }} as date_text,
        {{ dbt.concat([
            "' (median of the '", count_text('findings.baseline_days'),
            "case when findings.kind in ('cost_spike', 'cost_drop') then ' same weekdays before)' else ' days before)' end"
        ]) }} as baseline_text,
        {{ dbt.concat([
            "case when topped.contributor_1 is null then '' else " ~ dbt.concat(["' First of all: '", 'topped.contributor_1']) ~ " end",
            "case when topped.contributor_2 is null then '' else " ~ dbt.concat(["'; '", 'topped.contributor_2']) ~ " end",
            "case when topped.contributor_3 is null then '' else " ~ dbt.concat(["'; '", 'topped.contributor_3']) ~ " end",
            "case when topped.contributor_1 is null then '' else '.' end"
        ]) }} as contributors_text
    from findings
    inner join runs
        on
            {{ same_keys('findings', 'runs', finding) }}
    left join covered
        on
            {{ same_keys('findings', 'covered', finding) }}
            and covered.place = 1
    left join topped
        on
            {{ same_keys('findings', 'topped', finding) }}
),

final as (
    select
        usage_date,
        kind,
        member_type,
        member_id,
        observed,
        expected,
        lower_bound as lower,
        upper_bound as upper,
        score,
        severity_usd,
        case
            when severity_usd is null then 'medium'
            when severity_usd >= usual_usd * {{ exact(shares['high']) }} then 'high'
            when severity_usd >= usual_usd * {{ exact(shares['medium']) }} then 'medium'
            else 'low'
        end as severity,
        usual_usd,
        baseline_days,
        contributor_1,
        contributor_2,
        contributor_3,
        top_member_type,
        top_member_id,
        top_share_ratio,
        {{ dbt.concat([
            'subject_text',
            "case kind"
            ~ " when 'error_rate' then " ~ dbt.concat([
                "': '", percent_text('observed'), "' of the calls of '", 'date_text', "' failed, where '",
                percent_text('expected'), "' is usual'", 'baseline_text', "'.'"
            ])
            ~ " when 'cache_miss_rate' then " ~ dbt.concat([
                "': '", percent_text('observed'), "' of the input tokens of '", 'date_text',
                "' were in no cache of the provider, where '", percent_text('expected'), "' is usual'", 'baseline_text', "'.'"
            ])
            ~ " when 'blended_price' then " ~ dbt.concat([
                "': a million tokens cost '", usd_text('observed'), "' on '", 'date_text', "', where '",
                usd_text('expected'), "' is usual'", 'baseline_text', "'; with these tokens that is '",
                usd_text('severity_usd'), "case when observed > expected then ' more.' else ' less.' end"
            ])
            ~ " when 'cost_spike' then " ~ dbt.concat([
                "' cost '", usd_text('observed'), "' on '", 'date_text', "', '", usd_text('severity_usd'),
                "' more than the '", usd_text('expected'), "' that are usual'", 'baseline_text', "'.'"
            ])
            ~ " when 'cost_drop' then " ~ dbt.concat([
                "' cost '", usd_text('observed'), "' on '", 'date_text', "', '", usd_text('severity_usd'),
                "' less than the '", usd_text('expected'), "' that are usual'", 'baseline_text', "'.'"
            ])
            ~ " else " ~ dbt.concat([
                "' was first used on '", 'date_text',
                "case when observed is null then ', at a cost that is not known.' else "
                ~ dbt.concat(["', and cost '", usd_text('observed'), "' in the seven days from then.'"]) ~ " end"
            ]) ~ " end",
            'contributors_text'
        ]) }} as explanation,
        started_on,
        part_of_member_type,
        part_of_member_id,
        case kind
            when 'error_rate' then 'ratio'
            when 'cache_miss_rate' then 'ratio'
            when 'blended_price' then 'usd_per_million'
            else 'usd'
        end as unit,
        'USD' as currency
    from described
)

select * from final
