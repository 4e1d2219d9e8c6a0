# Two commands for a newcomer: `make run` and `make test`. Both set up what they need in .venv (Python only, no root).
# What is heavy has a short form in `make test` and its full form as `make prove-<name>`: docs/proofs.md.
PYTHON ?= python3
VENV   := .venv
PORT   ?= 8080

run: $(VENV)/.run          ## set up and start the service on http://127.0.0.1:8080
	$(VENV)/bin/python -m cds_service serve --port $(PORT)

# On every processor, whole files to a worker; which file comes first is said in tests/conftest.py.
PYTEST := $(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.test        ## set up and run every test that needs Python alone, in about three minutes
	$(PYTEST)

prove-pinning: $(VENV)/.test   ## changes every datum of the knowledge in turn; fails where no vignette and no chart notices
	$(VENV)/bin/python -m pytest --full tests/knowledge/test_pinning.py

prove-deciding: $(VENV)/.test  ## what is missing, and the best verdict, against every completion of 1,100 verdicts
	$(PYTEST) --full tests/deciding

prove-laws: $(VENV)/.test      ## twenty times the examples of every law
	$(PYTEST) --full tests/laws

prove-linear: $(VENV)/.test    ## every string and every list that is read: twice the length, twice the time; the largest bodies
	$(VENV)/bin/python -m pytest --numprocesses auto --dist load --full tests/security/test_linear.py

check: $(VENV)/.test       ## style, types, known faults of the packages
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python .ci/audit.py

lowest: $(VENV)/.test      ## starts the service with every direct dependency at its lowest allowed version
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[lowest]'
	$(VENV)/bin/python .ci/lowest.py

bench: $(VENV)/.test       ## milliseconds by stage and fixture, against decoding the same body as JSON
	$(VENV)/bin/python -m bench

prove-fuzz fuzz: $(VENV)/.test        ## 100,000 mutated requests against the running service (about ten minutes)
	nice -n 10 $(VENV)/bin/python -m tests.fuzz

prove-mutants mutants: $(VENV)/.test  ## mutates the code that judges; fails on a survivor without a reason in tests/mutation/triage.toml
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,mutants]'
	$(VENV)/bin/python -m tests.mutation

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	@echo "Setting up (about a minute the first time) ..."
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	@echo "Setting up (about a minute the first time) ..."
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.run

.PHONY: run test check lowest bench fuzz mutants prove-pinning prove-laws prove-linear prove-deciding prove-fuzz prove-mutants
