"""dbt in a process of its own, started before it is needed: importing dbt takes seconds, which a load can use.

A process, not a call: what dbt and DuckDB hold (memory, the database file) is free again when it ends. A command is
one line of JSON into it; each line that comes out tells progress or the end of the command. When the one who gives
the commands is gone, so is dbt, whatever it is doing; until then it keeps the lock of its parent.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from logging.handlers import RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Any

from llm_spend import lock
from llm_spend.errors import UserError

Progress = Callable[[int, int, str], None]
Result = dict[str, Any]
"""Of one node: `unique_id`, `status`, `message`, and `compiled_code` when that is of use."""

_FOUND_ROWS = ("fail", "warn")

# The results come back through the pipe. dbt's own log is off: it writes out each debug event, and then drops it.
_LOGGING = ["--log-level", "none", "--log-level-file", "none", "--no-use-colors"]
_WENT_WRONG = ("warn", "error")
_LOG_BYTES = 10_000_000


class DbtProcess:
    """A dbt that is on its way up and runs commands, one after the other. Leaving the context ends it."""

    def __init__(self, adapter: str) -> None:
        self._adapter = adapter
        self._process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        # -P: a folder of the user that is called like a package must not stand in for it.
        command = [sys.executable, "-P", "-m", __name__, self._adapter]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=lock.descriptors(),
        )

    def __enter__(self) -> DbtProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def run(
        self, arguments: Sequence[str], project: Path, environment: Mapping[str, str], progress: Progress
    ) -> list[Result]:
        """Run a command, report each node, return the results. Raises UserError when dbt can't run at all."""
        command = {"arguments": list(arguments), "project": str(project), "environment": dict(environment)}
        messages: list[str] = []
        results: list[Result] | None = None
        with suppress(BrokenPipeError):
            print(json.dumps(command), file=self._process.stdin, flush=True)
        assert self._process.stdout
        for line in self._process.stdout:
            match _parsed(line):
                case {"done": done, "total": total, "name": name}:
                    progress(done, total, name)
                case {"results": found}:
                    results = found
                    break
                case {"error": message}:
                    messages.append(message)
                    break
                case _:
                    messages.append(line.strip())
        if results is None:
            said = [message for message in messages if message]
            raise UserError(f"dbt could not start: {said[-1] if said else 'it said nothing'}")
        return results

    def end(self) -> None:
        """No more commands: wait until the process is gone, and with it what it held."""
        self._process.communicate()

    def restart(self) -> None:
        """Let go of what the process held, such as the database file; the next command goes to a new one."""
        self.end()
        self._process = self._started()


def manifest_of(project: Path, adapter: str, environment: Mapping[str, str], variables: str = "{}") -> bytes:
    """The manifest of a project, parsed now: it takes seconds and connects to nothing. `variables`: JSON."""
    # Nothing has this tag, so nothing is compiled: dbt parses, and writes what it parsed.
    arguments = ["--write-json", "compile", "--select", "tag:none_of_them", "--no-populate-cache", "--vars", variables]
    with DbtProcess(adapter) as dbt:
        where = ["--project-dir", str(project), "--profiles-dir", str(project)]
        dbt.run([*arguments, *where], project, environment, lambda done, total, name: None)
        dbt.end()
    return (project / "target" / "manifest.json").read_bytes()


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _look_for_few_cycles() -> None:
    # dbt makes many objects and few cycles: looking for those would take a tenth of its time.
    gc.set_threshold(200_000, 20, 100)


def _main() -> None:
    _look_for_few_cycles()
    from dbt.cli.main import dbtRunner
    from dbt_common.exceptions import env_secrets, scrub_secrets

    with suppress(ImportError):  # dbt says it better
        import_module(f"dbt.adapters.{sys.argv[1]}")

    def clean(text: Any) -> str:
        return str(scrub_secrets(str(text or ""), env_secrets())).strip()

    idle = Event()
    for line in _lines(idle):
        command = json.loads(line)
        os.environ.update(command["environment"])
        os.chdir(command["project"])
        with _noting(Path("logs", "dbt.log"), clean) as note:
            callbacks: list[Any] = [_tell_progress, note]
            result: Any = dbtRunner(callbacks=callbacks).invoke([*_LOGGING, *command["arguments"]])
        idle.set()
        if result.result is None:
            _say({"error": clean(result.exception)})
        else:
            _say({"results": [{**_told(node), "message": clean(node.message)} for node in result.result.results]})


@contextmanager
def _noting(path: Path, clean: Callable[[Any], str]) -> Iterator[Callable[[Any], None]]:
    """What notes an event of dbt if something went wrong, below what went wrong in builds before."""
    path.parent.mkdir(exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.Logger("dbt")
    log.addHandler(handler)

    def note(event: Any) -> None:
        if event.info.level in _WENT_WRONG:
            log.error("%s", clean(event.info.msg))

    try:
        yield note
    finally:
        handler.close()


def _lines(idle: Event) -> Iterator[str]:
    """What is said to this process, until the parent says no more; `idle` is set when a command is done.

    Ends the process if there is no parent any more while one is going: it was killed, and nobody waits for the rest.
    """
    said: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        # Not sys.stdin, which Python could not close while it is being read.
        with open(0, encoding="utf-8", closefd=False) as lines:
            for line in lines:
                idle.clear()
                said.put(line)
        if not idle.is_set():
            os._exit(1)
        said.put("")

    idle.set()
    Thread(target=listen, daemon=True).start()
    return iter(said.get, "")


def _tell_progress(event: Any) -> None:
    data = event.data
    if hasattr(data, "index") and hasattr(data, "total"):
        _say({"done": data.index, "total": data.total, "name": data.node_info.node_name})


def _told(result: Any) -> Result:
    code = result.node.compiled_code if result.status in _FOUND_ROWS else None
    return {"unique_id": result.node.unique_id, "status": str(result.status), "compiled_code": code}


def _say(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    _main()
