"""Write files whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from llm_spend.errors import UserError


def write_files(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files by name into a folder, in place of those that have these names.

    Each is written under another name first, so a file of that name is whole. Raises UserError when one can't be.
    """
    partial = {folder / f".{name}.partial": folder / name for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(partial, contents.values(), strict=True):
            path.write_bytes(content)
        for path, final in partial.items():
            path.replace(final)
    except OSError as error:
        raise UserError(
            f"{error.filename2 or error.filename or folder} can't be written: {error.strerror}.",
            "Give another folder with --output, or close the program that has the file open.",
        ) from error
    finally:
        for path in partial:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return tuple(partial.values())
