"""The dbt package in the project of another company: installed, with its own schemas, seeds, gateway and models.

`other_project/` is that project. It is built with dbt alone: all that it has of ours is the package and the raw tables.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from llm_spend.demo import Truth, run_demo
from llm_spend.destinations import DuckDb
from tests.conftest import load_sources, query
from tests.dbt.test_demo_truth import FACT_MEASURES, measures
from tests.dbt_fork import run_dbt

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "dbt_project"
OTHER_PROJECT = Path(__file__).parent / "other_project"
PAGE = REPOSITORY / "docs" / "dbt-package.md"

# What the company has of the demo's gateways. It never had a TrueFoundry gateway, so there are no tables of one.
LOADED = [("portkey", "ws-product"), ("litellm", "proxy")]
LISTS = ["members", "limits", "limit_usage", "totals", "feedback"]
RAW_TABLES = ["portkey__logs", "litellm__payloads", "llm_spend__files", "llm_spend__quarantine", "_dlt_loads"]
RAW_TABLES += [*(f"gateway__{name}" for name in LISTS), "tracking__runs"]
RAW_TABLES += ["provider__usage", "provider__costs", "provider__focus"]

# The company's own gateway: every seventh call fails, the others use the same tokens, at the list price of gpt-4o.
CALLS = 35
FAILED = 5
COST_OF_A_CALL = Decimal("0.000001") * (100 * Decimal("2.5") + 50 * Decimal("1.25") + 10 * 10)
SWITCHBOARD = f"""
    select
        '{{export}}-' || number as call_id,
        'quay-1' as site,
        'bea@harbour.example' as caller,
        cast(null as varchar) as squad,
        timestamp '2026-08-20 08:00:00' + number * interval 1 hour as called_at,
        1.5 as seconds,
        'openai' as vendor,
        'gpt-4o' as model,
        cast('{{{{"team": "platform", "feature": "berths"}}}}' as json) as labels,
        number % 7 = 0 as failed,
        case when number % 7 = 0 then 0 else 100 end as prompt_tokens,
        case when number % 7 = 0 then 0 else 50 end as cached_tokens,
        case when number % 7 = 0 then 0 else 10 end as completion_tokens,
        '{{export}}' as export_id,
        (select max(inserted_at) at time zone 'UTC' from landing._dlt_loads) + interval '{{days}} days' as exported_at
    from range({CALLS}) as numbers(number)
