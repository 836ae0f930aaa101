"""Check the tags in files: form, registry, and nothing in them that must not be in a log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from llm_spend.errors import UserError
from llm_spend.log import redact
from llm_spend.tags.config_files import read_json, read_shell, read_toml, read_yaml
from llm_spend.tags.find import Tag, find_tags, tags_of
from llm_spend.tags.python_files import read_python
from llm_spend.tags.registry import Registry, TagKey
from llm_spend.tags.tree import Document

LONGEST = 128
"""Characters of a key or value that gateways keep; Portkey and TrueFoundry cut the rest without a word."""

_SNAKE_CASE = re.compile(r"_?[a-z][a-z0-9_]*")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
# Beside what log.redact knows: keys that are known by their first letters, signed tokens, private keys.
_SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|hf_\w{20,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.|-----BEGIN [A-Z ]*PRIVATE KEY|[?&]sig="
)
GATEWAY_KEYS = ("tfy_", "user_api_key", "cf.")
"""Keys that gateways set or read themselves begin so."""

_PYTHON = {".py", ".pyi"}
_SCRIPTS = {".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"}
_SHELL = {".env", ".sh", ".bash", ".zsh", ".http"}
_OTHERS = {".yaml", ".yml", ".json", ".toml"}
_NOT_OURS = {"node_modules", "site-packages", "dist", "build", "target", "__pycache__", "vendor"}
_LARGEST = 2_000_000
_SHOWN = 8
# What a shell, a template or LiteLLM fills in at run time.
_FILLED_IN = re.compile(r"\$[A-Za-z_{(]|\{\{|<%|^os\.environ/")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a tag. Never tells a value that may be a secret."""

    file: Path
    line: int
    key: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


@dataclass(frozen=True)
class Report:
    """What was looked at, what is wrong, and what could not be read."""

    files: int
    tags: int
    registry: Path | None
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...]


def check(paths: Iterable[Path], documents: Iterable[Path], registry: Registry, today: date) -> Report:
    """Check the tags in files and folders, and in documents that hold nothing but tags.

    Raises UserError for a path that is not there, and for a document that can't be read.
    """
    problems: list[Problem] = []
    skipped: list[str] = []
    files = tags = 0
    for file in _files(paths):
        try:
            found = _found(file, _kind(file))
        except (ValueError, OSError) as error:
            skipped.append(f"{file}: {error}")
            continue
        files, tags = files + 1, tags + len(found)
        problems += [problem for tag in found for problem in _problems(file, tag, registry, today)]
    for file in documents:
        found = _only_tags(file)
        files, tags = files + 1, tags + len(found)
        problems += [problem for tag in found for problem in _problems(file, tag, registry, today)]
    return Report(files, tags, registry.file, tuple(problems), tuple(skipped))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files of these paths that may hold tags, each once."""
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no {path} here.", "Give files and folders that are there.")
        for file in sorted(_below(path)) if path.is_dir() else [path]:
            if _kind(file) and file not in seen:
                seen.add(file)
                yield file


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_OURS and not name.startswith(".")]
        yield from (Path(place) / name for name in files)


def _kind(file: Path) -> str:
    """The suffix by which a file is read; '' for one that holds no tags that we could find."""
    if file.name == ".env" or file.name.startswith(".env.") or file.name.endswith(".env"):
        return ".env"
    suffix = file.suffix.lower()
    return suffix if suffix in _PYTHON | _SCRIPTS | _SHELL | _OTHERS else ""


def _found(file: Path, kind: str, *, only_tags: bool = False) -> list[Tag]:
    """The tags of a file. Raises ValueError with the line of what can't be read."""
    text = _text(file)
    try:
        document = _document(text, kind)
        return tags_of(document) if only_tags else find_tags(document, text.splitlines())
    except (RecursionError, MemoryError) as error:
        raise ValueError("line 1: nested too deep to be read") from error


def _only_tags(file: Path) -> list[Tag]:
    if not file.is_file():
        raise UserError(f"There is no {file} here.", "Give a JSON or YAML file of tags.")
    try:
        return _found(file, _kind(file) or ".json", only_tags=True)
    except (ValueError, OSError) as error:
        raise UserError(f"{file}, {error}.", "It must be one object of keys and values.") from error


