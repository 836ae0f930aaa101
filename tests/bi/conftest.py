"""What the tests of BI exports share: the demo's tables as bi.yml and dbt's manifest describe them, and the exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_spend.bi.manifest import models_of
from llm_spend.bi.semantics import Semantics, read_semantics
from llm_spend.bi.write import export_looker, export_tableau
from llm_spend.destinations import DuckDb
from tests.bi.looker_project import Project, read_project
from tests.conftest import Demo


@pytest.fixture(scope="session")
def semantics(demo: Demo) -> Semantics:
    return read_semantics(models_of(DuckDb(demo.database)))


@pytest.fixture(scope="session")
def project(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("looker")
    export_looker(DuckDb(demo.database), folder)
    return read_project(folder)


@pytest.fixture(scope="session")
def extracts(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Tableau's data sources, with extracts."""
    folder = tmp_path_factory.mktemp("tableau")
    export_tableau(DuckDb(demo.database), folder)
    return folder
