"""Quotas and chargeback over a stand-in for fct_llm_requests, compared as exact Decimals.

dbt's own unit tests cast what they expect to the type of the column (0.0750 equals a stored 0.08), so cents
are checked here.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.dbt.compiled import compiled_sql
from tests.dbt.quota_oracle import windows
from tests.dbt.test_quota_windows import COUNTER, Log, Quotas, costs, quota_sql, rule
from tests.dbt_fork import run_dbt

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
KEPT = (
    "docs",
    "macros",
    "models/intermediate/chargeback",
    "models/intermediate/quotas",
    "models/intermediate/usage",
    "models/marts/quotas",
    "models/marts/chargeback",
    "seeds/rules",
    "tests/generic",
    "tests/quotas",
    "tests/chargeback",
)
# What lies in these folders and reads more than is here.
LEFT_OUT = (
    "int_source_overlaps",
    "llm_gateway_limits",
    "llm_gateway_limit_usage",
    "llm_reconciliation",
    "assert_period_close_usable",
)
BILLING = (
    "int_bill_charges",
    "int_bill_pools",
    "int_billed_days",
    "int_bill_slices",
    "int_bill_allocations",
    "int_true_up_lines",
)
CLASSES = ("uncached_input", "cache_read", "cache_write", "output")
SHARED = ("stg_rules__shared_costs", "stg_rules__shared_cost_weights")

# One line is `copies` requests, a second apart; cost_usd is of each. Times are UTC. What follows an @ is the gateway,
# what follows a colon the class of the tokens; else they are input that no cache had.
CASES = """\
name,copies,started_at,loaded_at,provider,model_id,status,user_id,team_id,cc,account,metadata,tokens,cost_usd
day14,5000,2026-03-14 08:00:00,2026-03-14 23:00:00,openai,gpt-4o,success,bob@x.io,frontend,cc-1,,,0,0.0000045
late14,1,2026-03-14 23:59:59,2026-03-16 09:00:00,openai,gpt-4o,blocked_rate_limit,bob@x.io,frontend,cc-1,,,,0
day15,5000,2026-03-15 00:00:00,2026-03-16 09:00:00,openai,gpt-4o,success,bob@x.io,frontend,cc-1,,,0,0.0000045
p1,3,2026-03-14 10:00:00,2026-03-14 23:00:00,anthropic,claude,success,?,?,?,va-james,prod/p1,50,3.999999999999
p2,2,2026-03-14 10:00:00,2026-03-14 23:00:00,anthropic,claude,success,?,?,?,va-james,prod/p2,50,4.000000000001
dev,9,2026-03-14 10:00:00,2026-03-14 23:00:00,anthropic,claude,success,?,?,?,va-james,dev/p1,50,0
a,1,2026-04-01 00:00:00,2026-04-02 00:00:00,openai,m,success,u,a,cc,,,1,33.333333333333
b,1,2026-04-01 00:00:00,2026-04-02 00:00:00,openai,m,success,u,b,cc,,,1,33.333333333333
c,1,2026-04-30 23:59:59,2026-05-02 00:00:00,openai,m,success,u,c,cc,,,1,33.333333333333
x,1,2026-04-01 00:00:00,2026-04-02 00:00:00,openai,,success,u,c,cc,,,37400000,
sum,1,2026-05-01 00:00:00,2026-05-02 00:00:00,openai,m,success,u,a,cc,,,1,0.01999999999999999872
half,1,2026-05-01 00:00:00,2026-05-02 00:00:00,google,m,success,u,a,cc,,,1,0.005
below,2,2026-05-01 00:00:00,2026-05-02 00:00:00,aws,m,success,u,a,cc,,,1,0.0024999
share-a,1,2026-06-01 08:00:00,2026-06-02 00:00:00,openai,m,success,u,a,cc,,,6,60
share-b,1,2026-06-01 08:00:00,2026-06-02 00:00:00,openai,m,success,u,b,cc,,,3,30
share-c,1,2026-06-01 08:00:00,2026-06-02 00:00:00,openai,m,success,u,c,cc,,,1,10
gap,1,2026-06-02 08:00:00,2026-06-03 00:00:00,openai,m,success,u,a,cc,,,1,5
tokens-a,1,2026-06-04 08:00:00,2026-06-05 00:00:00,openai,,success,u,a,cc,,,3,
tokens-b,1,2026-06-04 08:00:00,2026-06-05 00:00:00,openai,,success,u,b,cc,,,1,
early,1,2026-06-05 08:00:00,2026-06-06 00:00:00,openai,m,success,u,a,cc,,,1,7
nothing,1,2026-06-06 08:00:00,2026-06-07 00:00:00,openai,m,success,u,a,cc,,,1,2
one@g1,1,2026-07-01 08:00:00,2026-07-02 00:00:00,anthropic,m,success,u,a,cc,,,1,10
two@g2,1,2026-07-01 08:00:00,2026-07-02 00:00:00,anthropic,m,success,u,b,cc,,,1,10
two-later@g2,1,2026-07-02 08:00:00,2026-07-03 00:00:00,anthropic,m,success,u,b,cc,,,1,10
both@g3,1,2026-07-01 08:00:00,2026-07-02 00:00:00,anthropic,m,success,u,c,cc,,,1,10
both-later@g3,1,2026-07-02 08:00:00,2026-07-03 00:00:00,anthropic,m,success,u,c,cc,,,1,10
new@g5,1,2026-07-02 08:00:00,2026-07-03 00:00:00,anthropic,m,success,u,x,cc,,,1,10
free@g4,1,2026-07-01 08:00:00,2026-07-02 00:00:00,anthropic,m,success,u,a,cc,,,1,3
third-a,1,2026-08-01 00:00:00,2026-08-02 00:00:00,openai,m,success,u,a,cc,,,1,10
third-b,1,2026-08-01 00:00:00,2026-08-02 00:00:00,openai,m,success,u,b,cc,,,1,10
third-c,1,2026-08-01 00:00:00,2026-08-02 00:00:00,openai,n,success,u,c,cc,,,1,10
invoiced-a@g1,1,2026-09-01 08:00:00,2026-09-02 00:00:00,anthropic,m,success,u,a,cc,,,1,10
invoiced-b@g2,1,2026-09-02 08:00:00,2026-09-03 00:00:00,anthropic,m,success,u,b,cc,,,1,10
mixed@g6,1,2026-10-01 08:00:00,2026-10-02 00:00:00,anthropic,m,success,u,a,cc,,,1,10
mixed-later@g6,1,2026-10-02 08:00:00,2026-10-03 00:00:00,anthropic,m,success,u,a,cc,,,1,10
c65-a,1,2026-11-01 08:00:00,2026-11-02 00:00:00,openai,m,success,s,a,cc,,,1,600
c65-b,1,2026-11-01 08:00:00,2026-11-02 00:00:00,openai,m,success,s,b,cc,,,1,300
c65-c,1,2026-11-01 08:00:00,2026-11-02 00:00:00,google,m,success,s,c,cc,,,1,100
c66-a,1,2027-01-01 08:00:00,2027-01-02 00:00:00,openai,m,success,s,a,cc,,,1,1
moved-a,3,2027-02-01 08:00:00,2027-02-02 00:00:00,openai,m,success,s,a,cc,,,1,310
moved-b,1,2027-02-01 08:00:00,2027-02-02 00:00:00,anthropic,m,success,s,b,cc,,,1,30
moved-c,1,2027-02-01 08:00:00,2027-02-02 00:00:00,openai,m,success,s,c,cc,,,9,40
moved-d,1,2027-02-01 08:00:00,2027-02-02 00:00:00,anthropic,m,success,s,c,cc,,,9,10
moved-e,1,2027-02-01 08:00:00,2027-02-02 00:00:00,openai,m,success,s,?,?,,,9,80
c77,1,2027-03-04 08:00:00,2027-03-05 00:00:00,mistral,m,success,s,a,cc,,,1,7200
c77-over,1,2027-04-04 08:00:00,2027-04-05 00:00:00,mistral,m,success,s,a,cc,,,1,11500
c77-told,1,2027-05-04 08:00:00,2027-05-05 00:00:00,mistral,m,success,s,a,cc,,,1,7200
c77-thirds-a,1,2027-06-04 08:00:00,2027-06-05 00:00:00,mistral,m,success,s,a,cc,,,1,1
c77-thirds-b,1,2027-06-04 08:00:00,2027-06-05 00:00:00,mistral,m,success,s,b,cc,,,1,1
c77-thirds-c,1,2027-06-04 08:00:00,2027-06-05 00:00:00,mistral,m,success,s,c,cc,,,1,1
c77-idle-a,1,2027-07-04 08:00:00,2027-07-05 00:00:00,mistral,m,success,s,a,cc,,,1,1
c77-idle-b,1,2027-07-04 08:00:00,2027-07-05 00:00:00,mistral,m,success,s,b,cc,,,1,3
cached:cache_read,1,2027-08-01 08:00:00,2027-08-02 00:00:00,mistral,m,success,s,a,cc,,,1,10
short:output,1,2027-08-01 08:00:00,2027-08-02 00:00:00,mistral,m,success,s,a,cc,,,1,10
long:output,1,2027-08-01 08:00:00,2027-08-02 00:00:00,mistral,m,success,s,b,cc,,,1,40
joint,1,2027-08-02 08:00:00,2027-08-03 00:00:00,mistral,m,success,s,a,cc,,,1,4
joint-cached:cache_read,1,2027-08-02 08:00:00,2027-08-03 00:00:00,mistral,m,success,s,a,cc,,,1,6
joint-b,1,2027-08-02 08:00:00,2027-08-03 00:00:00,mistral,m,success,s,b,cc,,,1,6
coarse-a:output,1,2027-08-03 08:00:00,2027-08-04 00:00:00,mistral,m,success,s,a,cc,,,1,3
coarse-b:output,1,2027-08-03 08:00:00,2027-08-04 00:00:00,mistral,m,success,s,b,cc,,,1,1
unknown-a:output,1,2027-08-04 08:00:00,2027-08-05 00:00:00,mistral,,success,s,a,cc,,,3,
unknown-b:output,1,2027-08-04 08:00:00,2027-08-05 00:00:00,mistral,,success,s,b,cc,,,1,
unknown-c,1,2027-08-04 08:00:00,2027-08-05 00:00:00,mistral,,success,s,b,cc,,,6,
monthly-a:output,1,2027-09-02 08:00:00,2027-09-03 00:00:00,mistral,m,success,s,a,cc,,,1,10
monthly-b:output,1,2027-09-20 08:00:00,2027-09-21 00:00:00,mistral,m,success,s,b,cc,,,1,30
monthly-c,1,2027-09-20 08:00:00,2027-09-21 00:00:00,mistral,m,success,s,b,cc,,,1,5
"""

# One line is a line of a provider's bill, asked for on the date of `asked`; its key is of the gateways by ACCOUNTS.
# What follows a colon is its token_type.
BILLS = """\
name,provider,account,from,to,asked,origin,category,cash,model,key,user,team,usd
m,openai,org,2026-06-01,2026-06-02,2026-06-02,api,Usage,true,m,,,,111.5
refund,openai,org,2026-06-01,2026-06-02,2026-06-02,api,Adjustment,true,m,,,,-1.5
search,openai,org,2026-06-01,2026-06-02,2026-06-02,api,Usage,true,,,,,1
grant,openai,org,2026-06-01,2026-06-02,2026-06-02,api,Usage,false,m,,,,1340
late,openai,org,2026-06-03,2026-06-04,2026-06-05,api,Usage,true,z,,,,9
tokens,openai,org,2026-06-04,2026-06-05,2026-06-05,api,Usage,true,GPT-7,,,,4
half,openai,org,2026-06-05,2026-06-06,2026-06-05,api,Usage,true,m,,,,1
tax,openai,org,2026-06-01,2026-06-02,2026-06-02,api,Tax,true,,,,,59.2
credit,openai,org,2026-06-01,2026-06-02,2026-06-02,api,Credit,true,,,,,-500
seat,openai,org,2026-06-01,2026-07-01,,seat,Purchase,true,,,,c,200
c77,mistral,org,2027-03-01,2027-04-01,2027-04-03,invoice,Usage,true,,,,,0
c77-commitment,mistral,org,2027-03-01,2027-04-01,2027-04-03,invoice,Purchase,true,,,,,10000
c77-over,mistral,org,2027-04-04,2027-04-05,2027-04-06,api,Usage,true,m,,,,1500
c77-over-commitment,mistral,org,2027-04-01,2027-05-01,2027-05-03,invoice,Purchase,true,,,,,10000
c77-told,mistral,org,2027-05-04,2027-05-05,2027-05-06,api,Usage,true,m,,,,7200
c77-told-unused,mistral,org,2027-05-01,2027-06-01,2027-06-03,invoice,Purchase,true,,,,,2800
c77-thirds,mistral,org,2027-06-04,2027-06-05,2027-06-06,api,Usage,true,m,,,,1
c77-thirds-commitment,mistral,org,2027-06-01,2027-07-01,2027-07-03,invoice,Purchase,true,,,,,100
c77-idle,mistral,org,2027-07-04,2027-07-05,2027-07-06,api,Usage,true,m,,,,4
c77-idle-commitment,mistral,org,2027-07-01,2027-08-01,2027-08-03,invoice,Purchase,true,,,,,0.000000000004
c77-thirds-licence,mistral,org,2027-06-01,2027-07-01,2027-07-03,invoice,Purchase,true,,,,,30
platform-seat,openai,org,2027-02-01,2027-03-01,,seat,Purchase,true,,,,c,200
k1,anthropic,one,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,m,k1,,,12
k8,anthropic,one,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,m,k8,,,1
k9,anthropic,one,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,unknown,k9,,,5
user,anthropic,one,2026-07-02,2026-07-03,2026-07-03,api,Usage,true,,k8,Jo@x.io,,2
two,anthropic,two,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,m,k2,,,8
three,anthropic,three,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,m,k3,,,7
four,anthropic,four,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,m,k4,,,4
three-later,anthropic,three,2026-07-02,2026-07-03,2026-07-03,api,Usage,true,m,k3,,,7
before,anthropic,five,2026-07-01,2026-07-02,2026-07-03,api,Usage,true,m,k5,,,6
since,anthropic,five,2026-07-02,2026-07-03,2026-07-03,api,Usage,true,m,k5,,,11
five,aws,five,2026-07-01,2026-08-01,2026-08-03,file,Purchase,true,,,,,10
thirds,openai,org,2026-08-01,2026-09-01,2026-09-03,file,Usage,true,m,,,,100
k1-invoiced,anthropic,one,2026-09-01,2026-09-02,2026-09-03,api,Usage,true,m,k1,,,12
two-invoiced,anthropic,two,2026-09-02,2026-09-03,2026-09-03,api,Usage,true,m,k2,,,8
invoice,anthropic,,2026-09-30,2026-10-01,,invoice_difference,Usage,true,,,,,2
month,anthropic,six,2026-10-01,2026-11-01,2026-11-03,file,Usage,true,m,,,,30
day,anthropic,seven,2026-10-01,2026-10-02,2026-10-03,api,Usage,true,m,k7,,,5
third,openai,org,2026-08-01,2026-09-01,2026-09-03,file,Usage,true,,,,,0.01
cached:cache_read_input_tokens,mistral,org,2027-08-01,2027-08-02,2027-08-03,api,Usage,true,m,,,,20
long:output_tokens,mistral,org,2027-08-01,2027-08-02,2027-08-03,api,Usage,true,m,,,,50
joint:input,mistral,org,2027-08-02,2027-08-03,2027-08-04,api,Usage,true,m,,,,32
coarse:output,mistral,org,2027-08-03,2027-08-04,2027-08-05,api,Usage,true,m,,,,4
unused:cache_creation.ephemeral_5m_input_tokens,mistral,org,2027-08-03,2027-08-04,2027-08-05,api,Usage,true,m,,,,4
unheard:tokens of thought,mistral,org,2027-08-03,2027-08-04,2027-08-05,api,Usage,true,m,,,,4
unknown:Output_Tokens,mistral,org,2027-08-04,2027-08-05,2027-08-06,api,Usage,true,GPT-7,,,,4
unknown:uncached_input_tokens,mistral,org,2027-08-04,2027-08-05,2027-08-06,api,Usage,true,GPT-7,,,,6
monthly:output,mistral,org,2027-09-01,2027-10-01,2027-10-03,file,Usage,true,m,,,,40
monthly:uncached_input,mistral,org,2027-09-01,2027-10-01,2027-10-03,file,Usage,true,m,,,,10
"""

COSTS = """
select
    name as cost_key, name as load_id, 'primary' as profile, provider, provider as source_system,
    coalesce(account, '') as source_instance,
    cast("from" as date) as cost_date, date_trunc('month', cast("from" as date))::date as billing_period,
    cast("from" as timestamp) as bucket_start, cast("to" as timestamp) as bucket_end, asked::timestamp as asked_at,
    origin, category as charge_category, cash::boolean as is_of_record, null::varchar as project_id, key as api_key_id,
    case when origin = 'api' and provider = 'anthropic' then 'api_key_id,model,project_id' else '' end as grouping,
    "user" as user_id,
    case when length(model) = 1 then model end as model_id, model as resolved_model, team as team_id,
    null::varchar as cost_center_id, usd::decimal(38, 12) as billed_usd,
    case when name like 'c77%commitment' then 'Commitment' when name like 'c77%unused' then 'unused_commitment' end
        as cost_type,
    nullif(split_part(name, ':', 2), '') as token_type
