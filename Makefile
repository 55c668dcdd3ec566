# Every target sets up what it needs by itself, in $(VENV), once; after that none needs a
# network. PYTHON names the interpreter to make it with: 3.11 or later. OPTIONS go to pytest.

PYTHON ?= python3
OLDEST_PYTHON ?= python3.11
VENV ?= .venv
OLDEST ?= .venv-oldest

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
RUNNABLE := $(VENV)/.runnable
STAMP := $(VENV)/.installed
OLDEST_STAMP := $(OLDEST)/.installed
SUITE := share/auditor-tests/rfc7208-tests.yml
PYTEST := -m pytest -q -n auto --dist worksteal $(OPTIONS)
CHECKED := auditor tests benchmarks examples

# Many tests start processes, each of which would compile the whole program anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-full lint bench test-oldest clean

help: ## List what can be made.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: $(RUNNABLE) ## Audit the example fleet without any network, and look at one address.
	@$(BIN)/auditor demo -o demo/
	@printf '\n'
	@$(BIN)/auditor check --zones demo/zones 198.51.100.53

test: $(STAMP) $(VENV)/$(SUITE) ## Run the tests, on all cores.
	@$(BIN)/python $(PYTEST)

test-fast: $(STAMP) $(VENV)/$(SUITE) ## Run the tests that start no process.
	@$(BIN)/python $(PYTEST) -m 'not process'

test-full: $(STAMP) $(VENV)/$(SUITE) ## Run the tests with all examples of the property tests, as CI does.
	@$(BIN)/python $(PYTEST) --hypothesis-profile full

lint: $(STAMP) ## Check style and types.
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy
	@$(BIN)/codespell $(CHECKED) docs .github *.md

bench: $(STAMP) ## Measure auditor and its peers against the same servers.
	@$(BIN)/python -m benchmarks

test-oldest: $(OLDEST_STAMP) $(OLDEST)/$(SUITE) ## Run the tests with the oldest releases that pyproject.toml allows.
	@$(OLDEST)/bin/python $(PYTEST)

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

# The RFC 7208 suite is fetched like any dependency, but it is no package.
%/$(SUITE): | %/.installed
	@$*/bin/python tests/support/spf_suite.py

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
