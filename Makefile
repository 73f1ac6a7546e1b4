# Everything that a contributor or a CI machine runs. `make help` lists it.
#
# The virtual environment is made once and re-used until the lock or pyproject.toml changes.
# PYTHON chooses the interpreter that makes it:  make setup PYTHON=python3.13

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.godel-setup

# One seeded round of anything random; the long runs take these.
ROUNDS ?= 100
SEED   ?= 1

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-openclaw test test-openclaw check bench bench-peers chaos mutants lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from the lock (hashes checked) and install Godel into it, editable

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Godel needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1 || true)." >&2; \
	  echo "Name another one: make setup PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

$(STAMP): requirements/dev.lock pyproject.toml | $(BIN)/python
	@echo "installing requirements/dev.lock into $(VENV)"
	@$(PIP) install --require-hashes --no-deps -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## thousands of real tasks of three tenants; an instance and a dispatcher are killed on the way
	@$(BIN)/godel demo

demo-openclaw: $(STAMP) ## two real OpenClaw gateways, one of them killed and back; a stand-in for the model (2 minutes)
	@$(BIN)/godel demo --openclaw 2

test: $(STAMP) ## every test but those of test-openclaw, one seeded round of anything random
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not openclaw and not alone"
	@$(BIN)/python -m pytest -m alone

test-openclaw: $(STAMP) ## the tests over two real OpenClaw gateways, which it installs (from npm's registry; 4 minutes)
	@$(BIN)/godel openclaw install >/dev/null
	@$(BIN)/python -m pytest -m openclaw tests/openclaw

check: $(STAMP) ## formatting, lint, types, layers, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry godel_tasks workers config

bench: $(STAMP) ## the benchmarks behind benchmarks/RESULTS.md (minutes)
	@$(BIN)/python -m benchmarks.submit --json
	@$(BIN)/python -m benchmarks.e2e --json
	@$(BIN)/python -m benchmarks.idle --json
	@$(BIN)/python -m benchmarks.openclaw --json
	@$(BIN)/python -m benchmarks.failover --json
	@$(BIN)/python -m benchmarks.fleet --json
	@$(BIN)/python -m benchmarks.routing --json

bench-peers: $(STAMP) ## the same no-op drained by Godel and other task queues, which it installs (3 to 4 minutes)
	@$(BIN)/python -m benchmarks.peers --json

chaos: $(STAMP) ## kill and stop processes at random under load: make chaos ROUNDS=100 SEED=1
	@$(BIN)/python -m tests.chaos --rounds $(ROUNDS) --seed $(SEED)

mutants: $(STAMP) ## plant fifteen bugs, each must be found by a test
	@$(BIN)/python -m tests.mutants

# --universal: one resolution for every platform and every Python from 3.11 on.
UV_FLAGS   = --universal --generate-hashes --python-version 3.11 --no-header --quiet
UV_COMPILE = uv pip compile pyproject.toml $(UV_FLAGS)

lock: ## resolve all lock files again (needs uv, and npm for that of BullMQ)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@$(UV_COMPILE) -o requirements/runtime.lock
	@$(UV_COMPILE) --group dev -c requirements/runtime.lock -o requirements/dev.lock
	@cd requirements/peers && for name in *.in; do \
	  uv pip compile "$$name" $(UV_FLAGS) -o "$${name%.in}.lock" || exit 1; done
	@for folder in benchmarks/peers/apps/bullmq godel_tasks/openclaw/npm; do \
	  (cd "$$folder" && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund) || exit 1; done

clean: ## remove caches and build products (not .venv, not your data)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
