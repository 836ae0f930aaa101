"""One number, four ways: the mart, the report, Looker and the extract for Tableau say the same, to the last digit."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from llm_spend.destinations import DuckDb
from llm_spend.report.payload import payload
from llm_spend.report.read import read
from tests.bi.hyper_file import opened, rows
from tests.bi.looker_project import Project
from tests.conftest import Demo, query

pytestmark = pytest.mark.slow

FIRST, AFTER = date(2026, 10, 1), date(2026, 11, 1)
Numbers = tuple[Decimal | None, int, int]


def of_the_mart(demo: Demo) -> dict[str, Numbers]:
    sql = f"""
        select team_id, sum(cost_usd), sum(total_tokens), sum(unpriced_tokens) from llm_spend.llm_usage_by_team_daily
        where usage_date >= '{FIRST}' and usage_date < '{AFTER}' group by team_id
    """
    return {team: (cost, int(tokens), int(unpriced)) for team, cost, tokens, unpriced in query(demo.database, sql)}


def of_the_report(demo: Demo) -> dict[str, Numbers]:
    content = payload(read(DuckDb(demo.database), FIRST, now=datetime(2026, 11, 2)))
    cube = content["joint"]
    origin = date.fromisoformat(content["origin"])
    inside = [FIRST <= origin + timedelta(days=start) < AFTER for start in cube["starts"]]
    found: dict[str, list[tuple[Decimal | None, int, int]]] = defaultdict(list)
    for number, period in enumerate(cube["period"]):
        if inside[period]:
            team = cube["names"]["team"][cube["members"]["team"][number]]
            micro = cube["micro"][number]
            cost = None if micro is None else Decimal(micro * 10**6 + cube["pico"][number]).scaleb(-12)
            measures = cube["measures"]
            found[team].append((cost, measures["total_tokens"][number], measures["unpriced_tokens"][number]))
    return {
        team: (
            sum((each[0] for each in parts if each[0] is not None), Decimal(0)),
            sum(each[1] for each in parts),
            sum(each[2] for each in parts),
        )
        for team, parts in found.items()
    }


def of_looker(demo: Demo, project: Project) -> dict[str, Numbers]:
    names = ["team_id", "cost_usd", "total_tokens", "unpriced_tokens"]
    fields = [f"llm_usage_daily.{name}" for name in names]
    month = project.sql("llm_usage_daily.usage_month")
    sql = project.query("llm_usage_daily", fields, f"{month} = date '{FIRST}'") + " group by 1"
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        found = connection.execute(sql).fetchall()
    return {team: (cost, int(tokens), int(unpriced)) for team, cost, tokens, unpriced in found}


def of_tableau(extracts: Path, work: Path) -> dict[str, Numbers]:
    sql = f"""
        select team_id, sum(cost_usd), sum(total_tokens), sum(unpriced_tokens) from "Extract"."llm_usage_daily"
        where usage_date >= date '{FIRST}' and usage_date < date '{AFTER}' group by team_id
    """
    with opened(extracts / "llm_usage_daily.tdsx", work) as connection:
        return {team: (cost, int(tokens), int(unpriced)) for team, cost, tokens, unpriced in rows(connection, sql)}


def test_every_tool_says_the_same(demo: Demo, project: Project, extracts: Path, tmp_path: Path) -> None:
    mart = of_the_mart(demo)
    assert len(mart) > 5 and "(unallocated)" in mart and any(unpriced for _, _, unpriced in mart.values())
    assert of_looker(demo, project) == mart
    assert of_tableau(extracts, tmp_path) == mart
    assert of_the_report(demo) == mart
