# One command for each thing a developer does; `make` alone lists them.
# Paths are relative and programs run as `.venv/bin/python -m ...`: a folder with spaces in its name breaks neither.

.DEFAULT_GOAL := help
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
PEERS_VENV := .venv-bench
RUN := $(VENV)/bin/python -m
WORKERS ?= 2

.PHONY: help environment up down status test check format agent bench bench-dnsbl clean

help: ## Print what each target does
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# Each stamp holds the checksum of what it was made from, and is written last: an interrupted environment has none.
environment: ## Make .venv from requirements.lock (instant when it is up to date)
	@locked="$$(cksum < requirements.lock) $$PWD" project="$$(cksum < pyproject.toml)"
	if [ "$$(cat $(VENV)/made-from 2>/dev/null)" != "$$locked" ] || [ ! -x $(VENV)/bin/python ]; then
	  for python in $${PYTHON:-python3.11 python3.12 python3}; do
	    if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then found=$$python; break; fi
	  done
	  if [ -z "$${found:-}" ]; then
	    echo "No Python 3.11 or 3.12 found$${PYTHON:+ at PYTHON=$$PYTHON}: install one (Debian: apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python3.12" >&2; exit 1
	  fi
	  version=$$("$$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	  if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then
	    echo "Python $$version has no venv module: apt-get install python$$version-venv" >&2; exit 1
	  fi
	  echo "Making $(VENV) with Python $$version: half a minute"
	  rm -rf $(VENV)
	  "$$found" -m venv $(VENV)
	  $(RUN) pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	  echo "$$locked" > $(VENV)/made-from
	fi
	if [ "$$(cat $(VENV)/installed-from 2>/dev/null)" != "$$project" ]; then
	  $(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	  echo "$$project" > $(VENV)/installed-from
	fi

up: environment ## Run the whole fleet on this machine; Ctrl-C ends it
	@exec $(RUN) penguin_infra up

down: environment ## End everything that `make up` started
	@$(RUN) penguin_infra down

status: environment ## Show what runs where
	@$(RUN) penguin_infra status

test: environment ## Run all tests (WORKERS=2; ARGS="-k word" to choose)
	@$(RUN) pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: environment ## Lint, formatting, types, import contracts
	@$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(VENV)/bin/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

format: environment ## Format the code
	@$(RUN) ruff format
	$(RUN) ruff check --fix

agent: environment ## Build the nodes' agent: one file that any Python from 3.10 on runs
	@$(RUN) penguin_infra.agent.archive build/penguin-agent.pyz

bench: environment ## Measure against the budgets and print a table
	@$(RUN) penguin_infra_tests.benchmarks

# The peers are no part of the project: an environment of their own, and the table says which could not be installed.
bench-dnsbl: environment ## Measure a blacklist sweep beside other clients, over a real rbldnsd
	@peers=penguin_infra_tests/benchmarks/dnsbl_peers.txt
	if [ "$$(cat $(PEERS_VENV)/made-from 2>/dev/null)" != "$$(cksum < $$peers) $$PWD" ]; then
	  echo "Making $(PEERS_VENV) for the other clients"
	  rm -rf $(PEERS_VENV)
	  $(RUN) venv $(PEERS_VENV)
	  if $(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $$peers; then
	    echo "$$(cksum < $$peers) $$PWD" > $(PEERS_VENV)/made-from
	  fi
	fi
	$(RUN) penguin_infra_tests.benchmarks.dnsbl_rate --peers $(PEERS_VENV)/bin/python

clean: ## End the fleet, then remove .venv, .penguin and caches
	@if [ -f $(VENV)/made-from ]; then $(RUN) penguin_infra down; fi
	rm -rf $(VENV) $(PEERS_VENV) .penguin .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
