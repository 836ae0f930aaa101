"""Runs of an MLflow tracking server, asked for real at a server that holds us to its protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.source import ApiSource
from llm_spend.sources import mlflow_api
from llm_spend.sources.mlflow import run_row
from llm_spend.sources.mlflow_api import RUNS, MlflowServer, days_of, headers_of

from .conftest import Warehouse
from .fake_mlflow import TOKEN, FakeMlflow
from .fake_server import PASSING, Fault, Scene, client_of, opening, serving

NOW = datetime(2026, 11, 3, 12)
STARTED = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp() * 1000)
EXPERIMENTS = [{"experiment_id": "7", "name": "rerank", "lifecycle_stage": "active"}, {"experiment_id": "8"}]


def run(run_id: str, experiment: str = "7", data: Any = None, **info: Any) -> dict[str, Any]:
    known = {"run_id": run_id, "experiment_id": experiment, "status": "FINISHED", "start_time": STARTED}
    return {"info": {**known, "lifecycle_stage": "active", **info}, "data": data or {}}


class Stage(NamedTuple):
    mlflow: FakeMlflow
    scene: Scene

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        return self.scene.warehouse.rows(f"select {columns} from raw.tracking__runs order by observed_at, run_id")


@pytest.fixture(scope="module")
def warehouse(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("mlflow")


@pytest.fixture
def stage(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    fake, pauses = FakeMlflow(experiments=list(EXPERIMENTS)), list[float]()
    headers = headers_of(TOKEN, None, None)

    def server(client: Any) -> MlflowServer:
        return MlflowServer(client, clock=lambda: NOW.replace(tzinfo=UTC))

    with serving(fake):
        source = ApiSource("mlflow", opening(server, lambda: client_of(fake, "MLflow", headers, pauses)), (), (RUNS,))
        monkeypatch.setattr(mlflow_api, "api_source", lambda instance: source)
        yield Stage(fake, Scene(source, warehouse, pauses))


def listed(stage: Stage) -> list[dict[str, Any]]:
    """The rows of the list, without a load."""
    path = stage.scene.warehouse.folder / "spool.jsonl"
    with stage.scene.source.open("default") as api, mlflow_api.Spool(path) as spool:
        RUNS.fetch(api, spool)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_runs_are_loaded_when_they_have_changed(stage: Stage) -> None:
    data = {
        "tags": [{"key": "team", "value": "search"}, {"key": "mlflow.log-model.history", "value": "[]"}],
        "params": [{"key": "model", "value": "gpt-4o"}],
        "metrics": [{"key": "recall", "value": 0.91, "timestamp": STARTED, "step": 3}],
    }
    running = run("r-2", status="RUNNING")
    stage.mlflow.runs = [run("r-1", data=data, end_time=str(STARTED + 1500), user_id="ann", run_name="big"), running]
    first = stage.scene.load(NOW)
    assert (first.rows, first.quarantined, first.warnings) == (2, 0, ())
    assert stage.scene.load(NOW).rows == 0
    running["info"]["status"] = "FAILED"
    assert stage.scene.load(NOW.replace(hour=13)).rows == 2
    columns = (
        "run_id, experiment_name, run_name, status, user_id, started_at, ended_at, tags->>'team', params->>'model',"
        " metrics->>'recall', json_keys(tags), observed_at, _source_system"
    )
    began = datetime(2026, 11, 2, 10)
    big = ("r-1", "rerank", "big", "FINISHED", "ann", began, began.replace(second=1, microsecond=500_000))
    small = ("r-2", "rerank", None)
    rows = stage.rows(columns)
    assert rows[0] == (*big, "search", "gpt-4o", "0.91", ["team"], NOW, "mlflow")
    assert [row[:4] for row in rows[1:]] == [(*small, "RUNNING"), big[:4], (*small, "FAILED")]


def test_every_page_of_every_experiment_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_api, "EXPERIMENTS_AT_ONCE", 1)
    stage.mlflow.page_size = 2
    stage.mlflow.experiments = [{"experiment_id": str(number), "name": f"e{number}"} for number in (7, 8, 9)]
    stage.mlflow.runs = [run(f"r-{number}", experiment) for experiment in ("7", "8") for number in range(5)]
    assert len(listed(stage)) == 10


def test_runs_that_began_long_ago_are_not_asked_for(stage: Stage) -> None:
    stage.mlflow.runs = [
        run("old", start_time=STARTED - 100 * 86_400_000),
        run("new"),
        run("gone", lifecycle_stage="deleted"),
    ]
    assert [row["run_id"] for row in listed(stage)] == ["new", "gone"]


def test_a_server_without_experiments_has_no_runs(stage: Stage) -> None:
    stage.mlflow.experiments = []
    assert listed(stage) == []
    assert stage.scene.check() == "there are no experiments that this user may read"


def test_a_loop_of_pages_is_an_error(stage: Stage) -> None:
    stage.mlflow.is_looping = True
    with pytest.raises(UserError, match="lead back to a page"):
        listed(stage)


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(stage: Stage, fault: Fault) -> None:
    stage.mlflow.faults = [fault]
    stage.mlflow.runs = [run("r-1")]
    assert len(listed(stage)) == 1
    assert len(stage.scene.pauses) == 1


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (Fault(401, {"message": "who?"}), "Give `token`"),
        (Fault(403, {"error_code": "PERMISSION_DENIED", "message": "no"}), "the right to read"),
        (Fault(404, b"<html>"), "without `/api`"),
        (Fault(200, {"runs": 5, "experiments": "none"}), "Check `base_url`"),
    ],
)
def test_a_refusal_says_what_to_do(stage: Stage, fault: Fault, remedy: str) -> None:
    stage.mlflow.faults = [fault]
    with pytest.raises(UserError) as raised:
        listed(stage)
    assert remedy in raised.value.remedy
    assert TOKEN not in f"{raised.value.problem} {raised.value.remedy}"


def test_the_check_says_what_can_be_read(stage: Stage) -> None:
    assert stage.scene.check() == "experiments can be read"


def test_a_run_in_the_words_of_older_servers() -> None:
    tags = [{"key": "mlflow.user", "value": "bob"}, {"key": "mlflow.runName", "value": "n"}, {"value": "no key"}]
    info = {"run_uuid": "u-1", "experiment_id": "9", "start_time": 0, "end_time": "soon"}
    row = run_row({"info": info, "data": {"tags": tags}}, {})
    assert (row["run_id"], row["run_name"], row["user_id"], row["experiment_name"]) == ("u-1", "n", "bob", None)
    assert (row["started_at"], row["ended_at"], row["metrics"]) == (None, "soon", {})


def test_credentials_are_a_token_or_a_password() -> None:
    assert headers_of("t", "ann", "p") == {"Authorization": "Bearer t"}
    assert headers_of(None, "ann", "p") == {"Authorization": "Basic YW5uOnA="}
    assert headers_of(None, "ann", None) == {}


@pytest.mark.parametrize(("text", "days"), [(None, 90), ("30", 30)])
def test_days_are_a_setting(text: str | None, days: int) -> None:
    assert days_of(text) == days


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_days_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no number of days"):
        days_of(text)