from {{ ref('bills') }}
"""

FILES = """
select
    'openai' as source, 'org' as source_instance, 'costs' as entity, load_id, day::timestamp as window_start,
    day::timestamp + interval 1 day as window_end, asked::timestamp as modified_at
from (
    values ('m', '2026-06-01', '2026-06-02'), ('none', '2026-06-06', '2026-06-08'), ('none', '2026-06-02', '2026-06-02')
) as files (load_id, day, asked)
"""

ACCOUNTS = """
select
    'anthropic' as provider, account as provider_instance, project as project_id, key as api_key_id,
    'generic' as source_system, gateway as source_instance, coalesce(since, '2026-01-01')::date as valid_from,
    date '9999-12-31' as valid_to
from (
    values ('one', null, 'k1', 'g1', null), ('two', null, 'k2', 'g2', null), ('three', null, null, 'g3', null),
        ('four', null, null, 'g3', null), ('five', 'p5', 'k5', 'g5', '2026-07-02'), ('six', null, null, 'g6', null),
        ('seven', null, 'k7', 'g6', null)
) as accounts (account, project, key, gateway, since)
"""

OWNERS = """
select
    'anthropic' as provider, null::varchar as provider_instance, null::varchar as project_id, key as api_key_id,
    "user" as user_id, team as team_id, center as cost_center_id, date '2026-01-01' as valid_from,
    date '9999-12-31' as valid_to
