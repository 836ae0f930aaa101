"""What servers of API sources share: questions and answers held to a description, faults when a test wants them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import duckdb
import jsonschema
import yaml

from llm_spend.destinations import DuckDb
from llm_spend.load import LoadReport
from llm_spend.load_api import load_api
from llm_spend.readers.api.client import ApiClient, Patience
from llm_spend.readers.api.source import ApiSource
from llm_spend.readers.api.spool import Spool
from llm_spend.readers.checks import check_files
from llm_spend.readers.files import find_files, layout_of
from llm_spend.readers.records import LogFormat, select_sql
from llm_spend.windows import Window

from .conftest import Warehouse

DAY = date(2026, 11, 2)
WHOLE_DAY = Window(datetime(2026, 11, 2), datetime(2026, 11, 3))
PATIENCE = Patience(tries=3, first_wait=0.5, longest_wait=60, connect=5, read=20)
IMPATIENCE = replace(PATIENCE, read=1)

_FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass
class Fault:
    """Something that goes wrong: an answer with a status, or a pause before the connection is closed."""

    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0


PASSING = [
    Fault(429, {}, {"Retry-After": "17"}),
    Fault(500, {"message": "broken"}),
    Fault(pause=1.3),
    Fault(200, b'{"data": [', {"Content-Length": "100"}),
]
"""What may pass when one tries again: too many questions, a broken server, no answer within a second, one cut off."""


@dataclass(frozen=True)
class Asked:
    """A question: `body` is the parsed JSON, None for none; header names are in lower case.

    `query` has the last value of each parameter, `all_of` has every one.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]
    all_of: Mapping[str, list[str]] = field(default_factory=dict)


class Description:
    """The part of an API description that a fixture holds."""

    def __init__(self, path: str) -> None:
        self._path = _FIXTURES / path

    def validate(self, document: Any, name: str) -> None:
        """Raises jsonschema.ValidationError when a document is not what `components/schemas` says."""
        self._validator(name).validate(document)

    def problems_of(self, query: Mapping[str, str], path: str) -> list[str]:
        """What is wrong with the parameters of a question."""
        known, problems = self._known["parameters"][path], []
        for name, text in query.items():
            if name not in known:
                problems.append(f"{path}: no parameter {name}")
            elif known[name].get("type") == "integer" and not text.isdigit():
                problems.append(f"{path}: {name} is no number: {text}")
            elif text not in known[name].get("enum", [text]):
                problems.append(f"{path}: {name} can't be {text}")
        return problems

    def fields_of(self, name: str) -> list[str]:
        """The fields of an object that `components/schemas` describes."""
        return list(self._known["components"]["schemas"][name]["properties"])

    @cache  # noqa: B019 there are a few of them, and each lives as long as the tests
    def _validator(self, name: str) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **self._known})

    @cached_property
    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = _with_nulls(yaml.safe_load(self._path.read_text(encoding="utf-8")))
        return known


def _with_nulls(schema: Any) -> Any:
    """`nullable` of OpenAPI 3.0 in the words of JSON Schema."""
    if isinstance(schema, list):
        return [_with_nulls(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _with_nulls(each) for name, each in schema.items() if name != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") else inner


@dataclass
class FakeServer:
    """`faults` are used up one a question, before it is answered. `problems`: questions that break the description."""

    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    address: str = ""
    patience: Patience = PATIENCE
    """Of clients: a server may be slow where much is done at the same time."""

    def answer(self, asked: Asked) -> Any:
        """A document, or a Fault."""
        raise NotImplementedError


class Handler(BaseHTTPRequestHandler):
    """Takes the questions of one connection; `reply` answers each."""

    protocol_version = "HTTP/1.1"

    def reply(self) -> None:
        """Answer the question that has come, with `send` or `fail`."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.reply()

    def do_POST(self) -> None:
        self.reply()

    def log_message(self, *_: Any) -> None:
        pass

    def content(self) -> bytes:
        """The body of the question."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def fail(self, fault: Fault) -> None:
        if fault.pause:
            time.sleep(fault.pause)
            self.close_connection = True
        else:
            self.send(fault.status, fault.body, fault.headers)

    def send(self, status: int, body: Any, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """Bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        # More was promised than was sent: the connection ends.
        self.close_connection = "Content-Length" in headers


@contextmanager
def listening(handler: type[Handler]) -> Iterator[str]:
    """The address of a server, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(fake: FakeServer) -> type[Handler]:
    class OfFake(Handler):
        def reply(self) -> None:
            asked = self._asked()
            fake.asked.append(asked)
            try:
                found = fake.faults.pop(0) if fake.faults else fake.answer(asked)
            except Exception as error:
                # The test shall see it, and not this thread alone.
                fake.problems.append(f"{asked.method} {asked.path}: {error!r}")
                found = Fault(400, {"message": "this question can't be answered"})
            if isinstance(found, Fault):
                self.fail(found)
            else:
                self.send(200, found)

        def _asked(self) -> Asked:
            address, body = urlsplit(self.path), self.content()
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(address.query, keep_blank_values=True))
            all_of = parse_qs(address.query, keep_blank_values=True)
            return Asked(self.command, address.path, query, json.loads(body) if body else None, headers, all_of)

    return OfFake


@contextmanager
def serving(fake: FakeServer) -> Iterator[None]:
    """The server at `address` until the block ends; no question may break the description."""
    with listening(_handler(fake)) as fake.address:
        yield
    assert fake.problems == []


@dataclass
class Scene:
    """A source that asks a server of a test, and a database. `pauses`: of the client, instead of waiting."""

    source: ApiSource
    warehouse: Warehouse
    pauses: list[float]

    def load(self, now: datetime, **options: Any) -> LoadReport:
        return load_api(self.source.name, DuckDb(self.warehouse.database), since=DAY, now=now, **options)

    def fetch(self, window: Window = WHOLE_DAY, stream: str = "requests") -> list[Any]:
        """Rows that are fetched of a window, without a database."""
        (found,) = (each for each in self.source.streams if each.name == stream)
        path = self.warehouse.folder / "spool.jsonl"
        with self.source.open("default") as api, Spool(path) as spool:
            found.fetch(api, window, spool)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(rows) == spool.rows
        return rows

    def check(self) -> str:
        with self.source.open("default") as api:
            return str(api.check())


def read_back(fmt: LogFormat, path: Path) -> list[dict[str, Any]]:
    """What a format makes of the records of a file, in their order, without a load."""
    files = check_files(fmt, find_files(str(path)), path.parent).readable
    paths = [file.local_path for file in files]
    select = select_sql(fmt, layout_of(files[0]), paths, source_system="x", instance="x", load_id="x")
    with duckdb.connect() as connection:
        found = connection.execute(select)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def records_of(fmt: LogFormat, folder: Path, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a format makes of records that are JSON lines, in their order, without a load."""
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return read_back(fmt, path)


def client_of(fake: FakeServer, name: str, headers: Mapping[str, str], pauses: list[float]) -> ApiClient:
    """A client that notes its pauses, and waits for an answer as long as this server wants it to."""
    return ApiClient(name, fake.address, headers, patience=fake.patience, sleep=pauses.append)


def opening(make: Callable[[ApiClient], Any], client: Callable[[], ApiClient]) -> Callable[[str], Any]:
    """How a source is opened that asks with a client of a test."""

    @contextmanager
    def opened(instance: str) -> Iterator[Any]:
        with client() as opened_client:
            yield make(opened_client)

    return opened