"""


@dataclass(frozen=True)
class Company:
    """A dbt project beside its two databases: the lake has the raw tables, the warehouse what dbt builds."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def lake(self) -> Path:
        return self.folder / "lake.duckdb"

    def install(self, package: dict[str, str]) -> None:
        """Write packages.yml with one entry, and have dbt install it."""
        content = yaml.safe_dump({"packages": [package]}, sort_keys=False)
        (self.project / "packages.yml").write_text(content, encoding="utf-8")
        result = self.dbt("deps")
        assert result.returncode == 0, result.stdout

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run dbt as the company would: with its own profile, and none of our variables."""
        return run_dbt(*arguments, "--profiles-dir", ".", folder=self.project, environment=self.environment())

    def environment(self) -> dict[str, str]:
        own = {"HARBOUR_WAREHOUSE": str(self.warehouse), "HARBOUR_LAKE": str(self.lake), "NO_COLOR": "1"}
        return {name: value for name, value in os.environ.items() if not name.startswith("LLM_SPEND_")} | own

    def results(self) -> dict[str, str]:
        """Status of every node of the last run, by its unique id."""
        document = json.loads((self.project / "target" / "run_results.json").read_text(encoding="utf-8"))
        return {result["unique_id"]: result["status"] for result in document["results"]}

    def export_calls(self, export: str, days: int) -> None:
        """Another export of the company's own gateway, so many days after llm_spend's loads."""
        with duckdb.connect(str(self.lake)) as lake:
            lake.execute("create schema if not exists switchboard")
            select = SWITCHBOARD.format(export=export, days=days)
            lake.execute(f"create table if not exists switchboard.calls as from ({select}) limit 0")
            lake.execute(f"insert into switchboard.calls {select}")


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    command = ["git", "-C", repository, *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def published(folder: Path) -> Path:
    """A git repository with what a commit of this checkout would publish of the package."""
    names = git(REPOSITORY, "ls-files", "--cached", "--others", "--exclude-standard", "dbt_project").splitlines()
    for name in names:
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "The package")
    git(folder, "tag", "v1")
    return folder


def own_seeds(demo_seeds: Path, folder: Path) -> None:
    """The company's own organisation: the demo's teams, paid by other cost centres."""
    shutil.copy(demo_seeds / "org_members.csv", folder)
    teams = (demo_seeds / "org_teams.csv").read_text(encoding="utf-8")
    (folder / "org_teams.csv").write_text(teams.replace(",cc-", ",harbour-"), encoding="utf-8")


@dataclass(frozen=True)
class Loaded:
    """The raw tables of a small demo organisation in `landing`, a schema that is not ours, and its truth."""

    lake: Path
    seeds: Path
    truth: Truth


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("loaded")
    inputs = run_demo.write(folder / "organisation", 1000, seed=7)
    load_sources(
        [each for each in inputs.sources if (each.source, each.instance) in LOADED], DuckDb(folder / "raw.duckdb")
    )
    with duckdb.connect(str(folder / "lake.duckdb")) as lake:
        lake.execute(f"attach '{folder / 'raw.duckdb'}' as loaded (read_only)")
        lake.execute("create schema landing")
        for table in RAW_TABLES:
            lake.execute(f"create table landing.{table} as from loaded.llm_spend_raw.{table}")
    return Loaded(folder / "lake.duckdb", inputs.seeds, Truth.load(inputs.truth))


def found_company(folder: Path, loaded: Loaded) -> Company:
    company = Company(folder)
    shutil.copytree(OTHER_PROJECT, company.project)
    (company.project / "seeds" / "llm_spend").mkdir(parents=True, exist_ok=True)
    own_seeds(loaded.seeds, company.project / "seeds" / "llm_spend")
    shutil.copy(loaded.lake, company.lake)
    company.export_calls("first", days=0)
    return company


@pytest.fixture(scope="module")
def company(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """The company after its first build, with the package installed from git."""
    company = found_company(tmp_path_factory.mktemp("company"), loaded)
    repository = published(tmp_path_factory.mktemp("published"))
    company.install({"git": repository.as_uri(), "subdirectory": "dbt_project", "revision": "v1"})
    result = company.dbt("build", "--warn-error-options", '{"error": ["Deprecations"]}')
    assert result.returncode == 0, result.stdout[-5000:]
    yield company


def tables(company: Company) -> dict[str, set[str]]:
    """Tables and views of the warehouse by schema."""
    found: dict[str, set[str]] = {}
    for schema, table in query(company.warehouse, "select table_schema, table_name from information_schema.tables"):
        found.setdefault(schema, set()).add(table)
    return found


def names(*folders: str) -> set[str]:
    return {path.stem for folder in folders for path in (PACKAGE / folder).rglob("*.sql")}


@pytest.mark.slow
def test_everything_is_where_the_company_wants_it(company: Company) -> None:
    reference = {path.stem for path in (PACKAGE / "seeds").rglob("*.csv")}
    assert tables(company) == {
        "llm_costs": names("models/marts"),
        "llm_staging": names("models/intermediate", "models/staging")
        - {"stg_truefoundry__spans", "stg_generic__requests"},
        "llm_reference": reference,
        "staging": {"stg_switchboard__calls"},
        "finance": {"llm_cost_by_cost_center", "harbour_visits"},
        "access": {"api_keys"},
    }
    schemas = query(company.warehouse, "select schema_name from duckdb_schemas() where not internal")
    assert {schema for (schema,) in schemas} == set(tables(company)), "a schema is empty"


@pytest.mark.slow
def test_our_tests_pass_there_too(company: Company) -> None:
    # An exposure is described, and nothing to be done.
    results = {name: status for name, status in company.results().items() if not name.startswith("exposure.")}
    assert set(results.values()) <= {"success", "pass", "warn"}
    warned = {name.split(".")[2] for name, status in results.items() if status == "warn"}
    assert all(name.startswith("warn_") for name in warned)

    ran = {tuple(name.split(".")[:3]) for name in results}
    singular = names("tests") - names("tests/generic")
    assert {("test", "llm_spend", name) for name in singular} <= ran
    unit_tests = sum(
        len(yaml.safe_load(path.read_text(encoding="utf-8")).get("unit_tests", []))
        for path in (PACKAGE / "models").rglob("*.yml")
    )
    assert sum(1 for kind, package, _ in ran if (kind, package) == ("unit_test", "llm_spend")) > 0
    assert sum(1 for name in results if name.startswith("unit_test.llm_spend.")) == unit_tests
    assert ("test", "harbour", "assert_cost_centers_sum_to_usage") in ran


@pytest.mark.slow
def test_totals_equal_the_truth(company: Company, loaded: Loaded) -> None:
    found = query(
        company.warehouse,
        f"select source_system, source_instance, {FACT_MEASURES} from llm_costs.fct_llm_requests"
        " where source_system <> 'switchboard' group by all",
    )
    truth = loaded.truth.by_source()
    assert measures(found, 2) == {key: truth[key] for key in LOADED}


def switchboard_totals(company: Company) -> tuple[Any, ...]:
    (found,) = query(
        company.warehouse,
        "select count(*), count(*) filter (status = 'error'), sum(input_tokens), sum(cache_read_tokens),"
        " sum(output_tokens), sum(cost_usd) from llm_costs.fct_llm_requests where source_system = 'switchboard'",
    )
    return found


def exported(exports: int) -> tuple[Any, ...]:
    """The totals of so many exports of the company's gateway."""
    paid = exports * (CALLS - FAILED)
    return exports * CALLS, exports * FAILED, paid * 150, paid * 50, paid * 10, paid * COST_OF_A_CALL


