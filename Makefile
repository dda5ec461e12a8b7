# The front door: everything that one does with this checkout, from a bare Python 3.11 or newer.
.DEFAULT_GOAL := help
.PHONY: help setup demo test stress bench lint format docs plugins lock clean
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
export PYTHON

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=/path/to/python3 chooses the interpreter that setup starts from (3.11 or newer)."

setup:  ## make .venv with the stellatune command in it (hashed pins; idempotent)
	@sh tools/bootstrap.sh base

demo: setup  ## render real music through sandboxed plugins; FILE=my.flac takes yours, OUT=dir says where to
	@$(BIN)/python tools/demo.py $(if $(FILE),--file "$(FILE)") $(if $(OUT),--out "$(OUT)")

test: lint  ## lint, then every test; long proofs in their short form
	@$(BIN)/pytest -n 2 --dist worksteal --color=auto -m "not realtime" $(ARGS) || [ $$? = 5 ]
	@$(BIN)/pytest --color=auto -m realtime $(ARGS) || [ $$? = 5 ]

stress:  ## the long proofs at full size (STELLATUNE_STRESS=percent, 100 by default; ARGS="-k name" picks)
	@sh tools/bootstrap.sh test
	@STELLATUNE_STRESS=$(or $(STELLATUNE_STRESS),100) $(BIN)/pytest -m stress -n 2 --timeout 7200 $(ARGS)

bench:  ## measure against baselines; results and pictures go to build/bench
	@sh tools/bootstrap.sh bench
	@$(BIN)/python -m benchmarks $(ARGS)

lint:  ## format, lint, types, import directions, reference documents
	@sh tools/bootstrap.sh test
	@$(BIN)/ruff format --check --quiet . || { echo "hint: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@out=$$($(BIN)/lint-imports) || { echo "$$out"; exit 1; }
	@$(BIN)/python tools/generate_reference.py --check

format:  ## put the sources into the house's format
	@sh tools/bootstrap.sh test
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

docs:  ## generate docs/reference from the code
	@sh tools/bootstrap.sh base
	@$(BIN)/python tools/generate_reference.py

plugins:  ## build the reference plugins from their C sources, and the native twins
	@sh tools/bootstrap.sh test
	@$(BIN)/python tools/build_plugins.py $(ARGS)

lock:  ## pin the dependencies again (needs uv; ARGS=upgrade takes newer ones)
	@sh tools/lock.sh $(ARGS)

clean:  ## remove what was built, the virtual environment too
	rm -rf build dist .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
