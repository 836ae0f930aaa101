"""The REST API of an MLflow tracking server, asked directly: its client brings a hundred packages for two questions.

Runs are one list and not a stream of windows: a run changes as long as it runs and may be tagged at any time after,
which no question finds; a list that has changed is seen by its content.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient, ApiError
from llm_spend.readers.api.source import ApiSource, Listing, configured
from llm_spend.readers.api.spool import Spool
from llm_spend.sources.mlflow import run_row
from llm_spend.sources.shared_tables import runs_format

DAYS = 90
PAGE_SIZE = 1000
EXPERIMENTS_AT_ONCE = 100

_EXPERIMENTS, _RUNS = "/api/2.0/mlflow/experiments/search", "/api/2.0/mlflow/runs/search"


class MlflowServer:
    """A tracking server; `days`: how long ago the runs began that are listed."""

    def __init__(
        self, client: ApiClient, days: int = DAYS, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._days = days
        self._clock = clock

    def check(self) -> str:
        found = self._page(_EXPERIMENTS, {"max_results": 1, "view_type": "ALL"}, "experiments")
        return "experiments can be read" if found[0] else "there are no experiments that this user may read"

    def runs(self, spool: Spool) -> None:
        """Write the rows of all runs that began lately."""
        experiments = {
            str(each.get("experiment_id")): str(each.get("name"))
            for page in self._pages(_EXPERIMENTS, {"view_type": "ALL"}, "experiments")
            for each in page
        }
        since = int((self._clock() - timedelta(days=self._days)).timestamp() * 1000)
        names = sorted(experiments)
        for start in range(0, len(names), EXPERIMENTS_AT_ONCE):
            wanted = {
                "experiment_ids": names[start : start + EXPERIMENTS_AT_ONCE],
                "run_view_type": "ALL",
                "filter": f"attributes.start_time >= {since}",
            }
            for page in self._pages(_RUNS, wanted, "runs"):
                spool.add_rows([run_row(run, experiments) for run in page])

    def _pages(self, path: str, wanted: Mapping[str, Any], rows_at: str) -> Iterator[list[Mapping[str, Any]]]:
        token, seen = None, set[str]()
        while True:
            body = {**wanted, "max_results": PAGE_SIZE, **({"page_token": token} if token else {})}
            rows, token = self._page(path, body, rows_at)
            yield rows
            if not token:
                return
            if token in seen:
                raise UserError(
                    f"The pages of MLflow's {rows_at} lead back to a page before them.",
                    "Run it again; if that does not help, report it as a bug.",
                )
            seen.add(token)

    def _page(self, path: str, body: Mapping[str, Any], rows_at: str) -> tuple[list[Mapping[str, Any]], str | None]:
        try:
            found = self._client.json("POST", path, body=body)
        except ApiError as error:
            raise _explained(error) from None
        # A list without entries is left out of the answer.
        rows = found.get(rows_at, []) if isinstance(found, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise UserError(f"MLflow's answer to POST {path} has no list of {rows_at}.", "Check `base_url`.")
        token = found.get("next_page_token")
        return rows, str(token) if token else None


def _explained(error: ApiError) -> ApiError:
    """One sentence that says what to do about a refusal."""
    said = f" It says: {error.said}" if error.said else ""
    match error.status:
        case 401:
            reason = "the credentials are wrong or missing"
            remedy = "Give `token`, or `username` and `password`, in [sources.mlflow]."
        case 403:
            reason = "this user may not read experiments"
            remedy = "Give the user the right to read them (MLflow: READ; Databricks: CAN READ)."
        case 404 | 405:
            reason = "there is no MLflow at this address"
            remedy = "Check `base_url` in [sources.mlflow]: the address of the server, without `/api`."
        case _:
            return error
    return ApiError(f"MLflow refused ({error.status}): {reason}.{said}", remedy, error.status, error.said)


def headers_of(token: str | None, username: str | None, password: str | None) -> dict[str, str]:
    """The headers of a question; none for a server that asks nobody who they are."""
    if token:
        return {"Authorization": f"Bearer {token}"}
    if username and password:
        return {"Authorization": f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"}
    return {}


def days_of(text: str | None) -> int:
    """The setting `days`. Raises UserError when it is no number of days."""
    if text is None:
        return DAYS
    if not text.isdecimal() or not 0 < int(text) <= 36_500:
        raise UserError(f"`days` in [sources.mlflow] is no number of days: {text!r}.", "Write it like 90.")
    return int(text)


@contextmanager
def _opened(instance: str) -> Iterator[MlflowServer]:
    address = configured("mlflow", instance, "base_url")
    if not address:
        raise UserError(
            "The address of the MLflow server is not known.",
            "Give it as SOURCES__MLFLOW__BASE_URL in the environment, or as `base_url` in [sources.mlflow].",
        )
    headers = headers_of(
        configured("mlflow", instance, "token", is_secret=True),
        configured("mlflow", instance, "username"),
        configured("mlflow", instance, "password", is_secret=True),
    )
    with ApiClient("MLflow", address, headers) as client:
        yield MlflowServer(client, days_of(configured("mlflow", instance, "days")))


RUNS = Listing("runs", runs_format("mlflow"), MlflowServer.runs)


def api_source(instance: str) -> ApiSource:
    """What a tracking server offers: its runs."""
    return ApiSource("mlflow", _opened, streams=(), listings=(RUNS,))
