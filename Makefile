# The verbs. Each sets up what it needs (.ci/setup.sh); the first use takes a minute, later ones start at once.
# ARGS goes to the program: make test ARGS="tests/admission -x"

VENV ?= .venv
export VENV
# Images of containers often forbid byte code: then each process of ours would compile what it imports, for seconds.
unexport PYTHONDONTWRITEBYTECODE
PYTHON := $(VENV)/bin/python
SETUP := @.ci/setup.sh
COMPILE := $(PYTHON) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
LOCKED_RUN := pyproject.toml --extra sync --group build
LOCKED_TEST := $(LOCKED_RUN) --extra gpio --group test
LOCKED_LINT := $(LOCKED_TEST) --group lint

.DEFAULT_GOAL := help
.PHONY: help run test lab lint bench soak soak-real format lock clean

help:
	@echo "make run      the whole venue on this machine, no hardware needed"
	@echo "make test     all tests"
	@echo "make lab      the installed gate in a Debian guest, on a real kernel with real device drivers"
	@echo "make lint     ruff, mypy"
	@echo "make bench    measures, writes build/bench.json"
	@echo "make soak     seeds of the simulated venue, as many as SEEDS says; goes on where it stopped"
	@echo "make soak-real  a real venue for MINUTES: processes killed, cables pulled, cards filled; SEED chooses what"
	@echo "make format   rewrites the sources in the house format"
	@echo "make lock     resolves the dependencies anew, writes requirements/*.txt"
	@echo "make clean    removes everything that was made, $(VENV) too"

run:
	$(SETUP) run
	@$(PYTHON) -m tests.venue $(ARGS)

# How many at a time says tests/conftest.py. worksteal: no worker idles at the end, and a test that killed its worker is not tried again and again.
test:
	$(SETUP) test
	@$(PYTHON) -m pytest -n auto --dist worksteal $(ARGS)

# The guest is built once, into build/lab; after that it is back within seconds. ARGS goes to pytest.
lab:
	$(SETUP) lab
	@$(PYTHON) -m tests.lab $(ARGS)

lint:
	$(SETUP) lint
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m mypy --no-error-summary

soak:
	$(SETUP) test
	@$(PYTHON) -m tests.sim --soak $(or $(SEEDS),1000) $(ARGS)

soak-real:
	$(SETUP) test
	@$(PYTHON) -m tests.real --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1) $(ARGS)

bench:
	$(SETUP) bench
	@$(PYTHON) -m tests.bench $(ARGS)

format:
	$(SETUP) lint
	@$(PYTHON) -m ruff check --quiet --fix . || true
	@$(PYTHON) -m ruff format --quiet .

# Each lock holds the one before it, at the same versions.
lock:
	$(SETUP) lock
	@$(COMPILE) $(LOCKED_RUN) --output-file requirements/run.txt
	@$(COMPILE) $(LOCKED_TEST) --constraint requirements/run.txt --output-file requirements/test.txt
	@$(COMPILE) $(LOCKED_LINT) --constraint requirements/test.txt --output-file requirements/lint.txt
	@$(COMPILE) --group lock --output-file requirements/lock.txt

clean:
	@rm -rf build $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
