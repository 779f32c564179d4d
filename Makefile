# make lab   build the environment and open JupyterLab at START.ipynb
# make test  build the environment with what tests need and run every proof
# Options:   PYTHON=python3.12  PORT=8899  BROWSER=none  LAB_ARGS="..."  WORKERS=4  ARGS="..."

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv/bin
WORKERS ?= 2
NOTEBOOK_FOLDERS := $(wildcard START.ipynb lessons labs projects source)
LAB_OPTIONS := $(if $(PORT),--port $(PORT)) $(if $(filter none,$(BROWSER)),--no-browser) \
	$(if $(LAB_ARGS),-- $(LAB_ARGS))
# A run that leaves no record, so that stored pages show a learner who has just begun.
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg
UNRECORDED := SYSLAB_NO_PROGRESS=1 SYSLAB_STATE=$$(mktemp -d)
# Kernels forked from a process that has imported torch and the like, one such process per worker.
WARM := JUPYTER_DEFAULT_PROVISIONER_NAME=syslab-warm

.DEFAULT_GOAL := help
.PHONY: help lab test check env-lab env-test docs release lock bench clean

help:
	@echo "make lab      open the course in JupyterLab (sets everything up the first time)"
	@echo "make test     every proof: tests, all notebooks against their stored outputs, style"
	@echo "make check    the fast part of it: style, notebook contracts (seconds)"
	@echo "make release  make release/ from source/ with nbgrader"
	@echo "make docs     rewrite the tables of README.md from course.toml"
	@echo "make bench    measure the course's own tools and instruments"
	@echo "make lock     resolve newer package versions into requirements.lock"
	@echo "make clean    remove the environment and caches; never your work"

lab: env-lab
	@$(VENV)/syslab lab $(LAB_OPTIONS)

test: check
	$(UNRECORDED) $(WARM) $(VENV)/pytest -n $(WORKERS) --dist loadfile $(NBVAL) $(NOTEBOOK_FOLDERS)
	$(VENV)/pytest -n $(WORKERS) --dist loadgroup $(ARGS) tests

check: env-test
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/syslab nb check

release: env-lab
	$(VENV)/syslab release $(ARGS)

docs: env-lab
	$(VENV)/syslab readme

bench: env-test
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(VENV)/python "$$file" || exit 1; done

lock: env-test
	$(VENV)/python scripts/lock.py $(ARGS)

clean:
	-git config --remove-section diff.jupyternotebook 2>/dev/null
	-git config --remove-section merge.jupyternotebook 2>/dev/null
	rm -rf .venv build src/*.egg-info .pytest_cache .ruff_cache .hypothesis
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

env-lab env-test: env-%:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer on the PATH." \
		"Install one, or name it: make lab PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" scripts/environment.py $*
	@PYTHONPATH=src "$(PYTHON)" -m syslab.course.programs $*