@pytest.mark.slow
def test_the_company_has_its_own_gateway_in_the_marts(company: Company) -> None:
    assert switchboard_totals(company) == exported(1)
    owners = "select distinct user_id, team_id, feature_id, cost_center_id"
    assert query(
        company.warehouse, f"{owners} from llm_costs.fct_llm_requests where source_system = 'switchboard'"
    ) == [("bea@harbour.example", "platform", "berths", "harbour-engineering")]
    total = "select sum(attempts), sum(total_tokens), sum(cost_usd) from"
    assert query(company.warehouse, f"{total} llm_costs.llm_usage_by_feature_daily where feature_id = 'berths'") == [
        (CALLS, (CALLS - FAILED) * 160, (CALLS - FAILED) * COST_OF_A_CALL)
    ]


@pytest.mark.slow
def test_the_companys_own_events_are_set_against_the_cost(company: Company) -> None:
    found = query(
        company.warehouse,
        "select kpi_value * 70, denominator_value, coverage_ratio > 0 from llm_costs.llm_unit_economics"
        " where kpi_id = 'cost_per_engagement' and member_id = 'berths'",
    )
    cost = (CALLS - FAILED) * COST_OF_A_CALL
    assert [(round(value, 10), events, covered) for value, events, covered in found] == [(round(cost, 10), 70, True)]


