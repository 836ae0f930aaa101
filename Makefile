# Targets for people: `make` lists them.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export RUNTIME__DLTHUB_TELEMETRY := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint docs bench emulators prices constraints clean test-warehouses test-others

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

test: $(VENV)/.dev lint emulators ## Every check
	$(MAKE) --jobs 2 --output-sync=target test-warehouses test-others

# Two halves that take the same time. The warehouses come last, and alone: their credentials stay in the environment.
test-warehouses:
	$(BIN)/pytest tests/unit
	$(BIN)/pytest tests/warehouses

test-others:
	$(BIN)/pytest --ignore tests/warehouses --ignore tests/unit

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
	UPDATE_README=1 $(BIN)/pytest tests/docs/test_readme.py -k queries

# How else: `make bench BENCH="--requests 10_000_000"`, and BENCH=--help.
bench: $(VENV)/.dev ## Measure against DuckDB alone and SQL by hand; writes docs/performance.md
	$(BIN)/python -m tests.benchmarks $(BENCH)

# Each has a venv of its own: their pins conflict. "sync" installs the pins and nothing else.
EMULATORS := .emulators
emulators: $(addprefix $(EMULATORS)/,snowflake/.installed bigquery/.installed googlesql/.installed) ## Set up the emulators of the warehouse tests

$(EMULATORS)/%/.installed: tests/warehouses/emulators/requirements-%.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(@D)/bin/python $<
	@touch $@

prices: $(VENV)/.dev ## Write the price seeds from the pinned genai-prices
	$(BIN)/llm-spend prices generate

constraints: $(BIN)/uv ## Pin what everybody installs, after a change of pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal --no-annotate --no-header \
		--extra dev --extra s3 --extra gs --extra az pyproject.toml -o constraints.txt

clean: ## Remove everything that was made
	rm -rf $(VENV) $(EMULATORS) data dbt_project/target dbt_project/logs .pytest_cache .mypy_cache .ruff_cache
