# make run    a proxy on this machine with two demo users; RUN_OPTIONS adds to those of twistd sip-proxy
# make test   lint, type-check and run all tests
# make soak   all simulation seeds and a long fuzz
# make soak-load   an hour of everything at once with clients that die; SOAK_OPTIONS adds to those of benchmarks/soak.py
# make bench  CPU per operation, beside Kamailio's if that is installed
# make docs   the documentation as HTML in docs/_build/html
# make reference   the pages of the documentation that are made from options and settings
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SEEDS ?= 50
FUZZ_SECONDS ?= 10
# Tests run side by side in as many processes: many of them wait for peers, so there are more than cores.
WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
# Rooms of which 95 % of all branches are tested, and the tests that are measured for it; simulations, and what starts
# programs and peers, run without that at full speed.
COVERED = message sdp transaction auth dialog media events presence messaging
MEASURED = $(addprefix tests/,agent auth b2bua dialog documents element events flows media message messaging presence sdp \
    torture transaction xcap)
PLAYS = $(wildcard $(addsuffix /test_simulation.py,$(MEASURED)))
export SEEDS FUZZ_SECONDS

.PHONY: run test lint types unit soak soak-load bench docs reference clean

run: $(VENV)/installed
	$(BIN)/twistd -n --pidfile= sip-proxy --demo $(RUN_OPTIONS)

test: lint types unit

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed-dev
	$(BIN)/mypy

unit: $(VENV)/installed-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal $(addprefix --ignore=,$(PLAYS)) $(MEASURED)
	$(BIN)/coverage combine --quiet
	for room in $(COVERED); do \
	    $(BIN)/coverage report --include="twisted_sip/$$room/*" --skip-covered --fail-under=95 || exit 1; \
	done
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(PLAYS)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(addprefix --ignore=,$(MEASURED)) tests

soak: $(VENV)/installed-dev
	SEEDS=500 $(BIN)/pytest tests/simulation
	FUZZ_SECONDS=600 $(BIN)/pytest tests/fuzz

soak-load: $(VENV)/installed-dev
	$(BIN)/python benchmarks/soak.py $(SOAK_OPTIONS)

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/bench.py

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

reference: $(VENV)/installed-dev
	$(BIN)/python -m twisted_sip.tap.reference > docs/reference/configuration.md
	$(BIN)/python -m twisted_sip.tap.reference user-agent > docs/reference/user-agent.md
	$(BIN)/python docs/_ext/command_reference.py > docs/reference/commands.md
	$(BIN)/python docs/_ext/torture_table.py
	$(BIN)/python docs/_ext/metrics_reference.py > docs/reference/metrics.md
	$(BIN)/python docs/_ext/metrics_reference.py --dashboard > docs/howto/grafana-dashboard.json

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("twisted_sip needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	-$(BIN)/pip install -q --disable-pip-version-check --only-binary :all: -e '.[fuzz]'
	@touch $@ $(VENV)/installed
