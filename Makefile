PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Everything comes from the lock files, build backend included; pip is the one that Python brings.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCKED := $(PIP) install --require-hashes
ITSELF := $(PIP) install --no-deps --no-build-isolation -e .
UV := $(VENV)/uv
LOCK := UV_CUSTOM_COMPILE_COMMAND="make update" $(UV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-index-annotation --upgrade pyproject.toml --group build

# For `make chaos`: how long, and what everything is drawn from.
MINUTES ?= 10
SEED ?=

.PHONY: demo test lint format check bench chaos mutants docs completions update metrics clean

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(LOCKED) -r requirements.lock
	$(ITSELF)
	touch $@

$(VENV)/.installed-test: pyproject.toml requirements-dev.lock | $(VENV)/bin/python
	$(LOCKED) -r requirements-dev.lock
	$(ITSELF)
	touch $@

demo: $(VENV)/.installed
	$(BIN)/ando --sandbox chat --usage "what is the capital of america?"

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/metrics.py
	$(BIN)/python tools/docs.py --check

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test

bench: $(VENV)/.installed-test
	$(BIN)/python -m pytest benchmarks
	$(BIN)/python benchmarks/run.py

mutants: $(VENV)/.installed-test
	$(BIN)/python tools/mutants.py $(ARGS)

chaos: $(VENV)/.installed-test
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# Renews both locks: what the package needs, and what working on it needs, at the versions of the first.
update: | $(VENV)/bin/python
	$(PYTHON) -m venv $(UV)
	$(UV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade uv
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra test --constraint requirements.lock --output-file requirements-dev.lock

metrics: $(VENV)/.installed-test
	$(BIN)/python tools/metrics.py

docs: $(VENV)/.installed
	$(BIN)/python tools/docs.py

completions: $(VENV)/.installed
	$(BIN)/python -m ando_cli.cli.completion completions

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
