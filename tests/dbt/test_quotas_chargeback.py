"""Quotas and chargeback over a stand-in for fct_llm_requests, compared as exact Decimals.

dbt's own unit tests cast what they expect to the type of the column (0.0750 equals a stored 0.08), so cents
are checked here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

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
LEFT_OUT = ("int_source_overlaps", "llm_gateway_limits", "llm_gateway_limit_usage", "assert_period_close_usable")

# One line is `copies` requests, a second apart; cost_usd is of each. Times are UTC.
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
"""

# The columns that the models under test read.
STAND_IN = """
select
    name || '-' || lpad(cast(n as varchar), 5, '0') as request_key,
    cast(cast(started_at as timestamp) as date) as usage_date,
    cast(started_at as timestamp) + to_seconds(n - 1) as started_at,
    cast(loaded_at as timestamp) as loaded_at,
    'generic' as source_system,
    'default' as source_instance,
    provider,
    model_id,
    model_id as resolved_model,
    coalesce(model_id, 'gpt-7') as requested_model,
    status,
    replace(user_id, '?', '(unallocated)') as user_id,
    replace(team_id, '?', '(unallocated)') as team_id,
    replace(cc, '?', '(unallocated)') as cost_center_id,
    provider as channel,
    account as virtual_account,
    json_object('env', split_part(metadata, '/', 1), 'project_id', split_part(metadata, '/', 2)) as metadata,
    true as is_final_attempt,
    false as is_gateway_cache_hit,
    true as is_of_record,
    cast(tokens as bigint) as input_tokens,
    cast(tokens as bigint) * 0 as output_tokens,
    cast(tokens as bigint) as total_tokens,
    cast(cost_usd as decimal(38, 12)) as cost_usd,
    cast(null as decimal(38, 12)) as gateway_reported_usd,
    'ok' as token_quality,
    false as is_metadata_unreadable,
    'list' as cost_basis,
    case when cost_usd is null then 'unpriced' else 'priced' end as price_status
from (select *, unnest(range(1, cast(copies as bigint) + 1)) as n from {{ ref('cases') }})
"""

DATES = """
select distinct
    usage_date,
    'requests of ' || usage_date as date_version,
    'quotas of ' || usage_date as quota_version,
    timestamp '2026-05-02' as versioned_at
from {{ ref('fct_llm_requests') }}
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
    cast(null as varchar) as provider,
    cast(null as varchar) as cost_center_id,
    cast(null as varchar) as team_id,
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

STAND_INS = {
    "marts/core/fct_llm_requests.sql": STAND_IN,
    "intermediate/dates/int_usage_dates.sql": DATES,
    "intermediate/pricing/int_closed_periods.sql": CLOSED,
    "intermediate/chargeback/int_restated_daily.sql": RESTATED,
}

COLUMN_TYPES = ", ".join(f"{column}: string" for column in CASES.splitlines()[0].split(","))
SEED_YAML = f"seeds: [{{name: cases, config: {{column_types: {{{COLUMN_TYPES}}}}}}}]"

RULES = """
limits,frontend-daily,1,first_match,team,frontend,,,,,requests_per_day,5000,2020-01-01,
limits,bob-daily,2,first_match,user,Bob@X.io,,,,,requests_per_day,1,2020-01-01,
limits,prod,3,first_match,virtualaccount,va-james,claude,env,prod,metadata.project_id,tokens_per_hour,100,2020-01-01,
audit,nobody,1,all_match,user,u,,,,,requests_per_minute,0,2020-01-01,2026-05-01
audit,unlimited,2,all_match,*,*,,,,,requests_per_day,,2020-01-01,
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root = tmp_path_factory.mktemp("quotas_chargeback")
    project = root / "dbt_project"
    for part in KEPT:
        shutil.copytree(PROJECT / part, project / part)
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
    (project / "seeds/cases.csv").write_text(CASES)
    (project / "seeds/cases.yml").write_text(SEED_YAML)
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
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


def rows(warehouse: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return warehouse.sql(sql).fetchall()


def test_the_5001st_request_breaches_and_exactly_5000_do_not(warehouse: duckdb.DuckDBPyConnection) -> None:
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


def test_limit_0_breaches_at_once_no_limit_is_no_quota_and_a_closed_version_ends(
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


def test_lines_are_whole_cents_that_add_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    lines = rows(
        warehouse,
        "select billing_period, provider, team_id, model_id, exact_cost_usd, amount_usd, unpriced_tokens,"
        " has_unpriced_usage from llm_spend.llm_chargeback_lines"
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


def test_statements_share_the_bill(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert rows(
        warehouse,
        "select team_id, direct_usd, unallocated_usd, total_usd, share_of_bill"
        " from llm_spend.llm_chargeback_statements where billing_period = '2026-03-01' order by team_id",
    ) == [
        ("(unallocated)", Decimal("0.00"), Decimal("20.00"), Decimal("20.00"), Decimal("0.997506")),
        ("frontend", Decimal("0.05"), Decimal("0.00"), Decimal("0.05"), Decimal("0.002494")),
    ]
