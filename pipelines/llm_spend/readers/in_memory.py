"""JSON lines on their way into DuckDB: each file is unpacked in memory when it is opened, and gone when it is closed.

A copy on the disk would be written, read and removed, which takes more time than to unpack it. DuckDB's own reader of
packed files takes longer too, and takes one that was cut off for one that has ended.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from llm_spend.readers.files import LOOKED_INTO, READING_ERRORS, LogFile
from llm_spend.readers.lines import OddLines, mend
from llm_spend.readers.records import IN_MEMORY, LONGEST_LINE_IN_MEMORY, UNPACKED

_BLOCK = 1 << 20
_STEP = 16 << 20
# DuckDB opens one file more than it has threads.
_LARGEST = 320 << 20
_SIZE_BYTES = 4

Expected = Callable[[bytes], bool]
"""Whether the statement that reads files is made for what the last bytes of one of them show."""


@dataclass
class _Content:
    """What is in an open file, and by how many it is read."""

    readers: int = 0
    size: int = 0
    buffer: bytearray | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class FilesInMemory(AbstractFileSystem):  # type: ignore[misc]
    """What DuckDB opens instead of files with JSON lines.

    `refused`: why a file can't be read so after all; the statement that would read it ends with an error. It is to be
    read as what `check_files` makes of it without this.
    """

    protocol = IN_MEMORY.removesuffix("://")
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        self.expected: Expected = lambda end: True
        self._files: dict[str, LogFile] = {}
        self._open: dict[str, _Content] = {}
        self._spare: list[bytearray] = []
        self._lock = threading.Lock()

    def takes(self, file: LogFile) -> bool:
        """Whether a file with JSON lines seems to be small enough."""
        if file.is_zstandard or not file.size_bytes:
            return False
        try:
            return max(_unpacked_size(file), file.size_bytes) <= _LARGEST
        except OSError:
            return False

    def path_of(self, file: LogFile) -> str:
        """Where DuckDB finds the lines of a file."""
        path = f"{IN_MEMORY}{file.local_path}{UNPACKED}"
        self._files[path] = file
        return path

    def glob(self, path: str, **_: Any) -> list[str]:
        """The one file of this name: in brackets a wildcard stands for itself."""
        name = re.sub(r"\[([*?\[])\]", r"\1", path)
        return [name] if name in self._files else []

    def unstrip_protocol(self, name: str) -> str:
        """Names are whole here."""
        return name

    def size(self, path: str) -> int:
        """Bytes of an open file."""
        return self._open[path].size

    def open(self, path: str, mode: str = "rb", **_: Any) -> _Reader:
        """Unpack a file, unless another thread already reads it. Raises OSError when it is refused."""
        with self._lock:
            content = self._open.setdefault(path, _Content())
            content.readers += 1
        try:
            with content.lock:
                if content.buffer is None:
                    buffer = self._spare_buffer()
                    content.size = self._filled(self._files[path], buffer)
                    content.buffer = buffer
        except READING_ERRORS as error:
            self._close(path)
            self.refused = self.refused or f"{self._files[path].url}: {error}"
            raise OSError(self.refused) from error
        return _Reader(content, lambda: self._close(path))

    def _close(self, path: str) -> None:
        with self._lock:
            content = self._open[path]
            content.readers -= 1
            if not content.readers:
                del self._open[path]
                if content.buffer is not None:
                    self._spare.append(content.buffer)

    def _spare_buffer(self) -> bytearray:
        """Memory that was used before costs the system nothing more."""
        with self._lock:
            return self._spare.pop() if self._spare else bytearray()

    def _filled(self, file: LogFile, buffer: bytearray) -> int:
        """How many bytes a file has, which are in the buffer now. Raises OSError for what is not to be read so."""
        size = _unpack(file, buffer)
        ends = OddLines()
        ends.look_at(memoryview(buffer)[:size])
        mend(buffer, ends.ends, size)
        if not _has_short_lines(buffer, size):
            raise OSError("a line is too long")
        if not self.expected(bytes(buffer[max(size - LOOKED_INTO, 0) : size])):
            raise OSError("its last lines have fields that no file begins with")
        return size


class _Reader:
    """An open file. DuckDB reads it from its begin; or at places, by several threads, each of which says where."""

    def __init__(self, content: _Content, close: Callable[[], None]) -> None:
        self._content, self._close = content, close
        self._next = 0
        self._place = threading.local()
        self._lock = threading.Lock()

    def seek(self, place: int) -> None:
        self._place.value = place

    def read(self, size: int) -> bytes:
        with self._lock:
            start = self._place.__dict__.pop("value", self._next)
            self._next = end = min(start + size, self._content.size)
        if self._content.buffer is None:
            raise OSError("it is closed")
        with memoryview(self._content.buffer) as content:
            return bytes(content[start:end])

    def close(self) -> None:
        close, self._close = self._close, lambda: None
        self._content = _Content()
        close()


def _unpacked_size(file: LogFile) -> int:
    """What a packed file says of itself at its end: true unless it has several parts, or more than 4 GiB."""
    if not file.is_gzip:
        return file.size_bytes
    with open(file.local_path, "rb") as packed:  # noqa: PTH123
        packed.seek(max(file.size_bytes - _SIZE_BYTES, 0))
        return int.from_bytes(packed.read(_SIZE_BYTES), "little")


def _unpack(file: LogFile, buffer: bytearray) -> int:
    """Write the bytes of a file to the buffer, which grows with them, and tell their number."""
    size = 0
    with file.open() as stream:
        while True:
            if size + _BLOCK > len(buffer):
                buffer.extend(bytes(_STEP))
            with memoryview(buffer) as content, content[size : size + _BLOCK] as block:
                read = stream.readinto(block)  # type: ignore[attr-defined]
            if not read:
                return size
            size += read
            if size > _LARGEST:
                raise OSError("it is too large")


def _has_short_lines(buffer: bytearray, size: int) -> bool:
    """Whether DuckDB's buffers have room for every line."""
    start = 0
    while size - start >= LONGEST_LINE_IN_MEMORY:
        end = buffer.rfind(b"\n", start, start + LONGEST_LINE_IN_MEMORY)
        if end < 0:
            return False
        start = end + 1
    return True
