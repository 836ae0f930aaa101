"""Loading pages of an API beside loading a file of the same rows. The server gives pages that were made before.

python -m tests.benchmarks.pages api DATABASE ADDRESS     every page, through the loader of API sources
python -m tests.benchmarks.pages file DATABASE FILE       the same rows as a file of JSON lines

Both print what the load took, without the import of dlt and with tables that are there.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread
from time import monotonic, process_time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import orjson

from llm_spend.destinations import DuckDb
from llm_spend.load import LoadReport, bring_tables_up_to_date, load_logs
from llm_spend.load_api import load_api
from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.pages import by_token, spool_pages
from llm_spend.readers.api.source import ApiSource, Stream
from llm_spend.readers.api.spool import Spool
from llm_spend.schema import REQUESTS
from llm_spend.sources import portkey_api
from llm_spend.sources.portkey import LOGS
from llm_spend.windows import Window
from tests.benchmarks.data import NEW_DAY, DataSet

ROWS = 300_000
PAGE_ROWS = 1_000
INSTANCE = "bench"


def write_rows(data: DataSet, path: Path, rows: int = ROWS) -> int:
    """Readable lines of the logs, all on one day, with ids of their own; how many."""
    with path.open("wb") as target:
        count = 0
        for record in islice(_records(data), rows):
            record["id"] = f"{record['id']}-{count}"
            record["created_at"] = f"{NEW_DAY}{record['created_at'][10:]}"
            target.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def _records(data: DataSet) -> Iterator[dict[str, Any]]:
    for file in data.history:
        with gzip.open(file) as lines:
            for line in lines:
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                # A time without a zone, or with one: the other half would be on another day.
                if isinstance(record, dict) and str(record.get("created_at")).endswith("Z") and record.get("id"):
                    yield record


def _pages(path: Path) -> list[bytes]:
    lines = path.read_bytes().splitlines()
    starts = range(0, len(lines), PAGE_ROWS)
    return [
        b'{"data":['
        + b",".join(lines[start : start + PAGE_ROWS])
        + b'],"next":'
        + orjson.dumps(str(number + 1) if start + PAGE_ROWS < len(lines) else None)
        + b"}"
        for number, start in enumerate(starts)
    ]


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """The address of a server that gives the rows of a file, page by page."""
    pages = _pages(path)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = int(parse_qs(urlsplit(self.path).query).get("page", ["0"])[0])
            self.send_response(200)
            self.send_header("Content-Length", str(len(pages[number])))
            self.end_headers()
            self.wfile.write(pages[number])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class PagedLogs:
    """The API of such a server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def check(self) -> str:
        return "pages"

    def fetch(self, window: Window, spool: Spool) -> None:
        spool_pages(spool, self._page, by_token("next"), source="the benchmark")

    def _page(self, name: Any) -> Any:
        return self._client.json("GET", "/rows", params={"page": name} if name else None)


@contextmanager
def _opened(address: str, instance: str) -> Iterator[PagedLogs]:
    with ApiClient("the benchmark", address, {}) as client:
        yield PagedLogs(client)


def load_pages(database: Path, address: str) -> LoadReport:
    """Load every row of such a server, as one window."""
    stream = Stream(REQUESTS, LOGS, "created_at", PagedLogs.fetch)
    source = ApiSource("portkey", partial(_opened, address), (stream,))
    portkey_api.api_source = lambda instance: source
    now = datetime.combine(NEW_DAY, datetime.min.time()) + timedelta(days=1) + stream.settle
    return load_api("portkey", DuckDb(database), instance=INSTANCE, since=NEW_DAY, now=now)


def load_file(database: Path, path: str) -> LoadReport:
    """Load the same rows from a file."""
    return load_logs("portkey", path, DuckDb(database), instance=INSTANCE)


def differences(pages: Path, file: Path) -> list[str]:
    """What differs between rows that were loaded as pages and as a file."""
    names = ", ".join(LOGS.columns)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{pages}' as pages (read_only); attach '{file}' as file (read_only)")
        return [
            f"{rows:,} rows only in {one}"
            for one, other in (("pages", "file"), ("file", "pages"))
            for (rows,) in connection.execute(
                f"select count(*) from (select {names} from {one}.llm_spend_raw.portkey__logs except all"
                f" select {names} from {other}.llm_spend_raw.portkey__logs)"
            ).fetchall()
            if rows
        ]


if __name__ == "__main__":
    kind, database, place = sys.argv[1:]
    bring_tables_up_to_date(DuckDb(Path(database)))
    wall, cpu = monotonic(), process_time()
    report = (load_pages if kind == "api" else load_file)(Path(database), place)
    work = {"wall_seconds": monotonic() - wall, "cpu_seconds": process_time() - cpu, "rows": report.rows}
    print(json.dumps(work))
