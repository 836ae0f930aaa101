"""The dbt manifest that assets are made of, from a working copy of its own: a build may be going in the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from filelock import FileLock

from llm_spend import dbt_process
from llm_spend.build import dbt_variables, prepare_project, project_fingerprint

from .place import Place


def manifest_of(place: Place) -> Mapping[str, Any]:
    """The project with the user's seeds, as dbt sees it. It is parsed when it changed, which takes seconds."""
    destination = place.destination
    folder = destination.work_dir / "dagster"
    variables = dbt_variables(destination, place.settings.billing_timezone)
    environment = destination.dbt_environment()
    # Several processes of Dagster load the definitions at the same time.
    with FileLock(folder / "manifest.lock"):
        project = prepare_project(folder, place.settings.seeds)
        fingerprint = project_fingerprint(project, variables, environment)
        written, is_of = project / "target" / "manifest.json", folder / "manifest.is_of"
        if not (written.exists() and is_of.exists() and is_of.read_text() == fingerprint):
            dbt_process.manifest_of(project, destination.name, environment, variables)
            is_of.write_text(fingerprint)
        return with_attached_tests(json.loads(written.read_bytes()))


def with_attached_tests(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with every test attached to one model: a test of several is one of the last of them."""
    depths: dict[str, int] = {}

    def depth(unique_id: str) -> int:
        if unique_id not in depths:
            depths[unique_id] = 1 + max(map(depth, manifest["parent_map"].get(unique_id, [])), default=0)
        return depths[unique_id]

    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and not node.get("attached_node"):
            tables = [each for each in node["depends_on"]["nodes"] if each.startswith(("model.", "seed."))]
            node["attached_node"] = max(tables, key=lambda each: (depth(each), each), default=None)
    return manifest
