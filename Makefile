# The commands of this repository. `make` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8080
EXAMPLE ?= examples/building-comfort

.DEFAULT_GOAL := help
.PHONY: help install run emulate test lint types bench lock clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.run: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[serve]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -r requirements.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.dev ## the environment with everything for development

run: $(VENV)/.run ## the Building Comfort example on http://127.0.0.1:8080
	$(BIN)/python -m drasi run examples/building-comfort --port $(PORT)

emulate: $(VENV)/.dev ## the same on Google's emulators: Firestore, Pub/Sub, a process for every function
	$(BIN)/python -m drasi.emulate $(EXAMPLE) --port $(PORT)

test: $(VENV)/.dev ## every test that can run on this machine
	$(BIN)/python -m pytest

lint: $(VENV)/.dev ## format, rules, types
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

types: $(VENV)/.dev ## types alone
	$(BIN)/python -m mypy

bench: $(VENV)/.dev ## the figures of the README, beside their peers
	$(BIN)/python -m benchmarks

lock: ## exact versions of everything, from a fresh environment
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet -r requirements.txt -e '.[dev]'
	build/lock/bin/python -m pip freeze --exclude-editable --exclude drasi > requirements.lock
	rm -rf build/lock

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis shared/*.egg-info
