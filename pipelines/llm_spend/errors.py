"""Errors that a user can act on."""

from __future__ import annotations


class UserError(Exception):
    """What was wrong and where, and what to do about it. Shown without a stack trace; never holds a secret."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem} {remedy}".strip())
        self.problem = problem
        self.remedy = remedy


def first_line(error: BaseException) -> str:
    """What an error of a library says, without its explanations; its kind when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
