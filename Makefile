# Every target sets up what it needs by itself, in $(VENV), once; after that none needs a
# network. PYTHON names the interpreter to make it with: 3.11 or later.

PYTHON ?= python3
OLDEST_PYTHON ?= python3.11
VENV ?= .venv
OLDEST ?= .venv-oldest

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
RUNNABLE := $(VENV)/.runnable
STAMP := $(VENV)/.installed
OLDEST_STAMP := $(OLDEST)/.installed
FLEET := examples/fleet
CHECKED := auditor tests benchmarks examples

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench test-oldest clean

help: ## List what can be made.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: $(RUNNABLE) ## Audit the example fleet without any network, and look at one address.
	@mkdir -p demo
	@$(BIN)/auditor scan --zones $(FLEET)/zones -i $(FLEET)/targets.txt --overwrite -o demo/fleet.ndjson
	@printf '\nA page about all of it, for a browser:\n'
	@$(BIN)/auditor report demo/fleet.ndjson --overwrite -o demo/report.html
	@printf '\nOne of them, explained: auditor check --zones $(FLEET)/zones 198.51.100.53\n\n'
	@$(BIN)/auditor check --zones $(FLEET)/zones 198.51.100.53

test: $(STAMP) ## Run the tests, on all cores.
	@$(BIN)/python -m pytest -q -n auto

lint: $(STAMP) ## Check style and types.
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy

bench: $(STAMP) ## Measure auditor and its peers against the same servers.
	@$(BIN)/python -m benchmarks

test-oldest: $(OLDEST_STAMP) ## Run the tests with the oldest releases that pyproject.toml allows.
	@$(OLDEST)/bin/python -m pytest -q -n auto

clean: ## Remove what the other targets made.
	rm -rf $(VENV) $(OLDEST) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What is needed to run the program; the stamp of what the tests need stands for both.
$(RUNNABLE): pyproject.toml
	$(MAKE_VENV)
	@$(PIP) --editable .
	@touch $@

$(STAMP): pyproject.toml
	$(MAKE_VENV)
	@$(PIP) --editable '.[dev]'
	@touch $(RUNNABLE) $@

define MAKE_VENV
@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("auditor needs Python 3.11 or later, and $(PYTHON) is %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
@echo "setting up $(VENV), once ..."
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
endef

$(OLDEST_STAMP): pyproject.toml
	@echo "setting up $(OLDEST), once ..."
	@test -x $(OLDEST)/bin/python || $(OLDEST_PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -c "$$LOWER_BOUNDS" > $(OLDEST)/constraints.txt
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint $(OLDEST)/constraints.txt --editable '.[dev]'
	@touch $@

# Every `name>=bound` of pyproject.toml as `name==bound`, for pip's --constraint.
define LOWER_BOUNDS
import re, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = sum(project["optional-dependencies"].values(), [])
for line in [*project["dependencies"], *extras]:
    found = re.match(r"([\w-]+)>=([\w.]+)", line)
    if found:
        print("==".join(found.groups()))
endef
export LOWER_BOUNDS
