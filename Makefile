# Start with `make run` and `make test`. Both install what they need into .venv (Python only, no root).
# Expensive tests have a short form in `make test` and a full form in `make prove-<name>`; see docs/proofs.md.
PYTHON ?= python3
VENV   := .venv
PORT   ?= 8080

run: $(VENV)/.run          ## set up and start the service on http://127.0.0.1:8080
	$(VENV)/bin/python -m cds_service serve --port $(PORT)

# One worker per processor, whole files to a worker. tests/conftest.py sorts the files.
PYTEST := $(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.test        ## set up and run every test that needs only Python, in about three minutes
	$(PYTEST)

prove-pinning: $(VENV)/.test   ## change every value of the knowledge in turn; fail if no vignette and no chart notices
	$(VENV)/bin/python -m pytest --full tests/knowledge/test_pinning.py

prove-deciding: $(VENV)/.test  ## check missing facts and best verdicts against every completion of 1,100 verdicts
	$(PYTEST) --full tests/deciding

prove-laws: $(VENV)/.test      ## check every law with twenty times the examples
	$(PYTEST) --full tests/laws

prove-nothing-lost: $(VENV)/.test  ## hide what decided in 44 ways, in fixtures and drawn charts; fail on a bolder verdict or an untold loss
	$(VENV)/bin/python -m pytest --full tests/laws/test_nothing_lost.py

prove-orders: $(VENV)/.test    ## check that 1,000 unrelated draft orders on each fixture get no card, and every order × stop its severity
	$(PYTEST) --full tests/orders

prove-linear: $(VENV)/.test    ## check that time is linear in the length of every string and list that is read; the largest bodies
	$(VENV)/bin/python -m pytest --numprocesses auto --dist load --full tests/security/test_linear.py

check: $(VENV)/.test       ## check style, types, and known vulnerabilities of the packages
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python .ci/audit.py

lowest: $(VENV)/.test      ## start the service with every direct dependency at its lowest allowed version
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[lowest]'
	$(VENV)/bin/python .ci/lowest.py

bench: $(VENV)/.test       ## measure milliseconds by stage and fixture, compared with decoding the same body as JSON
	$(VENV)/bin/python -m bench

prove-fuzz fuzz: $(VENV)/.test        ## send 100,000 mutated requests to the running service (about ten minutes)
	nice -n 10 $(VENV)/bin/python -m tests.fuzz

prove-mutants mutants: $(VENV)/.test  ## mutate the reasoning code; fail on a survivor without a reason in tests/mutation/triage.toml
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

.PHONY: run test check lowest bench fuzz mutants prove-pinning prove-laws prove-nothing-lost prove-orders prove-linear prove-deciding prove-fuzz prove-mutants
