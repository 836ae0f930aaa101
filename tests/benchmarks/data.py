"""The data of the benchmark: Portkey logs by the demo generator, written once a size and kept.

Beside the history of 60 days there are rows that come later: one new day, and late rows of three old days.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from pathlib import Path
from shutil import rmtree
from typing import Any

import yaml

from llm_spend.demo import LAST_DAY, generate, organisation, portkey, traffic
from llm_spend.demo.files import write_gzip
from llm_spend.demo.gateways import PORTKEY
from llm_spend.rules import import_

DAYS = 60
NEW_DAY = LAST_DAY + timedelta(days=1)
OLD_DAYS = tuple(LAST_DAY - timedelta(days=back) for back in (45, 30, 15))
LATE_SHARE = 0.01
"""Late rows of an old day, in requests of an average day."""

_SEED, _LATE_SEED = 7, 8
_FIRST_DAY = LAST_DAY - timedelta(days=DAYS - 1)
_FORMAT = 4
# What is measured is requests: there are no bills, so nothing must say whose they are.
_BILLS = ("provider_accounts", "provider_owners", "provider_invoices", "seats")


@dataclass(frozen=True)
class DataSet:
    """Logs of `requests` requests over 60 days, the seeds of the organisation, and what arrives later."""

    folder: Path
    requests: int

    @property
    def history(self) -> list[Path]:
        """The log files of the 60 days."""
        return sorted(self.folder.glob("portkey/*/*.jsonl.gz"))

    @property
    def history_glob(self) -> str:
        return f"{self.folder}/portkey/*/*.jsonl.gz"

    @property
    def seeds(self) -> Path:
        return self.folder / "seeds"

    @property
    def new_day(self) -> Path:
        """A sixtieth of the requests, on the day after the history."""
        return self.folder / "later" / f"new-day-{NEW_DAY}.jsonl.gz"

    @property
    def late_rows(self) -> Path:
        """Requests of three old days that no file of the history has."""
        return self.folder / "later" / "late-rows.jsonl.gz"


def prepare(folder: Path, requests: int) -> DataSet:
    """The data set of a size below `folder`; written if it is not there yet."""
    data = DataSet(folder / f"data-{requests}", requests)
    marker = data.folder / "complete.json"
    if marker.exists() and json.loads(marker.read_text(encoding="utf-8"))["format"] == _FORMAT:
        return data
    rmtree(data.folder, ignore_errors=True)
    report = generate(data.folder, requests, seed=_SEED, days=DAYS, gateways=(PORTKEY,))
    a_day = requests // DAYS
    _write_calls(data.new_day, _SEED, [NEW_DAY], a_day)
    _write_calls(data.late_rows, _LATE_SEED, OLD_DAYS, max(1, ceil(a_day * LATE_SHARE)))
    import_(data.folder / "rules" / "rate-limits.yaml", data.seeds)
    for seed in _BILLS:
        (data.seeds / f"{seed}.csv").unlink()
    windows = data.folder / "rules" / "windows.yaml"
    windows.write_text(yaml.safe_dump(window_rules(a_day), sort_keys=False), encoding="utf-8")
    import_(windows, data.seeds, evaluation="all_match")
    budgets = data.folder / "rules" / "team-budgets.yaml"
    budgets.write_text(yaml.safe_dump(budget_rules(a_day), sort_keys=False), encoding="utf-8")
    import_(budgets, data.seeds)
    marker.write_text(json.dumps({"format": _FORMAT, "attempts": report.attempts}), encoding="utf-8")
    return data


def _write_calls(path: Path, seed: int, days: Sequence[date], requests_a_day: int) -> None:
    """Calls of some days, each once: rows that arrive twice are part of the history."""
    org = organisation.build(_SEED, _FIRST_DAY, LAST_DAY)
    plan = traffic.Plan(seed, tuple(days), (requests_a_day,) * len(days), {}, (PORTKEY,))
    lines = [
        line
        for index in range(len(days))
        for call in traffic.Day(plan, org, index).calls()
        for line in portkey.render(call, False)
    ]
    write_gzip(path, lines)


def window_rules(daily_requests: int) -> dict[str, Any]:
    """A rule set that counts every request by minute, by hour and by day; a few windows are over their limit."""

    def rule(name: str, unit: str, per: str, limit: float) -> dict[str, Any]:
        return {
            "id": name,
            "when": {},
            "limit_to": ceil(limit),
            "unit": unit,
            "rate_limit_applies_per": [per],
        }

    return {
        "name": "windows",
        "type": "gateway-rate-limiting-config",
        "rules": [
            rule("user-minute", "requests_per_minute", "user", max(1, daily_requests * 0.0005)),
            rule("team-hour", "tokens_per_hour", "team", daily_requests * 100),
            rule("user-day", "tokens_per_day", "user", daily_requests * 300),
        ],
    }


def budget_rules(daily_requests: int) -> dict[str, Any]:
    """A budget of every team and month; some are overspent."""
    limit = f"{daily_requests * 0.036:.2f} USD per month"
    return {
        "type": "llm-spend-quotas",
        "name": "budgets",
        "rules": [{"id": "team-month", "limit": limit, "per": "team", "warn_at": [50, 80, 100]}],
    }


def deliver(files: Iterable[Path], inbox: Path) -> None:
    """Lets files appear in a folder, as an exporter would put them there."""
    inbox.mkdir(parents=True, exist_ok=True)
    for file in files:
        os.link(file, inbox / f"{file.parent.name}-{file.name}")
