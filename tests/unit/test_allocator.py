"""The memory that DuckDB is given while logs are read holds nothing of what was there before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from llm_spend import ALLOCATOR

_SIZES = [64, 1_000, 4_096, 20_000, 32_768, 65_536, 262_144, 1 << 20, 4 << 20, 8 << 20, 40 << 20]

_PROBE = """
import ctypes, json, sys
import llm_spend, duckdb
library = ctypes.CDLL(sys.argv[1])
try:
    allocate, free = library.duckdb_je_malloc, library.duckdb_je_free
except AttributeError:
    print("null")
    sys.exit()
allocate.restype, allocate.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
used_before = []
for size in json.loads(sys.argv[2]):
    for _ in range(3):
        pieces = [allocate(size) for _ in range(6)]
        used_before += [size for piece in pieces if ctypes.string_at(piece, size).strip(b"\\0")]
        for piece in pieces:
            ctypes.memset(piece, 0x53, size)
            free(piece)
print(json.dumps(used_before))
"""


def _sizes_with_old_content(configuration: str | None) -> list[int]:
    library = find_spec("_duckdb")
    assert library and library.origin
    environment = {name: value for name, value in os.environ.items() if name != ALLOCATOR}
    environment |= {} if configuration is None else {ALLOCATOR: configuration}
    probe = [sys.executable, "-c", _PROBE, library.origin, json.dumps(_SIZES)]
    said = subprocess.run(probe, env=environment, check=True, capture_output=True, text=True)
    assert not said.stderr
    found = json.loads(said.stdout)
    if found is None:
        pytest.skip("this DuckDB has no allocator of its own")
    return list(found)


def test_memory_for_a_load_is_zeroed_whatever_its_size() -> None:
    assert _sizes_with_old_content(None) == []


def test_the_probe_sees_what_was_there_before() -> None:
    assert _sizes_with_old_content("")
