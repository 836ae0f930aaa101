"""What a source can tell and what it can't, in words: docs/sources.md is made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A value of `[sources.<source>]` in a `.dlt` file, or of the environment."""

    name: str
    meaning: str
    is_secret: bool = False
    is_required: bool = False


@dataclass(frozen=True)
class About:
    """One or two sentences of markdown each.

    `grain`: what a row is. `cost`: what the reported cost means. `tokens`: whether input includes cached tokens, and
    what else the counts mean. `attribution`: what tells who it was. `lateness`: how late rows come or change.
    `files`, `api`: what `--path` reads, what `--api` asks and which right it takes; empty: not offered.
    """

    title: str
    grain: str
    cost: str
    tokens: str
    attribution: str
    lateness: str
    cannot_tell: str
    files: str = ""
    api: str = ""
    settings: tuple[Setting, ...] = ()
