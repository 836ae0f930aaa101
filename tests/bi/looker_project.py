"""As much of Looker as a test needs: reads the files of a LookML project and writes the SQL that Looker would ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lkml
import yaml

FIELD = re.compile(r"\$\{([\w.]+)\}")
FRAMES = {"raw": "{}", "time": "{}", "date": "cast({} as date)", "month": "date_trunc('month', {})"}
FRAMES |= {name: f"date_trunc('{name}', {{}})" for name in ("hour", "week", "quarter", "year")}


@dataclass(frozen=True)
class Project:
    constants: Mapping[str, str]
    model: Mapping[str, Any]
    views: Mapping[str, Mapping[str, Any]]
    dashboard: Mapping[str, Any]

    @property
    def explores(self) -> Mapping[str, Mapping[str, Any]]:
        return {each["name"]: each for each in self.model["explores"]}

    def dimensions(self, view: str) -> list[str]:
        """Every field to group by, with all timeframes."""
        found = [each["name"] for each in self.views[view].get("dimensions", [])]
        for group in self.views[view].get("dimension_groups", []):
            found += [f"{group['name']}_{frame}" for frame in group["timeframes"]]
        return found

    def measures(self, view: str) -> list[str]:
        return [each["name"] for each in self.views[view].get("measures", [])]

    def fields(self, explore: str) -> set[str]:
        """What a user of the explore can choose, as `view.field`."""
        found = {f"{explore}.{name}" for name in (*self.dimensions(explore), *self.measures(explore))}
        return found | {name for join in self.explores[explore].get("joins", []) for name in join["fields"]}

    def sql(self, field: str) -> str:
        """The SQL of `view.field`. A sum of nothing is 0: so does Looker."""
        view, name = field.split(".")
        for each in self.views[view].get("dimensions", []):
            if each["name"] == name:
                return self._resolved(view, each["sql"])
        for group in self.views[view].get("dimension_groups", []):
            for frame in group["timeframes"]:
                if f"{group['name']}_{frame}" == name:
                    return FRAMES[frame].format(self._resolved(view, group["sql"]))
        (measure,) = [each for each in self.views[view]["measures"] if each["name"] == name]
        if measure["type"] == "count":
            return "count(*)"
        sql = self._resolved(view, measure["sql"])
        return {
            "sum": f"coalesce(sum({sql}), 0)",
            "min": f"min({sql})",
            "max": f"max({sql})",
            "count_distinct": f"count(distinct {sql})",
            "percentile": f"percentile_cont({int(measure.get('percentile', 0)) / 100}) within group (order by {sql})",
        }.get(measure["type"], sql)

    def query(self, explore: str, fields: list[str], where: str = "", *, joined: bool = True) -> str:
        """A query of an explore, ungrouped when it has measures only."""
        node = self.explores[explore]
        joins = "".join(
            f" left join {self._table(join['name'])} on {self._resolved(explore, join['sql_on'])}"
            for join in (node.get("joins", []) if joined else [])
        )
        conditions = [text for text in (node.get("sql_always_where", ""), where) if text]
        listed = ", ".join(f"{self.sql(field)} as {field.replace('.', '__')}" for field in fields)
        sql = f"select {listed} from {self._table(explore)}{joins}"
        return sql + (f" where {' and '.join(conditions)}" if conditions else "")

    def _table(self, view: str) -> str:
        return f"{self._constant(self.views[view]['sql_table_name'])} as {view}"

    def _constant(self, text: str) -> str:
        return re.sub(r"@\{(\w+)\}", lambda name: self.constants[name[1]], text)

    def _resolved(self, view: str, sql: str) -> str:
        def resolved(match: re.Match[str]) -> str:
            name = match[1]
            return view if name == "TABLE" else self.sql(name if "." in name else f"{view}.{name}")

        return FIELD.sub(resolved, sql)


def read_project(folder: Path) -> Project:
    """Raises what lkml raises on text that is no LookML."""
    manifest = lkml.load((folder / "manifest.lkml").read_text())
    model = lkml.load((folder / "llm_spend.model.lkml").read_text())
    views = [lkml.load(path.read_text())["views"] for path in sorted(folder.glob("views/*.view.lkml"))]
    written = (folder / "dashboards/llm_spend.dashboard.lookml").read_text()
    assert "&id" not in written, "references are for YAML, not for LookML"
    (dashboard,) = yaml.safe_load(written)
    return Project(
        {each["name"]: each["value"] for each in manifest["constants"]},
        model,
        {view["name"]: view for (view,) in views},
        dashboard,
    )
