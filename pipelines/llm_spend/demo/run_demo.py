"""Write the demo organisation and say how its logs and bills are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llm_spend.demo.bills import ACCOUNT
from llm_spend.demo.generate import Progress, generate
from llm_spend.rules import import_
from llm_spend.settings import SourceSettings


@dataclass(frozen=True)
class DemoInputs:
    """What the commands need: logs of every gateway and bills, the organisation's seeds, and the ground truth."""

    sources: list[SourceSettings]
    seeds: Path
    truth: Path


def write(folder: Path, requests: int, seed: int, progress: Progress | None = None) -> DemoInputs:
    """Write logs, bills, seeds, rules and truth below `folder`, replacing an earlier demo's."""
    report = generate(folder, requests=requests, seed=seed, progress=progress)
    for file in ("rate-limits.yaml", "budgets.yaml"):
        import_(folder / "rules" / file, folder / "seeds")
    return DemoInputs(sources(folder), folder / "seeds", report.truth_path)


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
