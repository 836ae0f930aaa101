# Targets for people: `make` lists them.
VENV := .venv
BIN := $(VENV)/bin
# Each has a venv of its own: their pins conflict. "sync" installs the pins and nothing else.
EMULATORS := .emulators
PYTHON ?= python3
export RUNTIME__DLTHUB_TELEMETRY := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo dashboard dagster test check lint docs bench emulators browser prices constraints clean \
	test-warehouses test-dbt test-others focus-validator

# They build the demo organisation, once for all of them.
DBT_TESTS := tests/dbt tests/docs tests/bi tests/screen tests/benchmarks

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

# uv installs in seconds what pip installs in minutes, from the same indexes.
$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.user: $(BIN)/uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(BIN)/uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.user

setup: $(VENV)/.dev ## Set up .venv for development

demo: $(VENV)/.user ## The main job on a synthetic organisation, on DuckDB
	$(BIN)/llm-spend demo

dashboard: $(VENV)/.dev ## What `make demo` built, in the browser
	$(BIN)/llm-spend dashboard --database data/demo.duckdb --open

# The demo's folder has its settings; Dagster keeps its own things beside it.
dagster: $(VENV)/.dev ## Dagster on what `make demo` wrote, on http://localhost:3000
	mkdir -p data/dagster && cp orchestration/dagster/dagster.yaml data/dagster/
	cd data/demo && DAGSTER_HOME=$(CURDIR)/data/dagster \
		$(CURDIR)/$(BIN)/dagster dev -d $(CURDIR)/orchestration/dagster -m llm_spend_dagster.definitions

test: $(VENV)/.dev ## Every check
	$(MAKE) --jobs 3 --output-sync=target test-warehouses test-dbt lint test-others

# The longest first, and before the others: what it does comes one after the other. The warehouses are alone: their
# credentials stay in the environment.
test-warehouses: emulators
	$(BIN)/pytest tests/warehouses

test-dbt: browser
	LLM_SPEND_SCREENSHOTS=$(CURDIR)/data/screenshots nice $(BIN)/pytest $(DBT_TESTS)

test-others: $(EMULATORS)/airflow/.installed
	nice $(BIN)/pytest --ignore tests/warehouses $(addprefix --ignore ,$(DBT_TESTS))

check: $(VENV)/.dev ## The inner loop: lint and quick tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -m 'not slow'

lint: $(VENV)/.dev ## ruff, mypy, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 dbt_project/models

docs: $(VENV)/.dev ## Write the generated pages of docs/
	$(BIN)/python tests/docs/generate_marts.py
	$(BIN)/python tests/docs/generate_settings.py
	$(BIN)/python tests/docs/generate_sources.py
	$(BIN)/python tests/docs/generate_prices.py
	$(BIN)/python tests/docs/generate_glossary.py
	$(BIN)/python tests/docs/generate_metrics.py
	UPDATE_README=1 $(BIN)/pytest tests/docs/test_readme.py -k queries

# How else: `make bench BENCH="--requests 10_000_000"`, and BENCH=--help.
bench: $(VENV)/.dev ## Measure against DuckDB alone and SQL by hand; writes docs/performance.md
	$(BIN)/python -m tests.benchmarks $(BENCH)

emulators: $(addprefix $(EMULATORS)/,snowflake/.installed bigquery/.installed googlesql/.installed) ## Set up the emulators of the warehouse tests

# Of the system: for the tests of the report and the dashboard.
browser:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { apt-get update && apt-get install --yes --no-install-recommends chromium; }; } > /dev/null \
		|| { echo "Install Chromium or Chrome: the tests of the report and the dashboard need one."; exit 1; }

vpath requirements-%.txt tests/warehouses/emulators tests/orchestration
$(EMULATORS)/%/.installed: requirements-%.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/uv pip sync --quiet --python $(@D)/bin/python $<
	@touch $@

# On what `make demo` built, apart from `make test`: it needs Python 3.12, and fails to start with a newer pyarrow.
PYTHON312 ?= 3.12
focus-validator: $(VENV)/.dev
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON312) $(EMULATORS)/focus
	$(BIN)/uv pip install --quiet --python $(EMULATORS)/focus/bin/python focus-validator==2.2.1 'pyarrow<26'
	$(BIN)/llm-spend export focus 2026-10 --format parquet --focus-version 1.2 --database data/demo.duckdb --output data/focus
	$(BIN)/python -m tests.focus_validator $(EMULATORS)/focus data/focus/focus-1.2-2026-10.parquet

prices: $(VENV)/.dev ## Write the price seeds from the pinned genai-prices
	$(BIN)/llm-spend prices generate

constraints: $(BIN)/uv ## Pin what everybody installs, after a change of pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal --no-annotate --no-header \
		--extra dev --extra s3 --extra gs --extra az pyproject.toml -o constraints.txt

clean: ## Remove everything that was made
	rm -rf $(VENV) $(EMULATORS) data dbt_project/target dbt_project/logs .pytest_cache .mypy_cache .ruff_cache