def _text(file: Path) -> str:
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"line 1: larger than {_LARGEST:,} bytes, so written by a machine")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("line 1: no text in UTF-8") from error


def _document(text: str, kind: str) -> Document:
    if kind in _PYTHON:
        return read_python(text)
    if kind in _SCRIPTS:
        from llm_spend.tags.script_files import read_script  # its parser is compiled, and not needed for most files

        return read_script(text, kind)
    if kind in _SHELL:
        return read_shell(text)
    return {".json": read_json, ".toml": read_toml}.get(kind, read_yaml)(text)


def _problems(file: Path, tag: Tag, registry: Registry, today: date) -> Iterator[Problem]:
    for rule, message in _wrong(tag, registry, today):
        is_shown = not is_secret(tag.key) and (tag.key in registry.keys or not _EMAIL.search(tag.key))
        yield Problem(file, tag.line, tag.key if is_shown else "***", rule, message)


def _wrong(tag: Tag, registry: Registry, today: date) -> Iterator[tuple[str, str]]:
    """The rule that a tag breaks, and what to do."""
    known = registry.keys.get(tag.key)
    if is_secret(tag.key):
        yield "secret", "looks like a secret; tags are written to logs"
        return
    if known is None and _EMAIL.search(tag.key):
        yield "email", "is an e-mail address as a key; name what the value says"
        return
    if tag.kind != "label":
        yield from _wrong_key(tag, known, registry, today)
    if tag.kind == "nested":
        yield "nested", "is a list or a document; send a text for each key"
    if tag.value is not None:
        yield from _wrong_value(tag.value, known)


def _wrong_key(tag: Tag, known: TagKey | None, registry: Registry, today: date) -> Iterator[tuple[str, str]]:
    if len(tag.key) > LONGEST:
        yield "key_length", f"has {len(tag.key)} characters; at most {LONGEST} are kept"
    if known is None and not _SNAKE_CASE.fullmatch(tag.key):
        yield "snake_case", f"is not in snake_case; write {_snake_case(tag.key)}"
    elif known is None and registry.keys and not tag.key.startswith(GATEWAY_KEYS):
        near = get_close_matches(tag.key, registry.keys, n=1)
        meant = f"; is {near[0]} meant?" if near else f"; register it in {registry.file}, or leave it out"
        yield "unregistered", f"is not in the registry{meant}"
    if known and known.retired and known.retired <= today:
        instead = f"; send {known.replaced_by} instead" if known.replaced_by else ""
        yield "retired", f"is retired since {known.retired}{instead}"


def _wrong_value(value: str, known: TagKey | None) -> Iterator[tuple[str, str]]:
    is_allowed = bool(known and known.allows(value))
    is_filled_in = bool(_FILLED_IN.search(value))
    if is_secret(value):
        yield "secret", "looks like a secret; tags are written to logs"
        return
    if len(value) > LONGEST and not is_filled_in:
        yield "value_length", f"has {len(value)} characters; at most {LONGEST} are kept"
    # Who registers a pattern that e-mail addresses fit has decided to send them.
    if _EMAIL.search(value) and not is_allowed:
        yield "email", "is an e-mail address; send an id, or register a pattern that allows it"
    elif known and known.has_rule and not is_allowed and not is_filled_in:
        values = sorted(known.allowed_values)
        near = get_close_matches(value, values, n=1)
        if near:
            meant = f"is {near[0]} meant?"
        else:
            meant = (
                f"allowed are {_some(values)}" if values else f"it must fit {known.pattern and known.pattern.pattern}"
            )
        yield "value", f"{value!r} is not allowed by the registry; {meant}"


def is_secret(text: str) -> bool:
    """Whether a text looks like an API key, a token or a private key."""
    # A log hides all behind the question mark of an address; here it is looked at like any other text.
    plain = text.replace("?", " ")
    return redact(plain) != plain or bool(_SECRET.search(text))


def _some(values: list[str]) -> str:
    """The first of them, and how many there are more."""
    more = len(values) - _SHOWN
    return ", ".join(values[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _snake_case(key: str) -> str:
    """The key as it should be written."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "a name of letters"
