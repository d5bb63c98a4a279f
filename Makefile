# `make demo` and `make test` are all that a newcomer needs; both install what is missing first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo

.PHONY: setup demo test unit lint docs bench bench-train bench-selection bench-acquisition bench-catalogue bench-labelstudio bench-dashboard bench-alignment bench-pseudo bench-ablation bench-scale ui clean

setup: $(STAMP)

# One environment for all targets; made anew only when what it is made from has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version)." \
	    "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# torch first and by its pin, so that a CPU build at hand is taken
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,dev]' || { \
	  echo "If a package had to be compiled and failed: apt-get install build-essential python3-dev"; \
	  exit 1; }
	@$(BIN)/pip install --quiet --constraint constraints.txt 'kenlm' || \
	  echo "KenLM could not be built: pseudo-labels go without a language model, its tests are skipped"
	@touch $(STAMP)

demo: setup
	$(BIN)/al-loop demo $(DEMO)

test: setup
	$(BIN)/pytest

unit: setup
	$(BIN)/pytest --ignore tests/e2e

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cog --check README.md

docs: setup
	$(BIN)/cog -r README.md

bench: setup
	$(BIN)/python -m benchmarks

bench-train: setup
	$(BIN)/python -m benchmarks.training

bench-selection: setup
	$(BIN)/python -m benchmarks.selection

bench-acquisition: setup
	$(BIN)/python -m benchmarks.acquisition

bench-catalogue: setup
	$(BIN)/python -m benchmarks.catalogue

bench-labelstudio: setup
	$(BIN)/python -m benchmarks.labelstudio

bench-dashboard: setup
	$(BIN)/python -m benchmarks.dashboard

bench-alignment: setup
	$(BIN)/python -m benchmarks.alignment

bench-pseudo: setup
	$(BIN)/python -m benchmarks.pseudo

bench-ablation: setup
	$(BIN)/python -m benchmarks.ablation

bench-scale: setup
	$(BIN)/python -m benchmarks.scale

ui: setup
	$(BIN)/al-loop --workspace $(DEMO) ui

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
