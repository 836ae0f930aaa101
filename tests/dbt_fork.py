"""dbt for the tests: every process of it is forked from one that has imported dbt, and parses a project once.

A build is a process of its own, as it is for a user; but importing dbt takes three seconds of CPU and parsing the
project seven, and tests build it dozens of times. What was parsed is kept by everything that goes into parsing but
the place of the project; dbt itself finds the files that differ. `make demo`, the README's commands and the parse gate
run dbt without this. `run_dbt` is the command `dbt`, in a fork.
"""

from __future__ import annotations

import atexit
import gc
import json
import marshal
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from threading import get_ident
from typing import IO, Any, cast

from llm_spend import dbt_process
from llm_spend.dbt_process import DbtProcess

_LONGEST_COMMAND = 1_000_000
# What a fork is to be: DbtProcess's, with an adapter as argument, or the command `dbt`.
_PROCESS, _COMMAND = "process", "dbt"


class _Forked:
    """What DbtProcess needs of a Popen."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> None:
        if self.stdout.closed:
            return
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.read()
        self.stdout.close()
        # Its parent is the server, which reaps it at once; a file of DuckDB is free when it is gone.
        while self.poll() is None:
            pass


@dataclass
class _Server:
    """The process that forks, started when the first dbt is needed."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    socket: socket.socket | None = None

    def start(self) -> socket.socket:
        if self.socket is None:
            self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_COMMAND)
            command = [sys.executable, "-m", __name__, str(theirs.fileno()), str(self.folder)]
            where = Path(__file__).parents[1]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=where)
            theirs.close()
        return self.socket

    def fork(self, *arguments: str, command: str = _PROCESS, environment: Mapping[str, str], folder: Path) -> _Forked:
        server = self.start()
        to_read, stdin = os.pipe()
        stdout, to_write = os.pipe()
        told = {
            "command": command,
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder),
        }
        socket.send_fds(server, [json.dumps(told).encode()], [to_read, to_write])
        pid = int(server.recv(100))
        os.close(to_read)
        os.close(to_write)
        return _Forked(pid, os.fdopen(stdin, "w"), os.fdopen(stdout))

    def end(self) -> None:
        if self.socket and self.process:
            self.socket.close()
            self.process.wait()


@contextmanager
def forked_dbt(folder: Path) -> Iterator[None]:
    """Inside of this, DbtProcess forks. `folder` keeps what was parsed."""
    global _server
    server, python = _Server(folder), sys.executable
    _server = server
    started = DbtProcess._started

    def start(process: DbtProcess) -> subprocess.Popen[str]:
        if sys.executable == python:
            return cast(Any, server.fork(process._adapter, environment=os.environ, folder=Path.cwd()))
        return started(process)  # a test wants a process of its own

    DbtProcess._started = start  # type: ignore[method-assign]
    try:
        yield
    finally:
        DbtProcess._started = started  # type: ignore[method-assign]
        _server = None
        server.end()


_server: _Server | None = None