from (
    values ('k9', null, 'b', 'cc-b'), ('k1', null, 'x', 'x'), (null, 'jo@x.io', 'c', null)
) as owners (key, "user", team, center)
"""

TEAMS = """
select
    team as team_id, upper(team) as team_name, center as cost_center_id, date '2026-01-01' as valid_from,
    date '9999-12-31' as valid_to
from (values ('a', 'cc'), ('b', 'cc'), ('c', 'cc-c')) as teams (team, center)
"""

MEMBERS = """
select 'u' as user_id, 'a' as team_id, date '2026-01-01' as valid_from, date '9999-12-31' as valid_to where false
"""

RATES = """
select
    'EUR' as currency, cast(1.0850 as decimal(18, 12)) as usd_per_unit, timestamp '2026-11-01' as valid_from,
    timestamp '9999-12-31' as valid_to
"""

# The columns that the models under test read.
STAND_IN = """
select
    name || '-' || lpad(cast(n as varchar), 5, '0') as request_key,
    cast(cast(started_at as timestamp) as date) as usage_date,
    cast(started_at as timestamp) + to_seconds(n - 1) as started_at,
    cast(loaded_at as timestamp) as loaded_at,
    'generic' as source_system,
    coalesce(nullif(split_part(name, '@', 2), ''), 'default') as source_instance,
    provider,
    model_id,
    coalesce(model_id, 'GPT-7') as resolved_model,
    coalesce(model_id, 'gpt-7') as requested_model,
    status,
    replace(user_id, '?', '(unallocated)') as user_id,
    replace(team_id, '?', '(unallocated)') as team_id,
    replace(cc, '?', '(unallocated)') as cost_center_id,
    provider as channel,
    '(unallocated)' as feature_id,
    '(unallocated)' as customer_id,
    '(unallocated)' as environment,
    cast(null as varchar) as api_key_id,
    account as virtual_account,
    json_object('env', split_part(metadata, '/', 1), 'project_id', split_part(metadata, '/', 2)) as metadata,
    true as is_final_attempt,
    false as is_gateway_cache_hit,
    true as is_of_record,
    cast(tokens as bigint) as input_tokens,
    if(class = 'output', cast(tokens as bigint), 0) as output_tokens,
    cast(tokens as bigint) as total_tokens,
    {%- for class in ['uncached_input', 'cache_read', 'cache_write', 'output'] %}
    case when cost_usd is not null then if(class = '{{ class }}', cast(cost_usd as decimal(38, 12)), 0) end
        as {{ class }}_cost_usd,
    {%- endfor %}
    if(class = 'uncached_input', cast(tokens as bigint), 0) as uncached_input_tokens,
    if(class = 'cache_read', cast(tokens as bigint), 0) as cache_read_tokens,
    if(class = 'cache_write', cast(tokens as bigint), 0) as cache_write_5m_tokens,
    cast(0 as bigint) as cache_write_1h_tokens,
    cast(cost_usd as decimal(38, 12)) as list_cost_usd,
    cast(cost_usd as decimal(38, 12)) as cost_usd,
    cast(null as decimal(38, 12)) as gateway_reported_usd,
    'ok' as token_quality,
    false as is_metadata_unreadable,
    'list' as cost_basis,
    case when cost_usd is null then 'unpriced' else 'priced' end as price_status
from (
    select
        *,
        coalesce(nullif(split_part(split_part(name, '@', 1), ':', 2), ''), 'uncached_input') as class,
        unnest(range(1, cast(copies as bigint) + 1)) as n
    from {{ ref('cases') }}
)
"""

DATES = """
select distinct
    usage_date,
    'requests of ' || usage_date as date_version,
    'quotas of ' || usage_date as quota_version,
    timestamp '2026-05-02' as versioned_at
