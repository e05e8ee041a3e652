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
INSTALL ?= $(BIN)/python -m pip install --quiet --disable-pip-version-check

export PEREGRINE_STUDIES := $(abspath $(STUDIES))
export STREAMLIT_BROWSER_GATHER_USAGE_STATS := false
export PYTHONDONTWRITEBYTECODE :=  # else every process of every test compiles all that it imports

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo dashboard wheel test test-all test-fast test-slow test-lowest test-numeric numeric-of-any numeric-of-avx2 campaign crossed coverage check lint types bench docs screenshots clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Peregrine needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing (several GB, a few minutes) …"
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-deps -e .
	@echo "Compiling what maps take, once …"
	-$(BIN)/python -m core.analysis.warm_map  # without it the first map compiles
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(STAMP)
	$(INSTALL) -r requirements-dev.txt
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

# Files are given to the workers in the order of tests/conftest.py: the longest first.
SHARED := -n $(JOBS) --dist loadfile --no-loadscope-reorder
# Half of the time of a slow test is spent waiting for a browser or another process.
WAITING := $(shell expr $(JOBS) + 1)

# In one run: what a worker has imported, compiled and made for the fast tests serves the slow ones.
test: $(DEV_STAMP)  ## run the suite of a commit, JOBS=2 files at a time (TESTS=path for some)
	$(BIN)/python -m pytest $(if $(TESTS),,$(SHARED) -n $(WAITING)) $(PYTEST_ARGS) $(TESTS)

test-all: export PEREGRINE_TESTS := all
test-all: test  ## run every test and every case

test-fast: $(DEV_STAMP)  ## run the tests that take no browser and no long computation
	$(BIN)/python $(MEASURED_BY) -m pytest $(SHARED) -m "not slow and not browser" $(PYTEST_ARGS) $(TESTS)

campaign: $(DEV_STAMP)  ## kills, faults of disks, flipped bits and malformed inputs by the hundred, as a table (an hour)
	$(BIN)/python -m tests.campaign $(CAMPAIGN)

crossed: $(DEV_STAMP)  ## let real tools write files, read them, and write docs/compatibility.md (ONLY=timm for one; half an hour)
	$(BIN)/python -m tests.crossed $(if $(ONLY),--only $(ONLY))

coverage: $(DEV_STAMP)  ## run test-fast, a third slower, and print which share of core and dashboard it runs
	@mkdir -p build
	@$(MAKE) --no-print-directory test-fast MEASURED_BY="-m slipcover --json --out build/coverage.json"
	@$(BIN)/python -c 'import json; found = json.load(open("build/coverage.json"))["summary"]; \
		print("coverage of core and dashboard by test-fast:", found["percent_covered_display"], "%")'

test-slow: $(DEV_STAMP)  ## run those that test-fast leaves out
	$(BIN)/python -m pytest $(SHARED) -n $(WAITING) -m "slow or browser" $(PYTEST_ARGS) $(TESTS)

# pip takes the newest versions; this environment holds the oldest that requirements*.txt allow.
LOWEST := .venv-lowest

$(LOWEST)/bin/uv:
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv

test-lowest: $(LOWEST)/bin/uv  ## run test-fast with the lowest versions that the requirements allow
	@$(MAKE) --no-print-directory test-fast VENV=$(LOWEST) \
		INSTALL="$< pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct"

# Tests whose numbers could depend on the processor's instructions or the number of threads. `make test` runs
# them as this machine computes; here they run as two others do. Idle threads must not spin: workers share cores.
STEP_OF_ONE := tests/training/test_processes.py::test_two_processes__make_the_step_of_one
NUMERIC := tests/analysis/test_chunk_scan.py tests/analysis/test_definitions.py \
	tests/analysis/test_gradcam.py tests/analysis/test_probe_step.py tests/analysis/test_group_means.py \
	tests/analysis/test_neighbours.py tests/analysis/test_scores.py tests/analysis/test_spectrum.py \
	tests/concepts/test_nearest_captions.py tests/concepts/test_clip.py tests/concepts/test_falcon.py \
	tests/encoders/test_encoder.py tests/encoders/test_transform.py tests/training/test_augment.py \
	tests/training/test_methods.py tests/training/test_losses.py tests/training/test_penalty.py \
	tests/research/test_fourier.py tests/research/test_shortcuts_harder.py tests/research/test_ifm.py
# Once is enough for these: they use no instructions of torch, or take long (two processes).
ONE_THREAD := tests/measures/test_bootstrap.py tests/concepts/test_groups.py tests/measures/test_metrics.py \
	tests/analysis/test_accumulators.py tests/analysis/test_activations.py tests/analysis/test_kernels.py \
	tests/analysis/test_iou.py $(foreach case,simsiam lasso,"$(STEP_OF_ONE)[$(case)]")

# Both run at once, each with half of the workers: loading torch is most of what a worker costs, so one has no
# pool, whose first process would load it as well.
HALF := $(shell expr '(' $(JOBS) + 1 ')' / 2)
POOL := $(if $(filter-out 1,$(HALF)),$(SHARED) -n $(HALF))
IN_TURN := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

test-numeric: $(DEV_STAMP)  ## run the numeric tests as other processors and one or two threads compute
	@$(MAKE) --no-print-directory --jobs=$(JOBS) $(IN_TURN) numeric-of-any numeric-of-avx2

numeric-of-any numeric-of-avx2: export OMP_WAIT_POLICY := PASSIVE
numeric-of-any numeric-of-avx2: export NUMBA_NUM_THREADS := 1
numeric-of-any: $(DEV_STAMP)
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(POOL) $(PYTEST_ARGS) $(NUMERIC) $(ONE_THREAD)

numeric-of-avx2: $(DEV_STAMP)
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 $(BIN)/python -m pytest $(POOL) $(PYTEST_ARGS) $(NUMERIC)

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/pyright

check: lint types test  ## ruff, pyright and the suite of a commit

bench: $(DEV_STAMP)  ## benchmarks as ratios in one run (ONLY=name for one)
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

DOCS := .venv-docs

$(DOCS)/.installed: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

docs: $(DOCS)/.installed  ## the documents as a site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

screenshots: $(DEV_STAMP)  ## every view, light and dark, 1280 and 1920 px, into build/screenshots
	$(BIN)/python -m tests.browser.screenshots

clean:  ## remove what was built, but no study
	rm -rf build .coverage .pytest_cache .ruff_cache
