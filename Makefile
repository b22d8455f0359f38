# Everything a newcomer does with Relais. `make` alone tells what there is.
PYTHON ?= $(shell .ci/python)
BIN := .venv/bin
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
COMPILED := .venv/.compiled
NODE := .venv/.node-installed
MAP := .venv/.map-installed
COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make requirements"

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-long check format lint types imports migrations bench requirements clean

help: ## what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(DEV) $(COMPILED) $(NODE) $(MAP) ## install everything into .venv, at the versions and hashes of the requirements files

demo: $(RUNTIME) $(COMPILED) $(MAP) ## the whole system on this machine, with an evening played on it
	@$(BIN)/relais demo

up: $(RUNTIME) $(COMPILED) $(MAP) ## the whole system on this machine, empty
	@$(BIN)/relais up

test: setup ## the whole suite, where no route leads out: nobody may try to leave
	$(BIN)/python -m tests.no_route -n 2 --dist loadgroup --durations 30 --durations-min 5

test-long: setup ## the same with the slow tests in their long form
	$(BIN)/python -m tests.no_route -n 2 --dist loadgroup --long

check: format lint types imports ## format, lint, types and import rules; seconds

format: $(DEV)
	$(BIN)/ruff format --check .

lint: $(DEV)
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

imports: $(DEV)
	$(BIN)/lint-imports

migrations: $(DEV) ## whether the migrations make the tables that the code knows
	$(BIN)/relais migrations check

bench: $(DEV) $(COMPILED) ## benchmarks beside their baselines
	$(BIN)/python -m bench

requirements: $(DEV) ## compile the requirements files again from pyproject.toml
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --all-extras --constraint requirements.txt --output-file requirements-dev.txt

clean: ## remove what was installed and everything that was stored on this machine
	@if [ -x $(BIN)/relais ]; then $(BIN)/relais stop; fi
	rm -rf .venv .relais .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build

$(RUNTIME): requirements.txt pyproject.toml
	@.ci/venv "$(PYTHON)"
	$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(COMPILED): $(RUNTIME)
	@# The engine's loops, compiled once: some twenty seconds that nobody then waits for.
	@$(BIN)/python -m matching > /dev/null
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements-dev.txt
	@touch $@

$(MAP): web/node/package-lock.json $(RUNTIME)
	@# What the console's map is drawn with, and keys are scanned with; without it the map's page says so and shows its table.
	@if command -v npm > /dev/null; then npm ci --silent --fetch-retries 0 --fetch-timeout 20000 --prefix web/node || echo "npm could fetch nothing: the console is without its map."; else echo "There is no npm here: the console is without its map."; fi
	@touch $@

$(NODE): tests/node/package-lock.json $(RUNTIME)
	@# What verifies webhooks and reads calendars in JavaScript; without npm those tests are skipped.
	@if command -v npm > /dev/null; then npm ci --silent --fetch-retries 0 --fetch-timeout 20000 --prefix tests/node || echo "npm could fetch nothing: what JavaScript verifies and reads is skipped."; fi
	@touch $@
