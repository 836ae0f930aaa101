"""What dbt knows of the public tables: columns, meanings, keys. Read from the manifest that dbt writes by parsing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import orjson

from llm_spend.build import prepare_project, project_dir
from llm_spend.dbt_process import manifest_of
from llm_spend.destinations.base import Destination
from llm_spend.errors import UserError

Kind = Literal["text", "integer", "decimal", "boolean", "date", "timestamp", "json"]

_KINDS: Mapping[str, Kind] = {
    "string": "text",
    "text": "text",
    "varchar": "text",
    "bigint": "integer",
    "int64": "integer",
    "integer": "integer",
    "decimal": "decimal",
    "numeric": "decimal",
    "bignumeric": "decimal",
    "number": "decimal",
    "boolean": "boolean",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_ntz": "timestamp",
    "json": "json",
    "variant": "json",
}

_Test = tuple[str, tuple[str, ...]]
"""A generic test and the columns that it looks at."""


@dataclass(frozen=True)
class Column:
    """`description` is plain text; `is_never_null` is what a test of the table holds it to."""

    name: str
    kind: Kind
    description: str
    is_never_null: bool


@dataclass(frozen=True)
class Model:
    """A public table. `key` names the columns that tell its rows apart; some of them may be NULL."""

    name: str
    schema: str
    description: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]


def models_of(destination: Destination) -> Mapping[str, Model]:
    """The public tables of this version, with the schema that they have in a destination. Connects to nothing."""
    models = read_manifest(_manifest(destination.work_dir / "dbt_project"))
    return {name: replace(model, schema=destination.schemas.public) for name, model in models.items()}


def read_manifest(content: bytes) -> Mapping[str, Model]:
    """The models of this package in a dbt manifest, by name. Raises UserError when it is none, or has none of them."""
    try:
        nodes = orjson.loads(content)["nodes"].values()
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError("The file is no manifest of dbt.", "Give the manifest.json of a target folder.") from error
    models = [node for node in nodes if node["resource_type"] == "model" and node["package_name"] == "llm_spend"]
    if not models:
        raise UserError(
            "The manifest has no model of llm_spend.", "Give that of a project which has the package installed."
        )
    tests: dict[str, list[_Test]] = {}
    for node in nodes:
        if node["resource_type"] == "test" and node.get("test_metadata"):
            tests.setdefault(node.get("attached_node") or "", []).append(_test(node["test_metadata"]))
    return {node["name"]: _model(node, tests.get(node["unique_id"], [])) for node in models}


def kind_of(data_type: str) -> Kind:
    """What a type of any of the three warehouses is to people. Raises ValueError for one that no public table has."""
    name = data_type.lower().partition("(")[0].strip()
    if name not in _KINDS:
        raise ValueError(f"no kind for the type {data_type}")
    return _KINDS[name]


def plain(text: str) -> str:
    """A description without the marks that only Markdown shows, on one line."""
    return " ".join(text.replace("`", "").split())


def _model(node: Mapping[str, Any], tests: Iterable[_Test]) -> Model:
    keys = {name: columns for name, columns in tests if name in ("unique", "unique_grain")}
    never_null = {column for name, columns in tests if name in ("never_null", "not_null") for column in columns}
    columns = {
        column["name"]: Column(
            column["name"], kind_of(column["data_type"]), plain(column["description"]), column["name"] in never_null
        )
        for column in node["columns"].values()
        if column["data_type"]
    }
    # A table too large for a test of its grain says it in its meta.
    key = keys.get("unique") or keys.get("unique_grain") or tuple(node["config"]["meta"].get("key", ()))
    return Model(node["name"], node["schema"], plain(node["description"]), key, columns)


def _test(metadata: Mapping[str, Any]) -> _Test:
    arguments = metadata["kwargs"]
    columns = arguments.get("columns") or [arguments.get("column_name")]
    return metadata["name"], tuple(name for name in columns if name)


def _manifest(built: Path) -> bytes:
    """That of the last build, if it was of these models; else of a copy that is parsed now, which takes seconds."""
    written = _written(built / "target" / "manifest.json")
    if written and _described(built) == _described(project_dir()):
        return written
    with TemporaryDirectory(prefix="llm_spend_") as folder:
        project = prepare_project(Path(folder), None)
        environment = {"LLM_SPEND_DESTINATION": "duckdb", "LLM_SPEND_DATABASE": f"{folder}/none.duckdb"}
        return manifest_of(project, "duckdb", environment)


def _written(manifest: Path) -> bytes | None:
    """What a build wrote. None without one, and while one that runs now has written a part: nobody waits for it."""
    try:
        content = manifest.read_bytes()
        orjson.loads(content)
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return content


def _described(project: Path) -> Mapping[Path, bytes]:
    """The files that say what tables are, and mean."""
    return {
        path.relative_to(project): path.read_bytes()
        for folder in ("models", "docs")
        for path in sorted((project / folder).rglob("*.*"))
        if path.suffix in (".yml", ".md")
    }
