"""An in-house log as plain CSV, `other/self_hosted.csv.gz`, and its mapping file for the generic source."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import yaml

from llm_spend.demo.calls import Call, clock
from llm_spend.demo.gateways import GENERIC_INSTANCE, SELF_HOSTED
from llm_spend.demo.portkey import untidy

HEADER = (
    "request_id", "ts", "model", "vendor", "ctx", "gen", "usr", "took_ms",
    "team", "feature", "customer_id", "environment", "plan", "release", "session_note",
    "rating",
)  # fmt: skip
_METADATA = ("team", "feature", "customer_id", "environment", "plan", "release", "session_note")

MAPPING = {
    "source": SELF_HOSTED,
    "instance": GENERIC_INSTANCE,
    "columns": {
        "source_record_id": "request_id",
        "started_at": "ts",
        "raw_model": "model",
        "provider": "vendor",
        "input_tokens": "ctx",
        "output_tokens": "gen",
        "user": "usr",
        "latency_ms": "took_ms",
        "feedback_score": "rating",
    },
    "defaults": {"provider": "openai"},
    "metadata": list(_METADATA),
}


def write_mapping(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(MAPPING, sort_keys=False), encoding="utf-8")


def render(call: Call, is_placeholder: bool) -> list[str]:
    """One row a call."""
    attempt = call.attempts[0]
    digit = int(call.style * 1000)
    tokens = attempt.tokens
    return [
        row(
            (
                attempt.record_id,
                clock(attempt.started_ms),
                attempt.model.raw,
                attempt.model.provider if digit % 3 else "",
                str(tokens.input) if tokens is not None else "",
                str(tokens.output) if tokens is not None else "",
                untidy(call.tagged_user, digit) if call.tagged_user else "",
                str(attempt.latency_ms),
                *(call.tags.get(name, "") for name in _METADATA),
                "" if call.rating is None else str(call.rating),
            )
        )
    ]


def wrong_type(line: str) -> str:
    """The same row under another id, with text where tokens belong."""
    cells = next(csv.reader([line]))
    cells[0] = f"x{cells[0]}"
    cells[4] = "abc"
    return row(cells)


def row(cells: tuple[str, ...] | list[str]) -> str:
    """One CSV line, without its line feed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
