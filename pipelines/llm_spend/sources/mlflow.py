"""Runs of an MLflow tracking server, as a dimension of requests that carry the id of their run.

Times are epoch milliseconds. A metric is the last value that was logged under its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from llm_spend.readers.api.values import iso
from llm_spend.sources.about import About, Setting

# The history of models that MLflow keeps as a tag is long, and tells nothing of usage.
_LONG_TAGS = frozenset({"mlflow.log-model.history"})


def run_row(run: Mapping[str, Any], experiments: Mapping[str, str]) -> dict[str, Any]:
    """A row of `tracking__runs` from a run as the API gives it; `experiments`: names by id."""
    info, data = run.get("info") or {}, run.get("data") or {}
    tags = {name: value for name, value in _pairs(data.get("tags")).items() if name not in _LONG_TAGS}
    experiment = str(info.get("experiment_id") or "")
    return {
        "run_id": info.get("run_id") or info.get("run_uuid"),
        "experiment_id": experiment,
        "experiment_name": experiments.get(experiment),
        "run_name": info.get("run_name") or tags.get("mlflow.runName"),
        "status": info.get("status"),
        "user_id": info.get("user_id") or tags.get("mlflow.user"),
        "started_at": _moment(info.get("start_time")),
        "ended_at": _moment(info.get("end_time")),
        "lifecycle_stage": info.get("lifecycle_stage"),
        "tags": tags,
        "params": _pairs(data.get("params")),
        "metrics": _pairs(data.get("metrics")),
    }


def _pairs(listed: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {str(each["key"]): each.get("value") for each in listed or () if each.get("key")}


def _moment(milliseconds: Any) -> str | None:
    """A number that is no time is left as it came: the reader says that it can't be read."""
    if milliseconds in (None, "", 0, "0"):
        return None
    try:
        moment = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return str(milliseconds)
    return iso(moment.replace(tzinfo=None))


ABOUT = About(
    title="MLflow",
    grain="No requests: a run of an experiment, with its tags, parameters and last metrics (`dim_llm_runs`).",
    cost="None.",
    tokens="None.",
    attribution="A request belongs to the run whose id is in its metadata (`mlflow_run_id`, `run_id`): join"
    " `dim_llm_runs` by it.",
    lateness="Runs that began in the last 90 days (`days`) are listed each time, deleted ones too, and loaded when"
    " anything about them has changed. Older ones stay as they were last seen.",
    cannot_tell="Which requests a run made, unless they carry its id; earlier values of a metric.",
    api="Experiments and runs of a tracking server, over its REST API 2.0; any user who may read them.",
    settings=(
        Setting("base_url", "the tracking server, without `/api`", is_required=True),
        Setting("token", "a bearer token (Databricks: a personal access token)", is_secret=True),
        Setting("username", "with `password`: of a server with basic authentication"),
        Setting("password", "see `username`", is_secret=True),
        Setting("days", "how far back the beginning of a run is listed; 90 if not given"),
    ),
)
