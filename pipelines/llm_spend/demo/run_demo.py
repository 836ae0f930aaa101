"""Write the demo organisation and say how its logs and bills are loaded: to the caller, and in a settings file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_spend.demo.bills import ACCOUNT
from llm_spend.demo.generate import Progress, generate
from llm_spend.rules import import_
from llm_spend.settings import CONFIG_FILES, SourceSettings


@dataclass(frozen=True)
class DemoInputs:
    """What the commands need: logs of every gateway and bills, the organisation's seeds, and the ground truth."""

    sources: list[SourceSettings]
    seeds: Path
    truth: Path


def write(folder: Path, requests: int, seed: int, progress: Progress | None = None) -> DemoInputs:
    """Write logs, bills, seeds, rules and truth below `folder`, replacing an earlier demo's.

    And the settings that make `llm-spend run` in that folder load them into `../demo.duckdb`.
    """
    report = generate(folder, requests=requests, seed=seed, progress=progress)
    for file in ("rate-limits.yaml", "budgets.yaml"):
        import_(folder / "rules" / file, folder / "seeds")
    inputs = DemoInputs(sources(folder), folder / "seeds", report.truth_path)
    config = folder / CONFIG_FILES[-1]
    config.parent.mkdir(exist_ok=True)
    config.write_text("\n".join(_settings(folder, inputs.sources)) + "\n", encoding="utf-8")
    return inputs


def _settings(folder: Path, found: Iterable[SourceSettings]) -> Iterator[str]:
    """TOML, with paths as seen from the folder; text is written there as in JSON."""
    yield from ("[llm_spend]", 'database = "../demo.duckdb"', 'seeds = "seeds"')
    for each in found:
        yield from ("", "[[llm_spend.sources]]")
        for name, value in each.model_dump(exclude_defaults=True).items():
            place = value if name in ("source", "instance") else Path(value).relative_to(folder).as_posix()
            yield f"{name} = {json.dumps(place)}"


def sources(folder: Path) -> list[SourceSettings]:
    """The logs and bills below a demo folder."""
    workspaces = sorted(path for path in (folder / "portkey").iterdir() if path.is_dir())
    return [
        *(SourceSettings(source="portkey", path=f"{path}/*.jsonl.gz", instance=path.name) for path in workspaces),
        SourceSettings(source="truefoundry", path=f"{folder}/truefoundry/*.jsonl.gz", instance="northwind"),
        SourceSettings(source="litellm", path=f"{folder}/litellm/**/*", instance="proxy"),
        SourceSettings(source="generic", path=f"{folder}/other/*.csv.gz", mapping=folder / "other" / "mapping.yml"),
        SourceSettings(source="bill_usage", path=f"{folder}/bills/*/usage.jsonl.gz", instance=ACCOUNT),
        SourceSettings(source="bill_costs", path=f"{folder}/bills/*/costs.jsonl.gz", instance=ACCOUNT),
    ]
