# `make demo` and `make test` need nothing but Python (3.11 or newer) and make: each creates
# .venv and installs what it needs, once, with the versions in constraints.txt.

PYTHON ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo python3)
# More arguments for pip. On Linux the default PyTorch wheel brings CUDA libraries; the smaller
# CPU build: make test PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=
# Passed on to the demo: make demo DEMO_ARGS="--data FOLDER --sets NAME ..."
DEMO_ARGS ?=
# Another torch for `make test-oldest`, where an older one can be had: OLD_TORCH=2.6.0.
OLD_TORCH ?=
# Passed on to pytest: make test PYTEST_ARGS="-k policies".
PYTEST_ARGS ?=
WORKERS ?= 2

BIN := .venv/bin
# Each test worker takes a run of files, so that their fixtures are made once.
# Test workers share the cores, and results depend on the number of threads.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# scikit-learn's array API check runs only with SCIPY_ARRAY_API=1. Tests start many processes: an
# environment that forbids Python to keep compiled files would have each compile the package anew.
TEST_ENV := SCIPY_ARRAY_API=1 PYTHONDONTWRITEBYTECODE= $(ONE_THREAD)

.NOTPARALLEL:
.PHONY: help demo test test-fast test-oldest check format docs linkcheck coverage dist clean compiler

help:
	@echo "make demo      train and prune on real data, print tables, save a plot"
	@echo "make test      all tests and doctests"
	@echo "make test-fast  the tests that are not marked slow"
	@echo "make test-oldest  a part of the tests with the oldest scikit-learn, skorch and NumPy"
	@echo "make check     formatting, lint, types and import rules"
	@echo "make format    reformat the code and apply safe lint fixes"
	@echo "make docs      build the documentation, warnings are errors"
	@echo "make linkcheck  the addresses in the documentation, for which it needs the network"
	@echo "make coverage  all tests and doctests, with an HTML coverage report; slower"
	@echo "make dist      the files for an index, checked; README's first pipeline with the wheel alone"
	@echo "make clean     remove what the other targets made, except .venv and .venv-oldest"

demo: .venv/.installed-demo
	$(BIN)/python -m benchmarks.demo $(DEMO_ARGS)

test: .venv/.installed-test compiler
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

test-fast: .venv/.installed-test compiler
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -m "not slow" $(PYTEST_ARGS)

# The part that meets scikit-learn, skorch and NumPy most: estimator checks, routing, nets, tables,
# searches, files.
OLDEST_TESTS := $(addprefix tests/,data training/test_networks.py training/test_nets_training.py \
	training/test_net_reprs.py training/test_net_targets.py pipelines/test_tabular.py \
	pipelines/test_tables_in_the_wild.py estimators/test_budget_cv_scorings.py \
	estimators/test_estimator_checks.py estimators/test_estimators.py estimators/test_routing.py \
	export/test_saving.py)

# onnx is not installed there; SimpleImputer of scikit-learn 1.6 fails on polars without indicators.
OLDEST_LEFT_OUT := $(addprefix --deselect tests/,\
	export/test_saving.py::test_saving_and_exporting_leave_the_net_as_it_is \
	pipelines/test_tables_in_the_wild.py::test_sparse_categories_become_frames_when_asked_for)

test-oldest: .venv-oldest/.installed
	$(TEST_ENV) .venv-oldest/bin/python -m pytest -q -m "not slow" $(OLDEST_TESTS) \
		$(OLDEST_LEFT_OUT) $(PYTEST_ARGS)

check: .venv/.installed-dev .venv/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sklearn_mabprune
	$(TEST_ENV) $(BIN)/python -m pytest -qq tests/test_imports.py

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/.installed-docs compiler
	$(ONE_THREAD) $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

linkcheck: .venv/.installed-docs
	$(ONE_THREAD) $(BIN)/python -m sphinx -q -b linkcheck -D sphinx_gallery_conf.plot_gallery=0 docs docs/_build/linkcheck

coverage: .venv/.installed-test compiler
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov=sklearn_mabprune --cov-report=term --cov-report=html $(PYTEST_ARGS)

# Apart from this checkout: a fresh environment with the wheel, in an empty folder.
dist: .venv/.installed-dist
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(ONE_THREAD) PIP_ARGS="$(PIP_ARGS)" $(BIN)/python .ci/wheel_alone.py dist/*.whl

clean:
	rm -rf build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf docs/_build docs/auto_examples docs/generated docs/sg_execution_times.rst
	find sklearn_mabprune tests benchmarks examples docs -name __pycache__ -type d -prune -exec rm -rf {} +

# Tests and examples compile C headers: where there is no compiler, the wheel of Zig brings one.
compiler: | $(BIN)/python
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || \
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt ziglang

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=...')"
	$(PYTHON) -m venv .venv

# One stamp for each extra: installed once, and again when the metadata or the pins change.
.venv/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt $(PIP_ARGS) -e ".[$*]"
	touch $@

# An environment of its own: pip is told the old versions, and of torch another one if asked for.
.venv-oldest/.installed: pyproject.toml constraints-oldest.txt
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	sed 's/^torch==.*/torch==$(or $(OLD_TORCH),$(shell sed -n "s/^torch==//p" constraints-oldest.txt))/' \
		constraints-oldest.txt > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --disable-pip-version-check -q \
		-c .venv-oldest/constraints.txt $(PIP_ARGS) -e ".[oldest]"
	touch $@
