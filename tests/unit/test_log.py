"""No secret is ever shown."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from llm_spend import log

SECRETS = [
    ("Authorization: Bearer abc.DEF-123", "abc.DEF-123"),
    ("key sk-proj-1234567890abcdef failed", "1234567890abcdef"),
    ("postgresql://reader:hunter2@db/llm", "hunter2"),
    ("GET https://bucket.example/export.jsonl?X-Signature=deadbeef&Expires=1", "deadbeef"),
    ("aws_secret_access_key='wJalrXUtnFEMI'", "wJalrXUtnFEMI"),
    ('{"api_key": "pk_live_0123456789"}', "0123456789"),
    ("password=letmein", "letmein"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_replaced(text: str, secret: str) -> None:
    assert secret not in log.redact(text)
    assert "***" in log.redact(text)


def test_plain_text_stays() -> None:
    text = "portkey (prod): 3 files from s3://logs/portkey/*.jsonl.gz; input_tokens: not a whole number: abc"
    assert log.redact(text) == text


def test_log_records_are_redacted() -> None:
    console = Console(file=io.StringIO(), width=200)
    log.configure(console, verbose=True)
    logging.getLogger("llm_spend.test").info("calling with %s", "Bearer abcdef123456")
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert "calling with" in written
    assert "abcdef123456" not in written
