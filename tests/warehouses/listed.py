"""What a gateway knows besides requests, loaded in one go: lists, of which a later one differs, totals and feedback."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from llm_spend.destinations import Destination
from llm_spend.load import open_pipeline
from llm_spend.readers.files import LogFile
from llm_spend.readers.records import LogFormat
from llm_spend.readers.resources import log_source
from llm_spend.sources import shared_tables as shared
from llm_spend.windows import Window

Row = dict[str, Any]

SOURCE = "portkey"
MOMENTS = (datetime(2026, 8, 5, 10), datetime(2026, 8, 7, 10))


def _user(number: int, **others: Any) -> Row:
    return {"member_type": "user", "member_id": f"u{number}", "email": f"U{number}@acme.example", **others}


def _limit(**others: Any) -> Row:
    return {
        "limit_id": "l1",
        "name": "All of search",
        "limit_kind": "budget",
        "scope_type": "team",
        "scope": {"team": "search"},
        "counter_keys": ["user"],
        "measure": "cost",
        "limit_value": "250.5",
        "limit_unit": "usd",
        "window_unit": "month",
        "enforcement": "enforce",
        "alert_thresholds": [0.5, 0.9],
        **others,
    }


def _used(amount: str, **others: Any) -> Row:
    period = {"period_start": "2026-08-01T00:00:00Z", "period_end": "2026-09-01T00:00:00Z"}
    return {"limit_id": "l1", "entity": "u1", **period, "used_value": amount, "used_unit": "us_cent", **others}


LISTS: Mapping[str, tuple[LogFormat, Sequence[Row], Sequence[Row]]] = {
    "members": (
        shared.members_format(SOURCE),
        [
            _user(1, name="Ann", team_ids=["t1"], created_at="2026-07-01T00:00:00Z"),
            _user(2, team_ids=["t1", "t2"]),
            {"member_type": "team", "member_id": "t1", "name": "listed-search"},
            {"member_type": "api_key", "member_id": "k1", "name": "nightly", "owner_type": "user", "owner_id": "u1"},
        ],
        [
            _user(1, name="Ann", team_ids=["t1"], created_at="2026-07-01T00:00:00Z", status="INACTIVE"),
            {"member_type": "team", "member_id": "t1", "name": "listed-search"},
            {"member_type": "api_key", "member_id": "k1", "name": "nightly", "owner_type": "user", "owner_id": "u1"},
        ],
    ),
    "limits": (shared.limits_format(SOURCE), [_limit()], [_limit(limit_value="300")]),
    "limit_usage": (
        shared.limit_usage_format(SOURCE),
        [_used("20040", limit_value="250.5")],
        [_used("30000.5", limit_value="300", status="Exhausted")],
    ),
    "runs": (
        shared.runs_format("mlflow"),
        [{"run_id": "r1", "run_name": "first", "status": "RUNNING", "started_at": "2026-08-03T09:00:00Z"}],
        [{"run_id": "r1", "run_name": "first", "status": "FINISHED", "tags": {"team": "search", "cost.center": "7"}}],
    ),
}


def load_listed(destination: Destination, folder: Path, instance: str, record: Mapping[str, Any]) -> None:
    """Load it all for an instance; the feedback is about a record of its log, and about the record's trace."""
    folder.mkdir(parents=True, exist_ok=True)
    in_order = dict(enumerate(MOMENTS, start=1))

    def file(entity: str, number: int, rows: Sequence[Row], window: Window | None = None) -> LogFile:
        path = folder / f"{entity}-{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return LogFile(str(path), str(path), path.stat().st_size, in_order[number], window)

    midnight = datetime.fromisoformat(record["created_at"][:10])
    day = Window(midnight, midnight + timedelta(days=1))
    bucket = {
        "bucket_start": day.start.isoformat() + "Z",
        "bucket_end": day.end.isoformat() + "Z",
        "cost_unit": "us_cent",
    }
    given_at = day.start.isoformat().replace("T00", "T23") + "Z"
    totals = [
        {
            **bucket,
            "dimension": "all",
            "requests": 1000,
            "total_tokens": 5,
            "cost_amount": "123.45",
            "cost_unit": "us_cent",
        },
        {**bucket, "dimension": "metadata:team", "member": "search", "requests": 7, "weighted_feedback_sum": "2.5"},
    ]
    feedback = [
        {"given_at": given_at, "record_id": record["id"], "value": 5, "weight": 0.5},
        {"given_at": given_at, "trace_id": record["trace_id"], "value": -1},
    ]
    with open_pipeline(destination) as pipeline:
        sources = [
            log_source(
                shared.observed(fmt, MOMENTS[-1]),
                [file(entity, 1, earlier), file(entity, 2, later)],
                instance,
                entity=entity,
            )
            for entity, (fmt, earlier, later) in LISTS.items()
        ]
        windows = {
            "totals": (shared.totals_format(SOURCE), totals),
            "feedback": (shared.feedback_format(SOURCE), feedback),
        }
        sources += [
            log_source(fmt, [file(entity, 1, rows, day)], instance, entity=entity)
            for entity, (fmt, rows) in windows.items()
        ]
        pipeline.run(sources)
