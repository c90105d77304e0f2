# Everything from a fresh clone: `make certify` runs the main job, `make test` the tests, `make setup` only installs.
# Another Python: make PYTHON=python3.12 certify

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: certify setup unit test long nightly mutants lint selftest docs screenshots bench clean

certify: $(VENV)/.installed
	$(BIN)/rolecall certify

setup: $(VENV)/.tested

# Whole files side by side: what a file's tests share is made once.
test: $(VENV)/.tested
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --durations 20

# What their tests leave out of the modules that decide is told by line.
unit: $(VENV)/.tested
	$(BIN)/python -m coverage run --rcfile=tests/unit/coverage.ini -m pytest -q tests/unit
	$(BIN)/python -m coverage report --rcfile=tests/unit/coverage.ini

# The long tests of load measure time, one after the other.
LOAD := tests/commands/test_load.py tests/load tests/loadgen

long: $(VENV)/.tested
	$(BIN)/python -m pytest -m long -n auto --maxprocesses 4 --dist loadfile --durations 20 $(LOAD:%=--ignore=%)
	$(BIN)/python -m pytest -m long --durations 20 $(LOAD)

nightly: $(VENV)/.tested
	$(BIN)/python -m pytest -m nightly

# Do the unit tests notice when a line of what decides is changed? An hour; docs/mutants.md says what they need not notice.
mutants: $(VENV)/.tested
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutants
	$(BIN)/python -m tests.mutants

lint: $(VENV)/.tested
	$(BIN)/tox run -e lint,types

selftest: $(VENV)/.installed
	$(BIN)/rolecall selftest --whole --without api-keys --without clock-and-key --write docs/kill-table.md
	$(BIN)/rolecall selftest --mutations --write docs/mutations.md

docs: $(VENV)/.installed
	$(BIN)/python -c 'from rolecall.spec.loading import load_specification as load; from rolecall.report import docs_pages; \
	  open("docs/requirements.md", "w").write(docs_pages.requirements(load().requirements)); \
	  open("docs/readings.md", "w").write(docs_pages.readings(load().readings))'

# The pictures in README.md; it takes Chromium.
screenshots: $(VENV)/.tested
	$(BIN)/python -m tests.screenshots

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/certify.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[all]'
	touch $@

clean:
	rm -rf $(VENV) .tox build dist *.egg-info
