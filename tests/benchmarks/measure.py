"""What a command costs: wall time, CPU time of its whole process tree, and the peak of its memory."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import BinaryIO

import psutil

_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Cost:
    """Of one command. `cpu_seconds`: user and system time of the process and of all that it started."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str = ""

    def plus(self, then: Cost) -> Cost:
        """Of this command and another one after it."""
        return Cost(
            self.wall_seconds + then.wall_seconds,
            self.cpu_seconds + then.cpu_seconds,
            max(self.peak_bytes, then.peak_bytes),
        )


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str], accepted: Sequence[int] = (0,)) -> Cost:
    """Run a command to its end. Raises RuntimeError with its output for an exit code that is not `accepted`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=out, stderr=err)
        with _Sampler(process.pid) as sampler:
            _, status, usage = os.wait4(process.pid, 0)
        wall = monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output, errors = _text(out), _text(err)
    if process.returncode not in accepted:
        raise RuntimeError(f"{' '.join(command)}\nended with {process.returncode}\n{output[-2000:]}\n{errors[-4000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, max(sampler.peak_bytes, _largest_process(usage)), output)


def _largest_process(usage: resource.struct_rusage) -> int:
    """Peak of the largest process by the kernel, which no sample can miss; 0 when it is our own, seen after a fork."""
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * 1024 if usage.ru_maxrss > ours else 0


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class _Sampler:
    """Looks at the resident memory of a process and its descendants while it is entered."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _resident_bytes(self._pid))


def _resident_bytes(pid: int) -> int:
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += each.memory_info().rss
    return total
