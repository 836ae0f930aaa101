"""A Portkey that exports logs: holds requests and its own answers to Portkey's OpenAPI description."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import jsonschema
import yaml

from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import ApiSource
from llm_spend.sources.portkey_api import REQUEST_LOGS, PortkeyExports

KEY = "pk-live-7f3c9a1b2d4e"
SIGNATURE = "5f2a77c0ffee"
ORGANISATION, WORKSPACE = UUID(int=1), UUID(int=2)

_SPEC = yaml.safe_load(
    (Path(__file__).parents[1] / "fixtures" / "portkey" / "exports.openapi.yaml").read_text(encoding="utf-8")
)


def validate(document: Any, name: str) -> None:
    """Raises jsonschema.ValidationError when a document is not what the description says."""
    jsonschema.validate(document, {"$ref": f"#/components/schemas/{name}", **_SPEC})


@dataclass
class Fault:
    """Something that goes wrong: an answer with a status, or a pause before the connection is closed."""

    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0


@dataclass
class FakePortkey:
    """Its logs, and how it behaves. `faults` by step are used up one a request, before the step does its work."""

    logs: list[dict[str, Any]] = field(default_factory=list)
    most_rows: int = 50_000
    ends_included: bool = True
    polls: int = 1
    is_packed: bool = False
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    """How the next exports end; `success` when none is left."""
    content: Callable[[bytes], bytes] = lambda content: content
    """What becomes of a file on its way."""
    announced: Callable[[int], int] = lambda total: total
    steps: list[str] = field(default_factory=list)
    windows: list[tuple[str, str]] = field(default_factory=list)
    seen_headers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    address: str = ""
    problems: list[str] = field(default_factory=list)
    """Requests that break the description: a test must end without any."""
    _exports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def create(self, body: dict[str, Any]) -> Any:
        try:
            validate(body, "CreateExportRequest")
        except jsonschema.ValidationError as error:
            self.problems.append(error.message)
            return Fault(400, {"success": False, "data": {"message": error.message}})
        filters = body["filters"]
        start, end = filters["time_of_generation_min"], filters["time_of_generation_max"]
        self.windows.append((start, end))
        rows = [row for row in self.logs if self._is_between(start, row["created_at"], end)]
        identifier = str(uuid4())
        self._exports[identifier] = {"body": body, "rows": rows[: self.most_rows], "status": "draft", "polls": 0}
        return {"id": identifier, "total": self.announced(min(len(rows), self.most_rows)), "object": "export"}

    def _is_between(self, start: str, moment: str, end: str) -> bool:
        moment = moment.replace(" ", "T").removesuffix("Z") + "Z"
        return start <= moment <= end if self.ends_included else start < moment < end

    def start(self, identifier: str) -> Any:
        export = self._exports[identifier]
        if export["status"] != "draft":
            return Fault(400, {"success": False, "data": {"message": "Export has been started"}})
        export["status"] = "in_progress"
        export["end"] = self.states.pop(0) if self.states else "success"
        return {"message": "Export started", "object": "export"}

    def state(self, identifier: str) -> Any:
        export = self._exports[identifier]
        if export["status"] == "in_progress":
            export["polls"] += 1
            if export["polls"] > self.polls:
                export["status"] = export["end"]
        moment = "2026-11-20T00:00:00.000Z"
        return {
            "id": identifier,
            "organisation_id": str(ORGANISATION),
            "filters": export["body"]["filters"],
            "requested_data": export["body"]["requested_data"],
            "status": export["status"],
            "description": "",
            "created_at": moment,
            "last_updated_at": moment,
            "created_by": str(ORGANISATION),
            "workspace_id": export["body"].get("workspace_id", str(WORKSPACE)),
            "object": "export",
        }

    def download(self, identifier: str) -> Any:
        if self._exports[identifier]["status"] != "success":
            return Fault(400, {"success": False, "data": {"message": "Export is not ready"}})
        return {"signed_url": f"{self.address}/files/{identifier}?X-Amz-Signature={SIGNATURE}&sig={SIGNATURE}"}

    def file(self, identifier: str) -> bytes:
        export = self._exports[identifier]
        wanted = export["body"]["requested_data"]
        rows = [{name: row.get(name) for name in [*wanted, *row.get("_extra", [])]} for row in export["rows"]]
        content = self.content("".join(json.dumps(row) + "\n" for row in rows).encode())
        return gzip.compress(content) if self.is_packed else content


_ANSWERS = {
    "create": "UpdateExportResponse",
    "start": "ExportTaskResponse",
    "cancel": "ExportTaskResponse",
    "state": "ExportItem",
    "download": "DownloadLogsResponse",
    "list": "ExportListResponse",
}


def _handler(portkey: FakePortkey) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def log_message(self, *_: Any) -> None:
            pass

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path)
            parts = [part for part in path.path.split("/") if part]
            step = self._step(parts)
            portkey.steps.append(step)
            portkey.seen_headers.append((step, dict(self.headers.items())))
            if portkey.faults.get(step):
                fault = portkey.faults[step].pop(0)
                if fault.pause:
                    time.sleep(fault.pause)
                    self.close_connection = True
                    return
                self._answer(fault.status, fault.body, fault.headers)
                return
            if step == "file":
                if SIGNATURE not in path.query:
                    self._answer(403, {"message": "no signature"})
                    return
                self._send(200, portkey.file(parts[1]), {})
                return
            if self.headers.get("x-portkey-api-key") != KEY:
                self._answer(401, {"success": False, "data": {"message": "Invalid API Key"}})
                return
            self._answer_step(step, parts, body)

        def _step(self, parts: list[str]) -> str:
            match self.command, parts:
                case "GET", ["files", _]:
                    return "file"
                case "GET", ["v1", "logs", "exports"]:
                    return "list"
                case "POST", ["v1", "logs", "exports"]:
                    return "create"
                case "GET", ["v1", "logs", "exports", _]:
                    return "state"
                case _, ["v1", "logs", "exports", _, action]:
                    return action
                case _:
                    return "unknown"

        def _answer_step(self, step: str, parts: list[str], body: bytes) -> None:
            match step:
                case "create":
                    found = portkey.create(json.loads(body))
                case "list":
                    found = {"object": "list", "total": 0, "data": []}
                case "start" | "state" | "download":
                    found = getattr(portkey, step)(parts[3])
                case "cancel":
                    found = {"message": "Export cancelled", "object": "export"}
                case _:
                    portkey.problems.append(f"{self.command} {self.path} is not in the description")
                    found = Fault(404, {"message": "not found"})
            if isinstance(found, Fault):
                self._answer(found.status, found.body, found.headers)
                return
            validate(found, _ANSWERS[step])
            self._answer(200, found)

        def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self._send(status, content, headers or {})

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            # More was promised than was sent: the connection ends.
            self.close_connection = "Content-Length" in headers

    return Handler


@contextmanager
def serving(portkey: FakePortkey) -> Iterator[FakePortkey]:
    """The server at `address` until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(portkey))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    portkey.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield portkey
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def source_of(portkey: FakePortkey, **options: Any) -> ApiSource:
    """Our source, asking this Portkey; `options` are those of its client."""

    @contextmanager
    def opened(instance: str) -> Iterator[PortkeyExports]:
        with ApiClient("Portkey", f"{portkey.address}/v1", {"x-portkey-api-key": KEY}, **options) as client:
            yield PortkeyExports(client, "ws-1")

    return ApiSource("portkey", opened, (REQUEST_LOGS,))