@pytest.mark.slow
def test_seeds_and_settings_are_the_companys_own(company: Company) -> None:
    found = query(company.warehouse, "select distinct cost_center_id from llm_costs.llm_usage_by_team_daily")
    centers = {center for (center,) in found} - {"(unallocated)"}
    assert len(centers) > 3 and all(center.startswith("harbour-") for center in centers)
    types = query(
        company.warehouse,
        "select distinct data_type from information_schema.columns"
        " where table_schema = 'llm_reference' and table_name in ('org_teams', 'org_members')",
    )
    assert types == [("VARCHAR",)], "dates that dbt guessed"
    crowded = "select count(*) > 0 from llm_costs.llm_usage_by_tag_daily where tag_value = '(too many values)'"
    assert query(company.warehouse, crowded) == [(True,)], "llm_spend_tag_cardinality_limit was not read"


@pytest.mark.slow
def test_a_column_that_the_own_gateway_lacks_is_named(company: Company) -> None:
    path = company.project / "models" / "staging" / "stg_switchboard__calls.sql"
    whole = path.read_text(encoding="utf-8")
    lacking = re.sub(r"\n.* as reasoning_tokens,", "", whole)
    assert lacking != whole
    path.write_text(lacking, encoding="utf-8")
    try:
        result = company.dbt("run", "--select", "stg_switchboard__calls", "int_requests_unioned")
    finally:
        path.write_text(whole, encoding="utf-8")
    assert result.returncode == 1
    assert re.search(r'column "?reasoning_tokens"? not found', result.stdout, re.IGNORECASE), result.stdout


@pytest.mark.slow
def test_rows_that_the_own_gateway_brings_later_are_built(company: Company) -> None:
    company.export_calls("second", days=1)
    result = company.dbt("run", "--select", "+fct_llm_requests")
    assert result.returncode == 0, result.stdout
    assert switchboard_totals(company) == exported(2)


@pytest.mark.slow
def test_a_local_package_parses_without_deprecations(loaded: Loaded, tmp_path: Path) -> None:
    company = found_company(tmp_path, loaded)
    company.install({"local": str(PACKAGE)})
    result = company.dbt("parse", "--warn-error-options", '{"error": ["Deprecations"]}')
    assert result.returncode == 0, result.stdout[-3000:]
    assert "WARNING" not in result.stdout
    manifest = json.loads((company.project / "target" / "manifest.json").read_text(encoding="utf-8"))
    assert "model.llm_spend.fct_llm_requests" in manifest["nodes"]
    assert "model.llm_spend.stg_truefoundry__spans" not in manifest["nodes"]


def canonical_columns() -> list[str]:
    """The columns that int_requests_unioned takes from every model, and the one that models of others add."""
    text = (PACKAGE / "models/intermediate/requests/int_requests_unioned.sql").read_text(encoding="utf-8")
    found = re.search(r"set columns = \[(.*?)\]", text, re.DOTALL)
    assert found
    return [*re.findall(r"'(\w+)'", found[1]), "loaded_at"]


def test_the_page_names_every_column_and_setting() -> None:
    page = PAGE.read_text(encoding="utf-8")
    columns = page.split("## A gateway of your own")[1].split("\n## ")[0]
    documented = [
        name for row in re.findall(r"^\| (`.*?) \|", columns, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(documented) == sorted(canonical_columns())

    settings = yaml.safe_load((PACKAGE / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    documented = re.findall(r"^\| `(llm_spend_\w+)` \|", page, re.MULTILINE)
    assert sorted(documented) == sorted([*settings, "llm_spend_raw_database"])


def test_the_page_names_every_seed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    seeds = {path.stem for path in (PACKAGE / "seeds").rglob("*.csv")}
    assert {name for name in seeds if f"`{name}`" not in page} == set()


def test_the_example_brings_exactly_those_columns() -> None:
    """Readers copy it, so nothing superfluous stands there either."""
    text = (OTHER_PROJECT / "models/staging/stg_switchboard__calls.sql").read_text(encoding="utf-8")
    body = text.split("final as (")[1]
    given = re.findall(r"(?: as |^ {8})(\w+),?$", re.sub(r"--.*", "", body), re.MULTILINE)
    assert sorted(given) == sorted(canonical_columns())
