# evictlab: `make demo` for a first result, `make test` for every test. Both make their own environment in .venv.
# Needs Python 3.11 or newer, make and a C compiler.

PYTHON := $(shell for p in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt
JOBS ?= 2

.PHONY: help demo test lint types layers check bench clean

help:  ## list what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "evictlab needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# Everything resolves `evictlab.traces` to the folder traces/ and so on; the links tell mypy and editors the same.
.venv/.base: .venv/bin/python pyproject.toml tests/constraints.txt
	$(PIP) -e .
	mkdir -p .links/evictlab
	for part in traces policies sim rl experiments; do ln -sfn ../../$$part .links/evictlab/$$part; done
	touch $@

.venv/.test: .venv/.base
	$(PIP) -e '.[test]'
	touch $@

demo: .venv/.base  ## replay the embedded trace: a table, and a picture in demo.png
	$(BIN)/evictlab replay demo --policy lru,fifo,sieve,s3fifo,arc,wtinylfu,belady --size 0.1%,1%,10% --plot demo.png

test: .venv/.test  ## run every test that this machine has the parts for
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: .venv/.test  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.test  ## mypy, strict
	$(BIN)/mypy

layers: .venv/.test  ## traces -> policies -> sim -> rl -> experiments
	$(BIN)/lint-imports

check: lint types layers test  ## all of the above

bench: .venv/.test  ## speed against libcachesim; writes experiments/results/
	$(BIN)/python -m evictlab.experiments.bench

clean:  ## remove the environment and everything that was made
	rm -rf .venv .links .cache demo.png demo.csv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
