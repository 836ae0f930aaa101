"""Emulators of Snowflake and BigQuery for as long as a `with` block lasts. `make emulators` installs them.

    with snowflake_server() as server:
        connection = snowflake.connector.connect(**server.connection)

A server listens on a free port of the loopback interface, keeps everything in memory, and ends with the block or with
the process that started it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HOST = "127.0.0.1"
VENVS = Path(__file__).parents[2] / ".emulators"
LAUNCHERS = Path(__file__).parent / "emulators"
SECONDS_TO_START = 60
SECONDS_TO_STOP = 10
LINES_OF_LOG = 30


@dataclass(frozen=True)
class SnowflakeServer:
    """A fakesnow server; a database and a schema come into being when somebody connects to them.

    `connection`: arguments of `snowflake.connector.connect`. `environment`: what dlt reads.
    """

    process_id: int
    port: int
    host: str = HOST
    account: str = "emulator"
    user: str = "tester"
    password: str = "none"
    warehouse: str = "wh"
    role: str = "tester"
    database: str = "analytics"

    @property
    def connection(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "host": self.host,
            "port": self.port,
            "protocol": "http",
            "user": self.user,
            "password": self.password,
            "warehouse": self.warehouse,
            "role": self.role,
            "database": self.database,
            "arrow_number_to_decimal": True,
        }

    @property
    def environment(self) -> dict[str, str]:
        options = f"warehouse={self.warehouse}&role={self.role}&host={self.host}&port={self.port}&protocol=http"
        location = f"{self.user}:{self.password}@{self.account}/{self.database}"
        return {"DESTINATION__SNOWFLAKE__CREDENTIALS": f"snowflake://{location}?{options}&network_timeout=60"}


@dataclass(frozen=True)
class BigQueryServer:
    """A bqemulator server; it knows every project, and its clients log in with a key made for this server.

    `environment`: what google-cloud-bigquery, and with it dlt and dbt (method oauth), reads.
    """

    process_id: int
    port: int
    key_file: Path
    host: str = HOST
    project: str = "test-project"
    location: str = "US"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BIGQUERY_EMULATOR_HOST": self.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file),
            "GOOGLE_CLOUD_PROJECT": self.project,
        }


@contextmanager
def snowflake_server(log: Path | None = None) -> Iterator[SnowflakeServer]:
    """A Snowflake of its own. The log is kept when a path is given. Raises ServerDied when it can't start."""
    with _folder() as folder:
        port = _free_port()
        command = _command("snowflake", str(port))
        with _running(command, lambda: _answers(f"http://{HOST}:{port}/"), folder, log) as process:
            yield SnowflakeServer(process.pid, port)


@contextmanager
def bigquery_server(log: Path | None = None) -> Iterator[BigQueryServer]:
    """A BigQuery of its own. The log is kept when a path is given. Raises ServerDied when it can't start."""
    with _folder() as folder:
        port = _free_port()
        command = _command("bigquery", str(port), str(folder))
        with _running(command, lambda: _answers(f"http://{HOST}:{port}/healthz"), folder, log) as process:
            server = BigQueryServer(process.pid, port, folder / "key.json")
            server.key_file.write_text(json.dumps(_service_account(server)))
            yield server


class ServerDied(RuntimeError):
    """A server ended before it could be used, or did not answer in time; the message ends with its log."""


def _command(name: str, *arguments: str) -> list[str]:
    python = VENVS / name / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"{python} is missing: run `make emulators`.")
    return [str(python), str(LAUNCHERS / f"{name}_server.py"), *arguments]


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder of one server."""
    with tempfile.TemporaryDirectory(prefix="llm-spend-emulator-") as folder:
        yield Path(folder)


@contextmanager
def _running(
    command: list[str], is_ready: Callable[[], bool], folder: Path, log: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that is ready; what it writes to temporary files goes to its folder."""
    log = log or folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # never written to: it ends with this process, and the server with it
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
        )
    try:
        _wait(process, is_ready, log)
        yield process
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_ready():
        if process.poll() is not None:
            raise ServerDied(f"{_name(process)} ended with exit code {process.returncode}:\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise ServerDied(f"{_name(process)} did not answer in {SECONDS_TO_START} s:\n{_end_of(log)}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()


def _name(process: subprocess.Popen[bytes]) -> str:
    return Path(str(process.args[1])).name  # type: ignore[index]


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LINES_OF_LOG:])


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _service_account(server: BigQueryServer) -> Mapping[str, str]:
    """A key file with a key that nobody else has, and a token that the server itself gives out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": server.project,
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_id": "1",
        "client_email": f"tester@{server.project}.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
    }