from {{ ref('fct_llm_requests') }}
"""

MONTH_STARTS = """
select
    cast(null as date) as billing_period,
    cast(null as timestamp) as starts_at,
    cast(null as date) as usage_date
where false
"""

CLOSED = """
select
    cast(null as date) as billing_period,
    cast(null as timestamp) as starts_at,
    cast(null as timestamp) as ends_at,
    cast(null as timestamp) as closed_at
where false
"""

RESTATED = """
select
    cast(null as date) as usage_date,
    cast(null as varchar) as source_system,
    cast(null as varchar) as source_instance,
    cast(null as varchar) as channel,
    cast(null as varchar) as provider,
    cast(null as varchar) as cost_center_id,
    cast(null as varchar) as team_id,
    cast(null as date) as billing_period,
    cast(null as varchar) as model_id,
    cast(null as bigint) as attempts,
    cast(null as decimal(38, 12)) as cost_usd,
    cast(null as decimal(38, 12)) as restated_cost_usd,
    cast(null as bigint) as unpriced_requests,
    cast(null as bigint) as restated_unpriced_requests,
    cast(null as bigint) as unpriced_tokens,
    cast(null as bigint) as restated_unpriced_tokens,
    cast(null as varchar) as date_version
where false
"""

KNOWN_SOURCES = """
select
    source_system,
    source_instance,
    max(usage_date) as last_usage_date,
    max(last_loaded_at) as last_loaded_at,
    max(last_loaded_at) as known_to,
    true as is_waited_for
from {{ ref('int_requests_daily') }}
group by source_system, source_instance
"""

STAND_INS = {
    "marts/core/fct_llm_requests.sql": STAND_IN,
    "intermediate/dates/int_usage_dates.sql": DATES,
    "intermediate/dates/int_month_starts.sql": MONTH_STARTS,
    "intermediate/usage/int_known_sources.sql": KNOWN_SOURCES,
    "intermediate/pricing/int_closed_periods.sql": CLOSED,
    "intermediate/chargeback/int_restated_daily.sql": RESTATED,
    "marts/core/fct_llm_provider_costs.sql": COSTS,
    "staging/stg_loads__files.sql": FILES,
    "staging/stg_mapping__provider_accounts.sql": ACCOUNTS,
    "staging/stg_mapping__provider_owners.sql": OWNERS,
    "staging/stg_mapping__org_teams.sql": TEAMS,
    "staging/stg_mapping__org_members.sql": MEMBERS,
    "staging/stg_prices__fx_rates.sql": RATES,
}


def seed_yaml(name: str, csv: str) -> str:
    column_types = ", ".join(f"{column}: string" for column in csv.splitlines()[0].split(","))
    return f"seeds: [{{name: {name}, config: {{column_types: {{{column_types}}}}}}}]"


RULES = """
limits,frontend-daily,1,first_match,team,frontend,,,,,,requests_per_day,5000,,,,,2020-01-01,
limits,bob-daily,2,first_match,user,Bob@X.io,,,,,,requests_per_day,1,,,,,2020-01-01,
limits,prod,3,first_match,virtualaccount,va-james,claude,env,prod,,metadata.project_id,tokens_per_hour,100,,,,,2020-01-01,
audit,nobody,1,all_match,user,u,,,,,,requests_per_minute,0,,,,,2020-01-01,2026-05-01
audit,unlimited,2,all_match,*,*,,,,,,requests_per_day,,,,,,2020-01-01,
"""

SHARED_COSTS = {
    "shared_costs": """
gateway,,amount,Portkey,100,usd,,proportional_by_cost,2026-11-01,2026-12-01
thirds,,amount,portkey,100,USD,,even,2027-01-01,2027-02-01
licence,,amount,wiki,1000,EUR,,even,2026-12-01,2027-01-01
platform,,team:c,,,,,fixed_weights,2027-02-01,
untagged,,Unallocated,,,,,proportional_by_requests,2027-02-01,
""",
    "shared_cost_weights": """
