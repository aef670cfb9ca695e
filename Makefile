# make demo: run the main jobs on the models that ship and write out/ (installs into .venv; no torch)
# make test: install what tests need, lint, check types, run the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

.PHONY: demo test
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	$(BIN)/python -m triptych.demo out

test: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --ignore tests/bridge --ignore tests/hosts
	$(BIN)/pytest tests/bridge tests/hosts  # which hold ports, screens and the time

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Triptych needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# An editable install follows the sources, so only a changed pyproject.toml installs again.
$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[train,test]'
	touch $@ $(VENV)/demo.stamp
