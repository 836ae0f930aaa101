"""A page in the Chromium of the system, and what it asked for and complained about."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")


@dataclass
class Opened:
    """A page; every address that it asked for, but `data:` and `blob:`; errors of its console and its scripts."""

    page: Page
    requests: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)

    def screenshot(self, name: str, **options: Any) -> None:
        """Keep what it looks like, if somebody asked for it."""
        if folder := os.environ.get("LLM_SPEND_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png", **options)


@contextmanager
def launch(**context: Any) -> Iterator[Opened]:
    """A new page. `context` is as of playwright: `viewport`, `color_scheme`, `java_script_enabled` …"""
    with _browser() as browser:
        page = browser.new_page(**context)
        opened = Opened(page)
        page.on("request", lambda request: _note(request.url, opened.requests))
        page.on("pageerror", lambda error: opened.console_errors.append(str(error)))
        page.on(
            "console",
            lambda message: opened.console_errors.append(message.text) if message.type == "error" else None,
        )
        try:
            yield opened
        finally:
            page.close()


# Playwright can't be started twice in a thread: pages that are open at the same time share a browser.
_running: list[Browser] = []


@contextmanager
def _browser() -> Iterator[Browser]:
    if _running:
        yield _running[0]
        return
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.fail(f"The tests of the screen need a browser: install one of {', '.join(_NAMES)}.")
    with sync_playwright() as playwright:
        _running.append(playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS)))
        try:
            yield _running[0]
        finally:
            _running.pop().close()


def _note(url: str, requests: list[str]) -> None:
    if not url.startswith(("data:", "blob:")):
        requests.append(url)