thirds,a,cc,,,
thirds,b,cc,,,
thirds,c,,,,
licence,c,,,,
platform,a,cc,75,2027-02-01,
platform,b,cc,25,2027-02-01,
""",
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("quotas_chargeback")
    project = root / "dbt_project"
    for part in KEPT:
        shutil.copytree(PROJECT / part, project / part)
    for path in [path for name in BILLING for path in (PROJECT / "models/intermediate/billing").glob(f"{name}.*")]:
        (project / "models/intermediate/billing").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, project / "models/intermediate/billing")
    for path in [path for name in SHARED for path in (PROJECT / "models/staging/reference").glob(f"{name}.*")]:
        (project / "models/staging").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, project / "models/staging")
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, project / name)
    for path in [path for name in LEFT_OUT for path in project.rglob(f"{name}.*")]:
        path.unlink()
    for name, sql in STAND_INS.items():
        stand_in = project / "models" / name
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.with_suffix(".yml").unlink(missing_ok=True)
        stand_in.write_text(sql)
    with (project / "seeds/rules/quota_rules.csv").open("a") as rules:
        rules.write(RULES.lstrip())
    for name, rows_of_seed in SHARED_COSTS.items():
        with (project / f"seeds/rules/{name}.csv").open("a") as shared:
            shared.write(rows_of_seed.lstrip())
    for name, csv in (("cases", CASES), ("bills", BILLS)):
        (project / f"seeds/{name}.csv").write_text(csv)
        (project / f"seeds/{name}.yml").write_text(seed_yaml(name, csv))
    database = root / "warehouse.duckdb"
    dbt = Path(sys.executable).parent / "dbt"
    result = subprocess.run(
        [dbt, "build", "--profiles-dir", ".", "--target-path", root / "target", "--log-path", root / "logs"],
        cwd=project,
        env={**os.environ, "LLM_SPEND_DATABASE": str(database), "LLM_SPEND_DESTINATION": "duckdb"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:]
    compile_later_builds(root)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


LEDGER = "int_quota_breach_ledger"


def compile_later_builds(root: Path) -> None:
    """The SQL by which a later build adds to what the first one kept, below the folder `later`."""
    places = ("--profiles-dir", ".", "--target-path", str(root / "later"), "--log-path", str(root / "logs"))
    own = {"LLM_SPEND_DATABASE": str(root / "warehouse.duckdb"), "LLM_SPEND_DESTINATION": "duckdb"}
    (root / "later").mkdir()
    shutil.copy(root / "target/partial_parse.msgpack", root / "later")
    done = run_dbt("compile", "--select", LEDGER, *places, folder=root / "dbt_project", environment=os.environ | own)
    assert done.returncode == 0, done.stdout[-6000:]


def rows(warehouse: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return warehouse.sql(sql).fetchall()


def test_c83_the_5001st_request_breaches_and_exactly_5000_do_not(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert rows(
        warehouse,
        "select subject_type, subject, window_start, used, used_ratio, status, observed_blocks"
        " from llm_spend.llm_quota_usage where rule_id = 'frontend-daily' order by window_start",
    ) == [
        ("team", "frontend", datetime(2026, 3, 14), 5001, Decimal("1.000200"), "breached", 1),
        ("team", "frontend", datetime(2026, 3, 15), 5000, Decimal("1.000000"), "warning", 0),
    ]
    assert rows(
        warehouse,
        "select breached_at, breach_request_key, used, overage, observed_blocks, detected_at, voided_at"
        " from llm_spend.llm_quota_breaches where rule_id = 'frontend-daily'",
    ) == [(datetime(2026, 3, 14, 23, 59, 59), "late14-00001", 5001, 1, 1, datetime(2026, 3, 16, 9), None)]


def test_first_match_leaves_nothing_for_the_next_rule(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert rows(warehouse, "select used from llm_spend.llm_quota_usage where rule_id = 'bob-daily'") == []


def test_each_metadata_value_has_its_own_counter(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert rows(
        warehouse,
        "select subject_type, subject, used, status from llm_spend.llm_quota_usage"
        " where rule_id = 'prod' order by subject",
    ) == [("metadata.project_id", "p1", 150, "breached"), ("metadata.project_id", "p2", 100, "warning")]


def test_c85_limit_0_breaches_at_once_no_limit_is_no_quota_and_a_closed_version_ends(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    assert rows(
        warehouse,
        "select rule_id, window_start, used, overage, breach_request_key from llm_spend.llm_quota_breaches"
        " where rule_set = 'audit' order by window_start",
    ) == [
        ("nobody", datetime(2026, 4, 1), 3, 3, "a-00001"),
        ("nobody", datetime(2026, 4, 30, 23, 59), 1, 1, "c-00001"),
    ]


def test_c87_a_breach_that_is_withdrawn_is_kept_with_the_time_and_stands_again_when_it_comes_back(
    warehouse: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    quotas, later = later_quotas(tmp_path_factory)
    rules = [
        rule("day", "requests_per_day", "3"),
        rule("month", "cost_per_month", "3.5", rule_order="2", time_zone="Europe/Berlin"),
    ]
    spike = costs(*((f"2026-03-14 10:0{minute}", "2026-03-15", "1") for minute in range(5)))
    breaches = (
        "rule_id, breached_at, used, breach_request_key, voided_at is not null",
        "llm_quota_breaches order by all",
    )
    quotas.fill(rules, spike)
    quotas.build()
    found = [("day", datetime(2026, 3, 14, 10, 3), 5, "r3"), ("month", datetime(2026, 3, 14, 10, 3), 5, "r3")]
    assert quotas.rows(*breaches) == [(*each, False) for each in found]

    # The last two were the same requests once more.
    quotas.fill(rules, spike[:3])
    for _ in range(2):
        quotas.build_again(later)
        assert quotas.rows(*breaches) == [(*each, True) for each in found]
        assert quotas.rows("count(*)", "llm_quota_usage where status = 'breached'") == [(0,)]
    # They were not.
    quotas.fill(rules, spike)
    quotas.build_again(later)
    assert quotas.rows(*breaches) == [(*each, False) for each in found]
    # The rule is gone.
    quotas.fill(rules[:1], spike)
    quotas.build_again(later)
    assert quotas.rows(*breaches) == [(*found[0], False), (*found[1], True)]


def test_later_builds_find_the_breaches_that_a_first_one_finds(
    warehouse: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    quotas, later = later_quotas(tmp_path_factory)
    log = Log(5)
    known = set()
    for step in range(3):
        requests = [each for each in log.requests if log.chance.random() < 0.5]
        quotas.fill(log.rules, requests)
        if step:
            quotas.build_again(later)
        else:
            quotas.build()
        columns = f"{COUNTER}, breached_at, breach_request_key, detected_at, used"
        live = set(quotas.rows(columns, "llm_quota_breaches where voided_at is null"))
        assert live == {
            (*counter, request.started_at, request.key, detected_at, window.used)
            for counter, window in windows(log.rules, requests).items()
            if window.status == "breached"
            for request, detected_at in [window.crossing()]
        }
        known |= {row[:4] for row in live}
        voided = {row[:4] for row in quotas.rows(columns, "llm_quota_breaches where voided_at is not null")}
        assert voided == known - {row[:4] for row in live}
        assert step == 0 or len(voided) > 5


def later_quotas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Quotas, str]:
    """The quotas as the first build makes them, and the SQL by which a later one adds to the ledger of breaches."""
    (root,) = tmp_path_factory.getbasetemp().glob("quotas_chargeback*[0-9]")
    return Quotas(quota_sql(root / "target")), compiled_sql(root / "later", LEDGER)


def test_lines_are_whole_cents_that_add_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    lines = rows(
        warehouse,
        "select billing_period, provider, team_id, model_id, exact_cost_usd, amount_usd, unpriced_tokens,"
        " has_unpriced_usage from llm_spend.llm_chargeback_lines where billing_period < '2026-06-01'"
        " order by billing_period, provider, team_id, model_id",
    )
    march, april, may = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)
    nobody = "(unallocated)"
    assert lines == [
        (march, "anthropic", nobody, "claude", Decimal("19.999999999999"), Decimal("20.00"), 0, False),
        (march, "openai", "frontend", "gpt-4o", Decimal("0.045000000000"), Decimal("0.05"), 0, False),
        (april, "openai", "a", "m", Decimal("33.333333333333"), Decimal("33.34"), 0, False),
        (april, "openai", "b", "m", Decimal("33.333333333333"), Decimal("33.33"), 0, False),
        (april, "openai", "c", "(unresolved)", None, None, 37400000, True),
        (april, "openai", "c", "m", Decimal("33.333333333333"), Decimal("33.33"), 0, False),
        (may, "aws", "a", "m", Decimal("0.004999800000"), Decimal("0.00"), 0, False),
        (may, "google", "a", "m", Decimal("0.005000000000"), Decimal("0.01"), 0, False),
        (may, "openai", "a", "m", Decimal("0.020000000000"), Decimal("0.02"), 0, False),
    ]
    assert all(amount is None or amount.as_tuple().exponent == -2 for *_, amount, _, _ in lines)
    types = "select distinct line_type, allocation_method from llm_spend.llm_chargeback_lines where"
    assert sorted(rows(warehouse, f"{types} billing_period < '2026-06-01'")) == [
        ("direct", "own_usage"),
        ("unallocated", "own_usage"),
    ], "without a bill a line is its usage"


def test_statements_share_the_bill(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert rows(
        warehouse,
        "select team_id, direct_usd, unallocated_usd, total_usd, share_of_bill"
        " from llm_spend.llm_chargeback_statements where billing_period = '2026-03-01' order by team_id",
    ) == [
        ("(unallocated)", Decimal("0.00"), Decimal("20.00"), Decimal("20.00"), Decimal("0.997506")),
        ("frontend", Decimal("0.05"), Decimal("0.00"), Decimal("0.05"), Decimal("0.002494")),
    ]


def bill_lines(warehouse: duckdb.DuckDBPyConnection, month: str) -> dict[tuple[str, str, str, str], Decimal]:
    """What the lines of a month charge beside the usage, by provider, team, model and method."""
    found = rows(
        warehouse,
        "select provider, team_id, model_id, allocation_method, exact_cost_usd from llm_spend.llm_chargeback_lines"
        f" where billing_period = '{month}' and allocation_method <> 'own_usage'",
    )
    return {(provider, team, model, method): usd for provider, team, model, method, usd in found}


def test_c65_a_bill_is_spread_by_the_finest_slice_that_it_shares_with_usage(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    # Ratios have 12 digits; what they leave is the largest share's.
    late = {"a": Decimal("5.470588235304"), "b": Decimal("2.647058823522"), "c": Decimal("0.882352941174")}
    expected = {
        ("a", "m", "bill_by_day_and_model"): Decimal("6"),
        ("b", "m", "bill_by_day_and_model"): Decimal("3"),
        ("c", "m", "bill_by_day_and_model"): Decimal("1"),
        ("a", "m", "bill_by_day"): Decimal("0.6"),
        ("b", "m", "bill_by_day"): Decimal("0.3"),
        ("c", "m", "bill_by_day"): Decimal("0.1"),
        # The 3rd has no request, and of the 6th $2 were not billed.
        ("a", "m", "bill_by_month"): late["a"] - 2,
        ("b", "m", "bill_by_month"): late["b"],
        ("c", "m", "bill_by_month"): late["c"],
        # Nobody knows a price: by tokens.
        ("a", "(unresolved)", "bill_by_day_and_model"): Decimal("3"),
        ("b", "(unresolved)", "bill_by_day_and_model"): Decimal("1"),
        ("c", "(none)", "owner_of_seat"): Decimal("200"),
    }
    assert sum(late.values()) == 9
    found = bill_lines(warehouse, "2026-06-01")
    assert found == {("openai", *key): usd for key, usd in expected.items()}
    unpriced = "select sum(unpriced_requests) from llm_spend.llm_chargeback_lines where billing_period = '2026-06-01'"
    assert rows(warehouse, unpriced) == [(2,)]


def test_g78_g81_days_with_a_bill_cost_it_others_their_usage_and_neither_tax_nor_credit_is_passed_on(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    billed, seats, gap, half_a_bill = Decimal("111.5") - Decimal("1.5") + 1 + 9 + 4, 200, 5, 7
    assert rows(
        warehouse,
        "select sum(direct_usd), sum(true_up_usd), sum(commitment_usd), sum(credit_usd), sum(total_usd)"
        " from llm_spend.llm_chargeback_statements where billing_period = '2026-06-01'",
    ) == [(114, billed + gap + half_a_bill - 114, seats, 0, billed + gap + half_a_bill + seats)]


def test_g77_a_commitment_is_paid_whether_used_or_not_and_what_goes_beyond_it_as_well(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    used, unused = "bill_by_month", "unused_commitment"
    lines = rows(
        warehouse,
        "select month(billing_period), line_type, allocation_method, sum(amount_usd)"
        " from llm_spend.llm_chargeback_lines where provider = 'mistral' and billing_period < '2027-06-01'"
        " group by all order by all",
    )
    assert lines == [
        (3, "commitment", used, 7_200),
        (3, "commitment", unused, 2_800),
        (3, "direct", "own_usage", 7_200),
        (3, "true_up", used, -7_200),
        (4, "commitment", used, 10_000),
        (4, "direct", "own_usage", 11_500),
        (4, "true_up", "bill_by_day_and_model", -10_000),
        # The invoice says it itself.
        (5, "commitment", unused, 2_800),
        (5, "direct", "own_usage", 7_200),
        (5, "true_up", "bill_by_day_and_model", 0),
    ]
    statements = rows(
        warehouse,
        "select month(billing_period), sum(direct_usd), sum(commitment_usd), sum(unused_commitment_usd), sum(total_usd)"
        " from llm_spend.llm_chargeback_statements where billing_period >= '2027-03-01' group by all order by all",
    )
    assert statements[:3] == [
        (3, 7_200, 10_000, 2_800, 10_000),
        (4, 11_500, 10_000, 0, 11_500),
        (5, 7_200, 2_800, 2_800, 10_000),
    ]


def test_g77_what_is_left_of_a_commitment_is_shared_as_it_is_and_adds_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    # $3 were used and $1 was billed: $2 of $100 are used up, and a licence has no unused part.
    third = Decimal("32.666666666634")
    found = bill_lines(warehouse, "2027-06-01")
    unused = {team: usd for (_, team, _, method), usd in found.items() if method == "unused_commitment"}
    assert unused == {"a": third + Decimal("0.000000000098"), "b": third, "c": third}
    assert sum(unused.values()) == 98
    used = [usd for (_, _, _, method), usd in found.items() if method == "bill_by_month"]
    assert sum(used) == 100 - 98 + 30
    # Where all of it is left, all that is charged for it is unused, to the last digit.
    idle = bill_lines(warehouse, "2027-07-01")
    assert {(team, method): usd for (_, team, _, method), usd in idle.items() if usd} == {
        ("a", "unused_commitment"): Decimal("0.000000000001"),
        ("b", "unused_commitment"): Decimal("0.000000000003"),
    }
    statements = "from llm_spend.llm_chargeback_statements where billing_period = '2027-06-01'"
    assert rows(warehouse, f"select sum(unused_commitment_usd), sum(total_usd) {statements}") == [(98, 131)]


def test_a_bill_of_token_classes_is_paid_by_who_used_the_class(warehouse: duckdb.DuckDBPyConnection) -> None:
    by_class = "bill_by_day_model_and_class"
    # $20 for what the cache gave to a, and $50 for output: a pays $30, b $40. By what the model cost them, $20 and $40,
    # b would have paid for a's cache. On the 2nd there is one line of input, cached or not: by $10 and $6. On the 3rd
    # $8 are for a class that nobody used, and one that nobody knows. On the 4th nobody knows a price: by tokens.
    assert bill_lines(warehouse, "2027-08-01") == {
        ("mistral", "a", "m", by_class): (30 - 20) + (20 - 10) + (3 - 3),
        ("mistral", "b", "m", by_class): (40 - 40) + (12 - 6) + (1 - 1),
        ("mistral", "a", "m", "bill_by_day_and_model"): 6,
        ("mistral", "b", "m", "bill_by_day_and_model"): 2,
        ("mistral", "a", "(unresolved)", by_class): 3,
        ("mistral", "b", "(unresolved)", by_class): 1 + 6,
    }
    # A bill of a month.
    assert bill_lines(warehouse, "2027-09-01") == {
        ("mistral", "a", "m", "bill_by_month_model_and_class"): 10 - 10,
        ("mistral", "b", "m", "bill_by_month_model_and_class"): (30 - 30) + (10 - 5),
    }
    totals = (
        "select month(billing_period), sum(amount_usd) from llm_spend.llm_chargeback_lines where provider = 'mistral'"
    )
    assert rows(
        warehouse, f"{totals} and billing_period between '2027-08-01' and '2027-09-01' group by 1 order by 1"
    ) == [
        (8, 20 + 50 + 32 + 12 + 10),
        (9, 40 + 10),
    ]


def test_every_word_for_tokens_has_its_class(
    warehouse: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Anthropic's words, and those of FOCUS meters.
    words = {
        "uncached_input_tokens": "uncached_input",
        "cache_read_input_tokens": "cache_read",
        "cache_creation.ephemeral_5m_input_tokens": "cache_write",
        "cache_creation.ephemeral_1h_input_tokens": "cache_write",
        "output_tokens": "output",
        "input": "uncached_input",
        "output": "output",
        "cache_read": "cache_read",
        "cache_write": "cache_write",
        "web_search": None,
    }
    (target,) = tmp_path_factory.getbasetemp().glob("quotas_chargeback*[0-9]/target")
    (compiled,) = target.glob("compiled/llm_spend/models/intermediate/billing/int_bill_charges.sql")
    with duckdb.connect() as books:
        books.execute("attach ':memory:' as warehouse")
        books.execute("create schema warehouse.llm_spend")
        books.register("known", warehouse.sql("from llm_spend.fct_llm_provider_costs limit 1").to_arrow_table())
        values = ", ".join(f"('{word}')" for word in words)
        books.execute(
            "create table warehouse.llm_spend.fct_llm_provider_costs as"
            " select * replace (words.word as cost_key, words.word as token_type)"
            f" from known cross join (values {values}) as words (word)"
        )
        found = dict(books.execute(f"select cost_key, token_class from ({compiled.read_text()})").fetchall())
    assert found == words


def test_what_no_gateway_saw_is_its_owners_and_half_a_bill_waits(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert bill_lines(warehouse, "2026-07-01") == {
        ("anthropic", "a", "m", "bill_by_day_and_model"): 2,
        ("anthropic", "b", "m", "bill_by_day_and_model"): -2,
        # Two accounts behind one gateway, on the day on which both are there.
        ("anthropic", "c", "m", "bill_by_day_and_model"): 1,
        ("anthropic", "b", "(unresolved)", "owner_of_key"): 5,
        ("anthropic", "c", "(none)", "owner_of_key"): 2,
        # Of a key that counts whatever its project, on the day before the gateway called with it.
        ("anthropic", "(unallocated)", "m", "unallocated"): 1 + 6,
        ("anthropic", "x", "m", "bill_by_day_and_model"): 1,
        ("aws", "(unallocated)", "(none)", "unallocated"): 10,
    }
    waiting = "select cost_key from llm_spend_internal.int_bill_allocations where allocation_method = 'waiting'"
    assert rows(warehouse, f"{waiting} and billing_period = '2026-07-01'") == [("three-later",)]
    # A bill of the month is of both days, and of one of them the bill of the other account is missing.
    assert bill_lines(warehouse, "2026-10-01") == {}
    assert rows(warehouse, f"{waiting} and billing_period = '2026-10-01' order by 1") == [("day",), ("month",)]


def test_c66_a_bill_of_thirds_adds_up_to_the_cent(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert bill_lines(warehouse, "2026-08-01") == {
        ("openai", "a", "m", "bill_by_month_and_model"): 40,
        ("openai", "b", "m", "bill_by_month_and_model"): 40,
        ("openai", "a", "m", "bill_by_month"): Decimal("0.003333333334"),
        ("openai", "b", "m", "bill_by_month"): Decimal("0.003333333333"),
        # n was not billed.
        ("openai", "c", "n", "bill_by_month"): Decimal("-9.996666666667"),
    }
    total = "select sum(amount_usd) from llm_spend.llm_chargeback_lines where billing_period = '2026-08-01'"
    assert rows(warehouse, total) == [(Decimal("100.01"),)]


def shared_lines(warehouse: duckdb.DuckDBPyConnection, month: str) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    """Exact and in cents, by provider, cost centre, team and method."""
    found = rows(
        warehouse,
        "select provider, cost_center_id, team_id, allocation_method, exact_cost_usd, amount_usd"
        f" from llm_spend.llm_chargeback_lines where billing_period = '{month}' and line_type = 'shared'",
    )
    return {tuple(key): (exact, amount) for *key, exact, amount in found}


def test_f65_a_platform_is_shared_by_what_teams_cost(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert shared_lines(warehouse, "2026-11-01") == {
        ("portkey", "cc", "a", "proportional_by_cost"): (60, 60),
        ("portkey", "cc", "b", "proportional_by_cost"): (30, 30),
        ("portkey", "cc", "c", "proportional_by_cost"): (10, 10),
    }
    assert rows(
        warehouse,
        "select team_id, direct_usd, shared_usd, total_usd, share_of_bill from llm_spend.llm_chargeback_statements"
        " where billing_period = '2026-11-01' order by team_id",
    ) == [
        ("a", 600, 60, 660, Decimal("0.6")),
        ("b", 300, 30, 330, Decimal("0.3")),
        ("c", 100, 10, 110, Decimal("0.1")),
    ]


def test_f66_thirds_of_a_shared_cost_add_up_and_who_used_nothing_has_one(warehouse: duckdb.DuckDBPyConnection) -> None:
    third = Decimal("33.333333333300")
    assert shared_lines(warehouse, "2027-01-01") == {
        ("portkey", "cc", "a", "even"): (third + Decimal("0.0000000001"), Decimal("33.34")),
        ("portkey", "cc", "b", "even"): (third, Decimal("33.33")),
        ("portkey", "cc-c", "c", "even"): (third, Decimal("33.33")),
    }


def test_g79_an_amount_is_converted_and_charged_in_a_month_that_nobody_used(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    assert shared_lines(warehouse, "2026-12-01") == {("wiki", "cc-c", "c", "even"): (1085, 1085)}


def test_f64_what_a_team_and_nobody_cost_moves_with_seats_and_providers_months_stay_what_they_are(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    platform, untagged = "fixed_weights", "proportional_by_requests"
    assert shared_lines(warehouse, "2027-02-01") == {
        ("openai", "cc", "c", platform): (-40, -40),
        ("openai", "cc-c", "c", platform): (-200, -200),
        ("openai", "cc", "a", platform): (180, 180),
        ("openai", "cc", "b", platform): (60, 60),
        ("anthropic", "cc", "c", platform): (-10, -10),
        ("anthropic", "cc", "a", platform): (Decimal("7.5"), Decimal("7.5")),
        ("anthropic", "cc", "b", platform): (Decimal("2.5"), Decimal("2.5")),
        # Three, one and two of six requests: whoever shares its own costs has its part of others.
        ("openai", "(unallocated)", "(unallocated)", untagged): (-80, -80),
        ("openai", "cc", "a", untagged): (40 + Decimal("0.00000000008"), 40),
        ("openai", "cc", "b", untagged): (Decimal("13.33333333328"), Decimal("13.33")),
        ("openai", "cc", "c", untagged): (Decimal("26.66666666664"), Decimal("26.67")),
    }
    months = "select provider, sum(amount_usd) from llm_spend.llm_chargeback_lines where"
    assert sorted(rows(warehouse, f"{months} billing_period = '2027-02-01' group by 1")) == [
        ("anthropic", 40),
        ("openai", 930 + 40 + 80 + 200),
    ]
    of_nobody = "select unallocated_usd, shared_usd, total_usd from llm_spend.llm_chargeback_statements where"
    assert rows(warehouse, f"{of_nobody} billing_period = '2027-02-01' and team_id = '(unallocated)'") == [(80, -80, 0)]


def test_an_invoice_of_no_account_is_spread_over_all_and_leaves_the_rest_of_the_bill_as_it_is(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    assert bill_lines(warehouse, "2026-09-01") == {
        ("anthropic", "a", "m", "bill_by_day_and_model"): 2,
        ("anthropic", "b", "m", "bill_by_day_and_model"): -2,
        ("anthropic", "a", "m", "bill_by_month"): 1,
        ("anthropic", "b", "m", "bill_by_month"): 1,
    }


def test_whatever_bills_gateways_and_keys_there_are_every_cent_is_charged_once(
    warehouse: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (target,) = tmp_path_factory.getbasetemp().glob("quotas_chargeback*[0-9]/target")
    folders = ("models/intermediate/billing", "tests/chargeback")
    paths = [path for folder in folders for path in target.glob(f"compiled/llm_spend/{folder}/*.sql")]
    compiled = {path.stem: path.read_text() for path in paths}
    names = ("int_requests_daily", "fct_llm_provider_costs", "stg_mapping__provider_accounts", "stg_mapping__org_teams")
    names += ("stg_mapping__provider_owners", "stg_loads__files")
    with duckdb.connect() as books:
        books.execute("attach ':memory:' as warehouse")
        for schema in ("llm_spend", "llm_spend_internal"):
            books.execute(f"create schema warehouse.{schema}")
        for name in names:
            schema = "llm_spend" if name.startswith("fct") else "llm_spend_internal"
            books.register("known", warehouse.sql(f"from {schema}.{name} limit 0").to_arrow_table())
            books.execute(f"create table warehouse.{schema}.{name} as from known")
        warned, methods = Decimal(0), set[str]()
        for seed in range(15):
            _fill(books, random.Random(seed))
            for name in BILLING:
                table = f"warehouse.llm_spend_internal.{name}"
                books.execute(f"create or replace table {table} as {compiled[name]}")
            assert books.execute(compiled["assert_bills_are_charged"]).fetchall() == [], seed
            _check(books, seed)
            of_two_months = _sum(
                books,
                "from warehouse.llm_spend.fct_llm_provider_costs where is_of_record and charge_category = 'Usage'"
                " and cost_date = '2026-09-30' and bucket_end = '2026-10-02' and origin <> 'invoice'",
            )
            assert _sum(books, f"from ({compiled['warn_bills_across_months']})") == of_two_months, seed
            warned += of_two_months
            methods |= {
                method for (method,) in books.execute("select allocation_method from int_true_up_lines").fetchall()
            }
        assert warned
        assert methods >= {"bill_by_day_model_and_class", "bill_by_month_model_and_class", "bill_by_month_and_model"}


def _fill(books: duckdb.DuckDBPyConnection, chance: random.Random) -> None:
    """Usage of four gateways, bills of three accounts with two keys, and what seeds may say of them."""
    gateways, accounts, keys = "pqrs", "123", ["'k1'", "'k2'", "null"]
    usage, bills, mapping = [], [], []
    for day in range(4):
        date_of = f"date '2026-09-29' + {day}"
        for gateway, team, model in product(gateways, "abc", "xyz"):
            if chance.random() < 0.3:
                cost = chance.choice([None, Decimal(0), Decimal(chance.randrange(10**13)).scaleb(-12)])
                parts = {name: cost and cost / chance.choice([4, 5, 10**6]) for name in CLASSES}
                usage.append(
                    f"""
                    select {date_of} as usage_date, 'generic' as source_system, '{gateway}' as source_instance,
                        'openai' as provider, 'openai' as channel, '{model}' as model_id, '{model}' as resolved_model,
                        'cc' as cost_center_id, '{team}' as team_id, true as is_of_record,
                        {_columns("cost_usd", parts | {"": cost})}, {int(cost is None)} as unpriced_requests,
                        {_columns("tokens", {name: chance.choice([0, 7, 1000]) for name in (*CLASSES, "total")})}
                    """
                )
        for account, number in product(accounts, range(3)):
            if chance.random() < 0.6:
                usd = Decimal(chance.randrange(-(10**12), 10**13)).scaleb(-12)
                category = chance.choice(["Usage", "Usage", "Usage", "Adjustment", "Purchase", "Credit"])
                cost_type = chance.choice(["'commitment'", "'commitment'", "'unused_commitment'", "'seat'", "null"])
                origin = chance.choice(["api", "api", "file", "invoice", "seat"])
                bills.append(
                    f"""
                    select '{account}-{day}-{number}' as cost_key, 'primary' as profile, 'openai' as provider,
                        '{chance.choice([account] * 9 + [""])}' as source_instance, {date_of} as cost_date,
                        date_trunc('month', {date_of}) as billing_period, {date_of} as bucket_start,
                        {date_of} + {chance.choice([1, 1, 2])} as bucket_end, '{origin}' as origin,
                        '{category}' as charge_category, {chance.random() < 0.9} as is_of_record,
                        {cost_type} as cost_type,
                        '{chance.choice(["", "api_key_id"])}' as grouping, {chance.choice(keys)} as api_key_id,
                        {chance.choice(["'x'", "'y'", "'w'", "null"])} as model_id,
                        {chance.choice(["'input'", "'output'", "'cache_read'", "'cache_write'", "'?'", "null"])}
                            as token_type,
                        {chance.choice([usd, usd, usd, usd, usd, "null"])} as billed_usd
                    """
                )
    for account, gateway in product(accounts, gateways):
        if chance.random() < 0.3:
            since = chance.choice(["2026-01-01", "2026-01-01", "2026-10-01"])
            mapping.append(
                f"""
                select 'openai' as provider, 'generic' as source_system, {chance.choice(keys)} as api_key_id,
                    {chance.choice([f"'{account}'", f"'{account}'", "null"])} as provider_instance,
                    {chance.choice([f"'{gateway}'", f"'{gateway}'", "null"])} as source_instance,
                    date '{since}' as valid_from, date '9999-12-31' as valid_to
                """
            )
    for table, rows_of in {
        "llm_spend_internal.int_requests_daily": usage,
        "llm_spend.fct_llm_provider_costs": bills,
        "llm_spend_internal.stg_mapping__provider_accounts": mapping,
    }.items():
        books.execute(f"delete from warehouse.{table}")
        if rows_of:
            books.execute(f"insert into warehouse.{table} by name {' union all '.join(rows_of)}")


def _columns(measure: str, values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{'null' if value is None else value} as {f'{name}_{measure}' if name else measure}"
        for name, value in values.items()
    )


def _check(books: duckdb.DuckDBPyConnection, seed: int) -> None:
    books.execute("use warehouse.llm_spend_internal")
    bills = "from warehouse.llm_spend.fct_llm_provider_costs where is_of_record and charge_category <> 'Credit'"
    charged = _sum(books, bills)
    waiting = _sum(books, "from int_bill_allocations where allocation_method = 'waiting'")
    assert _sum(books, "from int_true_up_lines") + waiting == charged, seed
    assert _unused(books) == _expected_unused(books), seed
    pools = "select distinct billing_period, provider, source_system, source_instance, pool from int_bill_pools"
    split = f"from ({pools}) select billing_period, source_instance group by all having count(*) > 1"
    assert books.execute(split).fetchall() == [], f"{seed}: a gateway is in one pool"


def _unused(books: duckdb.DuckDBPyConnection) -> dict[date, Decimal]:
    found = books.execute(
        "select billing_period, sum(billed_usd) from int_true_up_lines where allocation_method = 'unused_commitment'"
        " group by all having sum(billed_usd) <> 0"
    ).fetchall()
    return dict(found)


def _expected_unused(books: duckdb.DuckDBPyConnection) -> dict[date, Decimal]:
    """By month: what bills call unused, and of commitments what is left when usage that was not billed is paid."""
    months: dict[date, list[Decimal]] = {}
    for month, committed, told, billed in books.execute(
        """
        select
            billing_period, coalesce(sum(billed_usd) filter (commitment = 'commitment'), 0),
            coalesce(sum(billed_usd) filter (commitment = 'unused_commitment'), 0),
            coalesce(sum(billed_usd) filter (
                slice_date is not null and (cost_key in (
                    select cost_key from warehouse.llm_spend.fct_llm_provider_costs
                    where charge_category in ('Usage', 'Adjustment')
                ))
            ), 0)
        from int_bill_allocations where allocation_method <> 'waiting' group by all
        """
    ).fetchall():
        months[month] = [committed, told, -billed]
    for month, usage in books.execute(
        "select billing_period, sum(usage_usd) from int_true_up_lines group by 1"
    ).fetchall():
        months.setdefault(month, [Decimal(0), Decimal(0), Decimal(0)])[2] += usage
    unused = {
        month: told + max(committed - max(covered, Decimal(0)), Decimal(0))
        for month, (committed, told, covered) in months.items()
    }
    return {month: usd for month, usd in unused.items() if usd}


def _sum(books: duckdb.DuckDBPyConnection, rows_of: str) -> Decimal:
    ((usd,),) = books.execute(f"select coalesce(sum(billed_usd), 0) {rows_of}").fetchall()
    return Decimal(usd)
