"""Start the dashboard: a Streamlit server that talks to nobody but the browser and the place of the numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from llm_spend.destinations import destination_of
from llm_spend.errors import UserError
from llm_spend.publish import readable
from llm_spend.settings import Settings

APP = Path(__file__).with_name("app.py")
_HERE = ("127.0.0.1", "localhost", "::1")
_ANY = ("0.0.0.0", "::")


def serve(settings: Settings, *, host: str, port: int, open_browser: bool, say: Callable[[str], None]) -> None:
    """Become the server, until it is stopped; a DuckDB file is published before, if that is needed.

    Raises UserError when Streamlit is not installed, or when there is nothing to show.
    """
    if find_spec("streamlit") is None:
        raise UserError("The dashboard needs streamlit.", "Install it: pip install 'llm-spend[dashboard]'.")
    if host not in _HERE:
        say("There is no login: whoever reaches this address sees everything. Put a proxy with one before it.")
    environment = {**os.environ, "LLM_SPEND_DESTINATION": settings.destination}
    if settings.destination == "duckdb":
        found = readable(destination_of(settings), settings.published_file, wait=settings.lock_timeout_seconds)
        if found.note:
            say(found.note)
        environment["LLM_SPEND_DATABASE"] = str(found.file)
    # The server takes the place of this process: what is sent to it, as a signal to stop, arrives there.
    os.execve(sys.executable, [sys.executable, *arguments(host, port, open_browser)], environment)


def arguments(host: str, port: int, open_browser: bool) -> list[str]:
    """What python is to run."""
    options: Mapping[str, object] = {
        "server.address": host,
        "server.port": port,
        "server.headless": not open_browser,
        # Without it Streamlit asks a service on the internet for the address of this machine.
        "browser.serverAddress": "localhost" if host in _ANY else host,
        "browser.gatherUsageStats": False,
        "server.showEmailPrompt": False,
        "server.fileWatcherType": "none",
        "client.toolbarMode": "minimal",
        # The trace of an error is for the one who started the server, in its terminal.
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "global.developmentMode": False,
    }
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]
    return ["-m", "streamlit", "run", str(APP), *flags]
