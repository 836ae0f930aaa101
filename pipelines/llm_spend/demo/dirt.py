"""Lines that no loader can read, and the ways one line reaches the files more than once or late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from llm_spend.demo.calls import Call

MALFORMED, TRUNCATED, WRONG_TYPE = "malformed", "truncated", "wrong_type"


@dataclass
class Outbox:
    """Lines of one source and instance on their way into day files: `waiting` are those for a later day."""

    waiting: dict[int, list[str]] = field(default_factory=dict)

    def collect(self, calls: list[Call], day_index: int, render: Callable[[Call, bool], list[str]]) -> list[str]:
        """The lines of the file of this day. `render(call, is_placeholder)` yields the lines of one call."""
        lines = self.waiting.pop(day_index, [])
        for call in calls:
            rendered = render(call, False)
            match call.delivery:
                case "duplicate":
                    lines += rendered * 2
                case "overlap":
                    lines += rendered
                    self.waiting.setdefault(day_index + 1, []).extend(rendered)
                case "grown":
                    lines += render(call, True)
                    self.waiting.setdefault(day_index + 1, []).extend(rendered)
                case "late":
                    self.waiting.setdefault(day_index + 3, []).extend(rendered)
                case _:
                    lines += rendered
        return lines


def broken_line(line: str) -> str:
    """A line that stopped being JSON: a field lost its colon."""
    return line.replace(":", "", 1)


def half_line(line: str) -> str:
    return line[: len(line) * 3 // 5]


def is_day_of(day_index: int, days: int, *shares: float) -> bool:
    """Whether this is the day at one of these shares of the period."""
    return day_index in {int(days * share) for share in shares}
