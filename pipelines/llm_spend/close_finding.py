"""What is not as it should be before a month is closed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be before a month is closed. `name` is recorded when it is closed anyway."""

    name: str
    problem: str
    remedy: str = ""
    is_warning: bool = False