def run_dbt(*arguments: str | Path, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What the command `dbt` does in a folder with this environment; only inside of forked_dbt."""
    assert _server
    given = [str(each) for each in arguments]
    forked = _server.fork(*given, command=_COMMAND, environment=environment, folder=folder)
    said = forked.stdout.read()
    forked.communicate()
    said, _, code = said.rpartition("\n")
    return subprocess.CompletedProcess(["dbt", *given], int(code), said)


def _serve(requests: socket.socket, folder: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    import_module("dbt.cli.main")
    import_module("dbt.adapters.duckdb")
    _make_only_what_is_read()
    _keep_templates(folder)
    dbt_process._look_for_few_cycles()
    # What the forks share is no garbage.
    gc.freeze()
    while True:
        command, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_COMMAND, 2)
        if not command:
            break
        pid = os.fork()
        if pid == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            told = json.loads(command)
            _become(told, *descriptors)
            try:
                if told["command"] == _PROCESS:
                    _share_what_is_parsed(folder)
                    dbt_process._main()
                else:
                    _dbt(told["arguments"])
                # DuckDB's file is whole when it was closed, which happens here.
                atexit._run_exitfuncs()
                sys.stdout.flush()
            finally:
                # Libraries that wait for their threads at the very end would wait for those of the server.
                os._exit(0)
        requests.send(str(pid).encode())
        for each in descriptors:
            os.close(each)


def _make_only_what_is_read() -> None:
    """Events for debugging and parsers of dates, which nobody here reads or calls: a fifth of the time of a build."""
    import parsedatetime
    from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
    from dbt_common.events.event_manager import EventManager

    fire, attribute = EventManager.fire_event, BaseEvent.__getattr__

    def fire_event(manager: Any, event: Any, level: Any = None, **options: Any) -> None:
        if (level or event.level_tag()) is not EventLevel.DEBUG:
            fire(manager, event, level, **options)

    def keep(event: Any, *given: Any, **named: Any) -> None:
        event.__dict__["given"] = given, named

    def made(event: Any, name: str) -> Any:
        if name != "pb_msg":
            return attribute(event, name)
        given, named = event.__dict__["given"]
        BaseEvent.__init__(event, *given, **named)
        return event.__dict__["pb_msg"]

    EventManager.fire_event = fire_event  # type: ignore[method-assign]
    DebugLevel.__init__ = keep  # type: ignore[method-assign]
    DebugLevel.__getattr__ = made  # type: ignore[method-assign, assignment]
    parsedatetime.Constants, parsedatetime.Calendar = cache(parsedatetime.Constants), cache(parsedatetime.Calendar)


def _keep_templates(folder: Path) -> None:
    """The code of a template is kept by its text: every build compiles the same ones."""
    from jinja2 import Environment

    compile_template: Any = Environment.compile

    def compiled(environment: Any, source: Any, name: Any = None, filename: Any = None, *more: Any) -> Any:
        if more or name or filename or not isinstance(source, str):
            return compile_template(environment, source, name, filename, *more)
        parts = [type(environment).__qualname__, *sorted(environment.extensions), source]
        kept = folder / f"{sha256(json.dumps(parts).encode()).hexdigest()}.code"
        with suppress(FileNotFoundError):
            return marshal.loads(kept.read_bytes())
        code = compile_template(environment, source)
        copy = kept.with_suffix(f".{os.getpid()}.{get_ident()}")
        copy.write_bytes(marshal.dumps(code))
        copy.rename(kept)
        return code

    Environment.compile = compiled  # type: ignore[method-assign]


def _become(command: dict[str, Any], stdin: int, stdout: int) -> None:
    """A process that was started with this environment, in this folder, with these pipes."""
    os.environ.clear()
    os.environ.update(command["environment"])
    os.chdir(command["folder"])
    sys.argv[1:] = command["arguments"]
    for theirs, ours in ((stdin, 0), (stdout, 1), (stdout, 2)):
        os.dup2(theirs, ours)
    for each in (stdin, stdout):
        os.close(each)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)


def _dbt(arguments: list[str]) -> None:
    """Run the command; the last line that it says is its exit code."""
    from dbt.cli.main import dbtRunner

    result = dbtRunner().invoke(arguments)
    if result.exception:
        print(result.exception)
    # Flushed here: what libraries do at the end of a process may end it, and what they say there would follow.
    print(f"\n{0 if result.success else 2 if result.exception else 1}", end="", flush=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


def _share_what_is_parsed(folder: Path) -> None:
    from dbt.contracts.graph.nodes import SeedNode
    from dbt.parser.manifest import PARTIAL_PARSE_FILE_NAME, ManifestLoader

    read, write = ManifestLoader.read_manifest_for_partial_parse, ManifestLoader.write_manifest_for_partial_parse

    def kept(loader: Any) -> Path:
        credentials, state = loader.root_project.credentials, loader.manifest.state_check
        parts = [
            loader.root_project.project_name,
            credentials.type,
            credentials.database,
            credentials.schema,
            state.vars_hash.checksum,
            state.project_env_vars_hash.checksum,
            *(f"{name} {each.checksum}" for name, each in sorted(state.project_hashes.items())),
        ]
        return folder / f"{sha256(json.dumps(parts).encode()).hexdigest()}.msgpack"

    def own(loader: Any) -> Path:
        return Path(loader.root_project.project_target_path) / PARTIAL_PARSE_FILE_NAME

    def read_shared(loader: Any) -> Any:
        if own(loader).exists() or not kept(loader).exists():
            return read(loader)
        own(loader).parent.mkdir(parents=True, exist_ok=True)
        os.link(kept(loader), own(loader))
        state_check, loader.is_partial_parsable = loader.manifest.state_check, lambda manifest: (True, None)
        manifest = read(loader)
        # dbt writes it anew, and must not write into the one that is kept.
        own(loader).unlink()
        if manifest is not None:
            manifest.state_check = state_check
            for node in manifest.nodes.values():
                if isinstance(node, SeedNode):
                    node.root_path = loader.root_project.project_root
        return manifest

    def write_shared(loader: Any) -> None:
        write(loader)
        if not kept(loader).exists():
            copy = kept(loader).with_suffix(f".{os.getpid()}")
            copy.write_bytes(own(loader).read_bytes())
            copy.rename(kept(loader))

    ManifestLoader.read_manifest_for_partial_parse = read_shared
    ManifestLoader.write_manifest_for_partial_parse = write_shared


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
