"""The file that the rows of a window are written to: JSON lines, as they came."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from llm_spend.readers.api.values import exact
from llm_spend.readers.files import is_json

_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20
_LINES_LOOKED_AT = 50


class CutOffError(Exception):
    """What arrived ends in the middle of a row."""


class Spool:
    """JSON lines of one window. `rows` counts what was added; `names`: fields that were seen, of lines in some of them.

    `warnings`: what somebody should know of these rows; it is told with the report of the load. `is_proof`: that there
    are no rows means that there are none; False where the source no longer tells of the window.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rows = 0
        self.names: set[str] = set()
        self.warnings: list[str] = []
        self.is_proof = True
        self._file: BinaryIO = path.open("w+b")

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size if self._file.closed else self._file.tell()

    def add_rows(self, rows: Sequence[Any]) -> bytes:
        """Add the rows of a page; gives their lines."""
        lines = b"".join([orjson.dumps(row, exact, orjson.OPT_APPEND_NEWLINE) for row in rows])
        self._file.write(lines)
        self.rows += len(rows)
        for row in rows:
            if isinstance(row, dict):
                self.names.update(row)
        return lines

    def add_lines(self, receive: Callable[[BinaryIO], Any]) -> int:
        """Add JSON lines that `receive` writes into the file, plain or as gzip; how many there were.

        Raises CutOffError when the last one is not whole; then, as with every error, nothing is added.
        """
        start = self._file.tell()
        try:
            receive(self._file)
            self._unpack(start)
            found = self._count(start)
        except BaseException:
            self._forget(start)
            raise
        self.rows += found
        return found

    def digest(self) -> str:
        """Tells whether a spool that is closed holds the same lines as another, in whatever order."""
        lines = sorted(self.path.read_bytes().splitlines())
        return blake2b(b"\n".join(lines), digest_size=16).hexdigest()

    def taken_back(self, rows: int, size: int) -> None:
        """Forget what was added since the spool had so many rows and bytes."""
        self.rows = rows
        self._forget(size)

    def _forget(self, size: int) -> None:
        self._file.seek(size)
        self._file.truncate()

    def _unpack(self, start: int) -> None:
        """Replace a gzip file that begins at `start` by what is in it."""
        self._file.flush()
        self._file.seek(start)
        if self._file.read(2) != _GZIP:
            return
        packed = self.path.with_suffix(".packed")
        self._file.seek(start)
        with packed.open("wb") as copy:
            while block := self._file.read(_BLOCK_BYTES):
                copy.write(block)
        self._forget(start)
        try:
            with gzip.open(packed) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    self._file.write(block)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CutOffError(f"not a whole gzip file: {error}") from None
        finally:
            packed.unlink()

    def _count(self, start: int) -> int:
        """Lines from `start` on that are not blank. The last one gets its line end, and must be JSON."""
        count, last = 0, b""
        self._file.flush()
        self._file.seek(start)
        for block in self._whole_lines():
            lines = [line for line in block.split(b"\n") if line and not line.isspace()]
            if not lines:
                continue
            for line in lines[:_LINES_LOOKED_AT]:
                self._look_at(line)
            count += len(lines)
            last = lines[-1]
        if count and not is_json(last):
            raise CutOffError("the last row is not whole")
        self._file.seek(0, 2)
        if count:
            self._file.write(b"\n")
        return count

    def _whole_lines(self) -> Iterator[bytes]:
        rest = b""
        while block := self._file.read(_BLOCK_BYTES):
            whole, separator, tail = (rest + block).rpartition(b"\n")
            if separator:
                yield whole
            rest = tail
        yield rest

    def _look_at(self, line: bytes) -> None:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            return  # the reader marks it
        if isinstance(row, dict):
            self.names.update(row)
