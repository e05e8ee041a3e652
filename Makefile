# make demo: the embedded study in the browser.   make help: everything else.
PYTHON ?= python3
PORT ?= 8501
STUDIES ?= $(or $(PEREGRINE_STUDIES),studies)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PYTEST_ARGS ?=
JOBS ?= 2

export PEREGRINE_STUDIES := $(abspath $(STUDIES))
export STREAMLIT_BROWSER_GATHER_USAGE_STATS := false

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo dashboard wheel test test-numeric check lint types bench screenshots clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Peregrine needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing (several GB, a few minutes) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

setup: $(STAMP)  ## make .venv and install what Peregrine needs

setup-dev: $(DEV_STAMP)  ## and what its tests need

demo: $(STAMP)  ## build the embedded study and open it at http://localhost:8501 (PORT=…)
	@$(BIN)/python -m core demo --background
	@$(MAKE) --no-print-directory dashboard

dashboard: $(STAMP)  ## serve every study below STUDIES=FOLDER (default studies/)
	@$(BIN)/python -m core dashboard --port $(PORT)

wheel: $(STAMP)  ## build the installable package into build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	@ls build/wheel/*.whl

test: $(DEV_STAMP)  ## run every test, JOBS=2 files at a time (TESTS=path for some)
	$(BIN)/python -m pytest $(if $(TESTS),,-n $(JOBS) --dist loadfile) $(PYTEST_ARGS) $(TESTS)

# Tests whose numbers could depend on the processor's instructions or the number of threads. `make test` runs
# them as this machine computes; here they run as two others do.
STEP_OF_ONE := tests/training/test_processes.py::test_two_processes__make_the_step_of_one
NUMERIC := $(addprefix tests/analysis/test_,$(addsuffix .py,activations bootstrap columns features firing \
	group_means heatmaps kernels metrics neighbours overlap probe quality spectrum)) \
	$(addprefix tests/concepts/test_,$(addsuffix .py,clip falcon groups retrieve)) \
	$(addprefix tests/encoders/test_,$(addsuffix .py,encoder transform)) \
	$(addprefix tests/training/test_,$(addsuffix .py,augment fourier harder ifm methods penalty regularize)) \
	$(foreach case,simsiam lasso,"$(STEP_OF_ONE)[$(case)]")

test-numeric: $(DEV_STAMP)  ## run the numeric tests as other processors and one or two threads compute
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS) $(NUMERIC)
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 $(BIN)/python -m pytest $(PYTEST_ARGS) $(NUMERIC)

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/pyright

check: lint types test  ## ruff, pyright and every test

bench: $(DEV_STAMP)  ## benchmarks as ratios in one run (ONLY=name for one)
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

screenshots: $(DEV_STAMP)  ## every view, light and dark, 1280 and 1920 px, into build/screenshots
	$(BIN)/python -m tests.browser.screenshots

clean:  ## remove what was built, but no study
	rm -rf build .pytest_cache .ruff_cache
