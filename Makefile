# `make` alone says what there is. Everything is made in .venv, node_modules and assets/; nothing else of the machine is touched,
# but for the Debian packages that `make test` installs where it may (tools/packages).

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Two at a time: three take as long on two cores, which are full (17.5 minutes both ways). A file is one worker's, so that
# its servers, stores and browser start once.
PARALLEL := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run test lint types test-js test-python test-slow audit format bench clean clean-all

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.installed  ## the demo: a simulated feed and its charts; prints the address
	@tools/plotly
	@$(BIN)/python tools/bundle.py
	@$(BIN)/tickertone demo

test: lint types test-js test-python  ## every check: lint, types, JavaScript tests, Python and browser tests

lint: .venv/.installed-test  ## ruff and ESLint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	tools/js-lint

types: .venv/.installed-test  ## mypy, strict
	$(BIN)/mypy

test-js:  ## the JavaScript tests
	tools/js-test

test-python: .venv/.installed-test  ## the Python tests, with those in a browser
	@tools/packages
	@tools/plotly
	@$(BIN)/python tools/bundle.py
	$(PYTEST) $(PARALLEL) -m "not slow"

test-slow: .venv/.installed-test  ## the long campaigns: kills, and properties with many examples
	@tools/packages
	$(PYTEST) --timeout=7200 -m slow
	$(PYTEST) --timeout=7200 --hypothesis-profile=slow -m "not slow" tests/property

audit: .venv/.installed-audit  ## known holes in what is pinned (asks the net), licences and bill of materials into docs/
	$(BIN)/python tools/bill.py
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip
	@if command -v npm >/dev/null; then npm audit --package-lock-only && npm --prefix tools/bundler audit --package-lock-only; else echo "npm is not here: package-lock.json was not audited"; fi

format: .venv/.installed-test  ## put the code in its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.installed-bench  ## the measured claims; minutes, and needs a quiet machine
	@tools/plotly
	@$(BIN)/python tools/bundle.py
	$(BIN)/python -m bench.rollup
	$(BIN)/python -m bench.refresh
	$(BIN)/python -m bench.query
	$(BIN)/python -m bench.ingest
	$(BIN)/python -m bench.live
	$(BIN)/python -m bench.capacity
	$(BIN)/python -m bench.browser
	@if [ -n "$$TICKERTONE_REAL_DATA" ]; then $(BIN)/python -m bench.scorers "$$TICKERTONE_REAL_DATA/labelled_train/sent_train.csv"; \
	else echo "bench.scorers needs labelled texts: set TICKERTONE_REAL_DATA"; fi

clean:  ## take away caches and build output
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +

clean-all: clean  ## and .venv and node_modules; data/ stays
	rm -rf .venv node_modules tools/bundler/node_modules assets/plotly-finance.min.js assets/bundle*

.venv/bin/python:
	@tools/venv

# The stamps: pip runs again only when what it installs from has changed.
.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(call install,.)

.venv/.installed-test: .venv/bin/python pyproject.toml constraints.txt
	$(call install,.[test])

.venv/.installed-audit: .venv/bin/python pyproject.toml constraints.txt
	$(call install,.[audit])

.venv/.installed-bench: .venv/bin/python pyproject.toml constraints.txt
	$(call install,.[bench])

define install
	@echo "Installing $(1) into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable "$(1)" --constraint constraints.txt
	@touch $@
endef
