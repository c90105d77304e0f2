# Everything from a fresh clone: `make certify` runs the main job, `make test` the tests, `make setup` only installs.
# Another Python: make PYTHON=python3.12 certify

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: certify setup unit test long nightly mutants lint selftest docs screenshots bench clean

certify: $(VENV)/.installed
	$(BIN)/rolecall certify

setup: $(VENV)/.tested

# Whole files side by side: what a file's tests share is made once. Half the time they wait for servers: four on two cores.
SIDE_BY_SIDE := -n 4 --dist loadfile

# Several hundred processes are started: each would compile the same modules anew where the environment forbids to keep them.
test long: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.tested
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --durations 20

# What is measured of the modules that decide, and how much of each has to be covered.
UNIT := --rcfile=tests/unit/coverage.ini

# To compile the tests takes a third of the time of running them: what they were compiled to is kept, whatever the environment says,
# in a place of its own. No installed plugin is needed. Their files are in memory where the system has a folder for that.
unit: export PYTHONDONTWRITEBYTECODE =
unit: export PYTHONPYCACHEPREFIX = $(abspath $(VENV))/bytecode
unit: export PYTEST_DISABLE_PLUGIN_AUTOLOAD = 1
unit: export TMPDIR = /dev/shm
unit: $(VENV)/.tested
	rm -f .coverage.unit*
	$(BIN)/python -m coverage run $(UNIT) -m pytest -q -p tests.unit.traced -p tests.unit.forks \
	    -o tmp_path_retention_policy=failed tests/unit
	$(BIN)/python -m tests.unit.covered

# The long tests of load measure time, one after the other; but for those that simulate it, or send one request at a time.
SIMULATED := $(addprefix tests/loadgen/, checks/test_sampling.py capacity/test_by_rate.py capacity/test_simulated_servers.py \
                                         test_compare.py)
LOAD := tests/commands/test_load.py tests/load \
        $(filter-out $(SIMULATED), $(wildcard tests/loadgen/test_*.py tests/loadgen/*/test_*.py))

long: $(VENV)/.tested
	$(BIN)/python -m pytest -m long $(SIDE_BY_SIDE) --durations 20 $(LOAD:%=--ignore=%)
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
	$(MAKE) docs

docs: $(VENV)/.installed
	$(BIN)/python -c 'from rolecall.spec.loading import load_specification as load; from rolecall.report import docs_pages; \
	  open("docs/requirements.md", "w").write(docs_pages.requirements(load().requirements)); \
	  open("docs/readings.md", "w").write(docs_pages.readings(load().readings))'
	$(BIN)/python -c 'import json; from rolecall.report.kill_table import strength; \
	  open("src/rolecall/kill_table.json", "w").write(json.dumps(strength(open("docs/kill-table.md").read()), indent=1) + "\n")'

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
