"""Answers that several streams are made of, kept so that each is asked for once."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Hashable
from typing import TypeVar

_T = TypeVar("_T")


class Memory:
    """Keeps what was asked for, packed, in at most `most` bytes: what was kept first is forgotten first."""

    def __init__(self, most: int = 64 * 1024 * 1024) -> None:
        self._most = most
        self._kept: dict[Hashable, bytes] = {}
        self._size = 0

    def get(self, name: Hashable, ask: Callable[[], _T]) -> _T:
        """What `ask` gave for this name, or gives now."""
        if name in self._kept:
            known: _T = pickle.loads(zlib.decompress(self._kept[name]))
            return known
        found = ask()
        self._keep(name, zlib.compress(pickle.dumps(found), 1))
        return found

    def _keep(self, name: Hashable, packed: bytes) -> None:
        self._kept[name] = packed
        self._size += len(packed)
        while self._size > self._most:
            self._size -= len(self._kept.pop(next(iter(self._kept))))
