# Everything runs from one checkout: Python 3.11+, make and a package index are all it needs.
# Recipes name files relative to this folder, so that it may lie below a path with spaces.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
CALLSHEET := $(RUN) -m app
SOURCES := app tasks providers scrapers db services media core simulator bench celeryconfig.py flowerconfig.py gunicorn.conf.py
NAME ?=
RUNS ?=
SEED ?=
FAULT ?=
PROVIDER ?=
SIMULATE ?=
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test up check fix bench chaos machine simulator migrate rollback db-status seed backup flower clean install

help: ## list what make can do
	@echo "Callsheet: from a brief to a finished, licensed film."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: $(STAMP) ## make a sample film through the REST API (PROVIDER=kling SIMULATE=1: buy its takes from a simulator)
	@$(CALLSHEET) demo $(if $(PROVIDER),--provider $(PROVIDER)) $(if $(SIMULATE),--simulate)

test: $(STAMP) ## run the whole test suite on real servers and show the coverage
	@$(RUN) -m pytest --cov --cov-report=term

up: $(STAMP) ## run everything; says where API, docs and Flower are
	@$(CALLSHEET) up

check: $(STAMP) ## format, lint, types and import contracts
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy $(SOURCES)
	@$(VENV)/bin/lint-imports

fix: $(STAMP) ## format, and mend what the linter can mend
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

bench: $(STAMP) ## run the benchmarks (NAME=<name>: one of them) into bench/results
	@$(RUN) -m bench $(NAME)

chaos: $(STAMP) ## seeded faults against a whole installation (RUNS=<n>, SEED=<first>), and what they broke
	@$(RUN) -m tests.chaos $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(if $(FAULT),--fault "$(FAULT)")

machine: $(STAMP) ## random histories of purchases, faults and crashes (RUNS=<n>, SEED=<first>)
	@MACHINE_RUNS=$(or $(RUNS),20000) MACHINE_SEED=$(or $(SEED),0) $(RUN) -m pytest -q -s tests/tasks/test_submission_machine.py

simulator: $(STAMP) ## run simulated vendors on this machine
	@$(RUN) -m simulator

migrate: $(STAMP) ## bring the database to the newest schema
	@$(CALLSHEET) migrate

rollback: $(STAMP) ## take the last migration back
	@$(CALLSHEET) rollback

db-status: $(STAMP) ## show the schema's revision and what is pending
	@$(CALLSHEET) db-status

seed: $(STAMP) ## fill the database with sample data
	@$(CALLSHEET) seed

backup: $(STAMP) ## dump the database into var/backups and prove that the dump restores
	@$(CALLSHEET) backup

flower: $(STAMP) ## run Flower alone, against a running stack
	@$(CALLSHEET) flower

clean: ## stop the embedded servers; delete .venv and var, films and database included
	@if [ -x $(RUN) ] && [ -d var ]; then $(CALLSHEET) clean; fi
	@rm -rf var $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov

install: $(STAMP)

# The stamp is newer than both locks when the installation matches them: then nothing here runs,
# and no network is needed. uv installs in seconds; where it cannot be had, or cannot reach an index
# that only pip's own configuration names, pip does.
$(STAMP): requirements.lock requirements.bootstrap.lock
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "Callsheet needs Python 3.11 or newer: install python3, or say make PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { echo "Callsheet needs Python 3.11 to 3.13; $$("$(PYTHON)" --version 2>&1) is $$(command -v "$(PYTHON)"): say make PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python has no venv module: install it (Debian: apt install python3-venv), or say make PYTHON=/path/to/python3." >&2; exit 1; }
	$(eval BEGAN := $(shell date +%s))
	@rm -f $(STAMP)
	@echo "Installing into $(VENV) (once) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@{ $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement requirements.bootstrap.lock \
	&& $(VENV)/bin/uv pip install --quiet --python $(RUN) --require-hashes --link-mode copy --compile-bytecode --requirement requirements.lock; } 2>$(VENV)/uv.log \
	|| $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock \
	|| { echo "The packages could not be installed: is a package index reachable?" >&2; exit 1; }
	@touch $(STAMP)
	@echo "Installed in $$(( $$(date +%s) - $(BEGAN) )) s."
