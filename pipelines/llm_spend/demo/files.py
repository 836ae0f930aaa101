"""Files of the demo: gzip without a time stamp, so that equal content is equal bytes."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

Record = dict[str, Any]


def dumps(value: Any) -> str:
    """Compact JSON."""
    return orjson.dumps(value).decode()


def usd_number(units: int) -> float:
    """An amount as gateways write it, as a JSON number.

    Exact: an amount of the demo has at most 15 significant digits, so the shortest text of the nearest double
    is the amount itself.
    """
    return units / 10**12


def cents_number(units: int) -> float:
    return units / 10**10


def write_gzip(path: Path, lines: Iterable[str], *, end: str = "") -> int:
    """Writes lines, and `end` without a line feed. Returns the size of the file in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join([f"{line}\n" for line in lines]) + end
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed:
        packed.write(text.encode())
    return path.stat().st_size


def write_json(path: Path, content: str) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path.stat().st_size
