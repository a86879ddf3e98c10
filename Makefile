# Each target sets up .venv by itself, so `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-kills test-cluster fuzz smoke lint types bench docs clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## Make .venv with everything that was tested (constraints.txt)

# torch comes first, and by pip: its CPU build where there is one, instead of several GB of CUDA packages.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,all,docs]'
	touch $@

# PHOTOS=DIR restores your own photographs too. In float32, as bf16 takes ten times as long where the processor has no instructions for it.
demo: setup ## Restore photographs (also those in PHOTOS=dir), train a student for two minutes, show paper beside measured
	$(BIN)/limpid demo --photos "$(PHOTOS)"
	$(BIN)/limpid train +rfd/table5=student data=scenes budget=mini trainer.max_steps=200 trainer.val_check_interval=100 trainer.precision=32-true

# Two processes share two cores, one thread each.
test: setup ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: setup ## Run the slow tests too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-kills: setup ## Kill runs at random moments and fill disks, and compare every bit with what ended by itself
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/e2e/test_kills.py tests/e2e/test_full_disk.py

test-cluster: setup ## Run on a SLURM and on two network namespaces made for it (root; apt: slurmctld slurmd slurm-client munge)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs tests/e2e/test_cluster.py

# MINUTES=60 goes on for longer, SEED=7 repeats what was tried.
MINUTES ?= 10
fuzz: setup ## Try hostile photographs, EXIF, checkpoints, command lines and requests for ten minutes
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

smoke: setup ## Take two steps of every row that is built
	$(BIN)/python -m tests.smoke

lint: setup ## Check style
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: setup ## Check types
	$(BIN)/mypy

bench: setup ## Print the ratios that docs/performance.md quotes
	$(BIN)/python benchmarks

docs: setup ## Build the documentation into build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## Remove what was built; the run store stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
