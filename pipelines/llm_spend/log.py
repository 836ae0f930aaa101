"""Logging that never shows a secret."""

from __future__ import annotations

import logging
import re

from rich.console import Console
from rich.logging import RichHandler

_SECRETS = (
    (re.compile(r"(?i)(bearer\s+)[\w.~+/=-]+"), r"\1***"),
    (re.compile(r"\b(?:sk|pk|rk|xoxb|ghp|glpat)[-_][\w-]{8,}"), "***"),
    (re.compile(r"(://[^/\s:@]+:)[^/\s@]+(@)"), r"\1***\2"),
    # A signed URL is a key: everything behind its question mark goes.
    (re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+"), r"\1?***"),
    (
        re.compile(
            r"(?i)((?:api[_-]?key|token|secret\w*|password|signature|credential\w*)[\"']?\s*[=:]\s*[\"']?)[^\s\"',&]+"
        ),
        r"\1***",
    ),
)


def redact(text: str) -> str:
    """The text with everything that looks like a secret replaced."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        return True


def configure(console: Console, *, verbose: bool) -> None:
    """Log to a console (stderr): warnings, or everything of ours when verbose."""
    handler = RichHandler(console=console, show_path=False, markup=False)
    handler.addFilter(_Redacting())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger("llm_spend").setLevel(logging.DEBUG if verbose else logging.INFO)
