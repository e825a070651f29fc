# `make` prints the targets. Each sets up .venv on first use; a second call adds no time.
PYTHON ?= python3
# Where the CPU build of torch is published. Empty: take what the default index has (on Linux, a CUDA build of several GB).
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TASK ?= kit-pick

STAMP := .venv/.genba-stamp

.PHONY: help setup go test test-wide test-all lint clean

help:
	@echo "make setup      install Genba and everything it needs into .venv (PYTHON=$(PYTHON))"
	@echo "make go         learn, check and release $(TASK) (TASK=... for another cell: genba tasks)"
	@echo "make test       the tests, about four minutes on two cores"
	@echo "make test-wide  those that take longer: every cell, a browser, learning; .ci/run runs them, too"
	@echo "make test-all   all of these and the long ones"
	@echo "make lint       ruff, mypy --strict, import-linter"
	@echo "make clean      remove .venv, build outputs and caches; runs and releases stay"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt .ci/setup .ci/install
	@PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" .ci/setup
	@touch $@

go: $(STAMP)
	@.venv/bin/genba go $(TASK)

PYTEST := .venv/bin/python -m pytest -q -n 2 --dist worksteal

test: $(STAMP)
	$(PYTEST) -m "not wide and not long"

test-wide: $(STAMP)
	$(PYTEST) -m "wide and not long"

test-all: $(STAMP)
	$(PYTEST)

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
