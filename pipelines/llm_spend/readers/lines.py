"""Lines of a JSON log that would take their neighbours with them.

DuckDB looks for a value that is missing at the end of a line (`{"id":`) in the next line, which then can't be read any
more either; and a document over several lines, somewhere in a log of one a line, ends the whole load. Such lines are no
records anyway: before a file is read they are made into something that is no JSON.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from pathlib import Path

# A line end before which a value is missing, or behind which no object and no line begins. A pattern that begins with
# one byte passes over all others quickly, and almost every line ends with `}`.
_ODD_END = re.compile(
    rb"\n(?:(?<!\}\n)(?:(?<=[:,\[]\n)|(?<=[:,\[] \n)|(?<=[:,\[]\r\n)|(?<=[:,\[] \r\n))|(?![{\r\n]|\Z))"
)
_CONTEXT = len(b": \r\n")


class OddLines:
    """Looks at the blocks of a file as they go by. `ends`: where lines end that must not be followed by the next."""

    def __init__(self) -> None:
        self.ends: set[int] = set()
        self._seen = b""
        self._size = 0

    def look_at(self, block: bytes | memoryview) -> None:
        """The next block of the file."""
        # The last byte of the block before may be a line end, of which one sees only now what is behind it.
        start, text = max(len(self._seen) - 1, 0), self._seen + block if self._seen else block
        offset = self._size - len(self._seen)
        self.ends.update(offset + found.start() for found in _ODD_END.finditer(text, start))
        self._seen, self._size = bytes(text[-_CONTEXT:]), self._size + len(block)


def mend(content: bytearray | mmap.mmap, ends: Iterable[int], size: int) -> None:
    """Overwrite the lines before and after some line ends, where they are no `{…}`; no other line moves."""
    for end in ends:
        _overwrite(content, content.rfind(b"\n", 0, end) + 1, end)
        after = content.find(b"\n", end + 1, size)
        _overwrite(content, end + 1, size if after < 0 else after)


def mend_file(path: Path, ends: Iterable[int]) -> None:
    """The same in a file."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        mend(content, ends, len(content))


def _overwrite(content: bytearray | mmap.mmap, start: int, end: int) -> None:
    line = content[start:end].strip()
    if line and not (line.startswith(b"{") and line.endswith(b"}")):
        content[start:end] = b"!".ljust(end - start)
