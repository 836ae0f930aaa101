"""A build does what can have changed since the last one that passed, and the destination says what that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_spend.build import BuildReport, build, project_dir
from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.sources import generic
from tests.conftest import long, query

pytestmark = pytest.mark.slow

MAPPING = generic.Mapping.model_validate(
    {
        "source": "InHouse",
        "columns": {
            "source_record_id": "id",
            "started_at": "ts",
            "input_tokens": "ctx",
            "provider_response_id": "id",
        },
        "defaults": {"provider": "openai", "raw_model": "no-such-model"},
        "metadata": ["squad"],
    }
)


class Office:
    """A log folder, seeds and a database; each step is one command of a user."""

    def __init__(self, folder: Path) -> None:
        self.logs, self.seeds, self.database = folder / "logs", folder / "seeds", folder / "office.duckdb"
        self.logs.mkdir()
        self.seeds.mkdir()
        self.write_rules("squad")
        (self.seeds / "unpriced_models.csv").write_text("model_pattern,valid_from,valid_to,reason\n*,,,Not known\n")
        self._price_in_euros()
        self._log_twice()

    def write_rules(self, key: str) -> None:
        rule = f"dimension,source_system,metadata_key,priority\nteam,InHouse,{key},1\n"
        (self.seeds / "attribution_rules.csv").write_text(rule, encoding="utf-8")

    def _price_in_euros(self) -> None:
        """What a build warns of: there is no rate for it."""
        packaged = project_dir() / "seeds" / "prices" / "price_overrides.csv"
        header = packaged.read_text(encoding="utf-8").splitlines()[0].split(",")
        row = dict.fromkeys(header, "") | {
            "price_id": "office-llm",
            "provider": "office",
            "channel": "office",
            "model_id": "office-llm",
            "usage_unit": "input_tokens",
            "unit_size": "1000000",
            "unit_price": "2",
            "currency": "EUR",
            "reason": "Ours",
            "source_url": "https://office.example",
        }
        lines = [",".join(header), ",".join(row.values())]
        (self.seeds / packaged.name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _log_twice(self) -> None:
        """A tracer has the same calls, and so has a copy of it; the log and the copy count until there is a rule."""
        (self.seeds / "sources_of_record.csv").write_text(
            "rule_order,source_system,source_instance,provider,model_pattern,valid_from,valid_to,is_of_record,reason\n"
            "1,inhouse,tracer,OpenAI,no-such-*,2026-11-03,,false,The log counts\n",
            encoding="utf-8",
        )

    def load(self, record: str, day: str) -> None:
        (self.logs / f"{record}.csv").write_text(f"id,ts,ctx,squad\n{record},{day} 10:00:00,9,ads\n", encoding="utf-8")
        load_logs("generic", str(self.logs), DuckDb(self.database), mapping=MAPPING)
        if record == "a":
            for instance in ("tracer", "copy"):
                load_logs("generic", str(self.logs), DuckDb(self.database), mapping=MAPPING, instance=instance)

    def build(self) -> BuildReport:
        return build(DuckDb(self.database), seeds=self.seeds)

    def teams(self) -> list[tuple[Any, ...]]:
        facts = "llm_spend.fct_llm_requests where source_instance = 'default'"
        return query(self.database, f"select source_record_id, team_id from {facts} order by all")


COUNTED = "select source_instance, is_of_record, cost_basis, total_tokens from llm_spend.fct_llm_requests order by all"
USAGE = "select attempts, total_tokens, unpriced_requests from llm_spend.llm_usage_by_model_daily"
HEALTH = (
    "select source_instance, attempts, attempts_counted_elsewhere, unpriced_attempts from llm_spend.llm_source_health"
)
OVERLAPS = """
    select source_instance, other_source_instance, calls_in_common, calls_counted_twice, is_covered
    from llm_spend.llm_source_overlaps order by all
"""


def assert_the_rule_holds(office: Office, report: BuildReport) -> None:
    """Of one call in three logs the tracer's is not of record; log and copy count twice, which is warned of."""
    assert query(office.database, COUNTED) == [
        ("copy", True, "unknown", 9),
        ("default", True, "unknown", 9),
        ("tracer", False, "counted_elsewhere", 9),
    ]
    assert query(office.database, USAGE) == [(2, 18, 2)]
    assert sorted(query(office.database, HEALTH)) == [("copy", 1, 0, 1), ("default", 1, 0, 1), ("tracer", 1, 1, 0)]
    assert query(office.database, OVERLAPS) == [
        ("copy", "default", 1, 1, False),
        ("copy", "tracer", 1, 0, True),
        ("default", "tracer", 1, 0, True),
    ]
    assert any("warn_calls_counted_twice" in warning for warning in report.warnings)


@long
def test_what_changed_is_built_and_nothing_else(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.load("a", "2026-11-03")
    first = office.build()
    assert first.ok and first.nothing_new_since is None
    assert any("warn_prices_without_rate" in warning for warning in first.warnings)
    assert_the_rule_holds(office, first)

    again = office.build()
    assert again.ok and again.nothing_new_since is not None
    assert (again.models, again.tests, again.warnings) == (0, 0, first.warnings)

    office.load("b", "2026-11-04")
    loaded = office.build()
    assert loaded.ok and 0 < loaded.models < first.models and 0 < loaded.tests < first.tests
    assert len(loaded.warnings) == len(first.warnings)
    assert office.teams() == [("a", "ads"), ("b", "ads")]

    office.write_rules(" ")
    failed = office.build()
    assert failed.failed_tests
    assert failed.models + failed.skipped == first.models, "other seeds: everything"
    assert office.build().failed_tests == failed.failed_tests, "a build that failed is no last build"
