"""The pricing step alone: the macro that prices requests, and the same join by hand in one query.

python -m tests.benchmarks.pricing ours DATABASE       on a built database; prints what the query took, as JSON
python -m tests.benchmarks.pricing by-hand DATABASE
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import monotonic, process_time
from typing import Literal

import duckdb
from dbt.cli.main import dbtRunner

from llm_spend.build import dbt_variables
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.settings import MEMORY_LIMIT

Side = Literal["ours", "by-hand"]

COLUMNS = "request_key, channel, model_id, price_status, list_cost_usd, pricing_basis"
_BY_HAND = Path(__file__).parent / "reference" / "pricing.sql"
_REQUESTS = "pricing_step.requests"
_MACRO = f"{{{{ llm_spend.price_requests('{_REQUESTS}', '{_REQUESTS}') }}}}"

Work = dict[str, float]


def price(side: Side, database: Path) -> Work:
    """Price every loaded request of a built database into `pricing_step.<side>`: wall and CPU seconds of the query."""
    query = _macro(database) if side == "ours" else _BY_HAND.read_text(encoding="utf-8")
    with _connect(database) as connection:
        connection.execute("create schema if not exists pricing_step")
        connection.execute(
            f"create table if not exists {_REQUESTS} as from llm_spend_internal.int_requests_unioned"
            " qualify row_number() over (partition by request_key order by load_id desc, total_tokens desc) = 1"
        )
        connection.execute("checkpoint")
        wall, cpu = monotonic(), process_time()
        connection.execute(f'create or replace table pricing_step."{side}" as select {COLUMNS} from ({query})')
        return {"wall_seconds": monotonic() - wall, "cpu_seconds": process_time() - cpu}


def differences(database: Path) -> list[str]:
    """What the two sides differ in after both were run; empty when they are equal."""
    with _connect(database) as connection:
        return [
            f"pricing step: {count:,} rows only in {one}"
            for one, other in (("ours", "by-hand"), ("by-hand", "ours"))
            for (count,) in connection.execute(
                f'select count(*) from (from pricing_step."{one}" except all from pricing_step."{other}")'
            ).fetchall()
            if count
        ]


def _connect(database: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(database))
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    connection.execute("set preserve_insertion_order = false; set timezone = 'UTC'")
    connection.execute("set disabled_optimizers = 'common_subplan'")
    return connection


def _macro(database: Path) -> str:
    """The SQL of the macro, as dbt compiles it in the project that built the database."""
    destination = DuckDb(database)
    project = str(destination.work_dir / "dbt_project")
    os.environ.update(destination.dbt_environment())
    arguments = ["compile", "--quiet", "--inline", _MACRO, "--project-dir", project, "--profiles-dir", project]
    arguments += ["--vars", dbt_variables(destination, "UTC")]
    done = dbtRunner().invoke(arguments)
    if not done.success:
        raise UserError(f"The pricing step does not compile: {done.exception or done.result}")
    (compiled,) = done.result.results  # type: ignore[union-attr]
    return str(compiled.node.compiled_code)


if __name__ == "__main__":
    side, database = sys.argv[1:]
    print(json.dumps(price("ours" if side == "ours" else "by-hand", Path(database))))
