# Every target works on a machine that has only git, make and Python 3.11: the rest goes into .venv.
# Kept to what GNU make 3.81 understands, which macOS brings.
#
# ARGS is handed on (make test ARGS="tests/oci -x"), PORT is the demo's port, PYTHON the interpreter
# that .venv is made with.

BIN := .venv/bin
export PYTHON

.PHONY: help demo test check schema lock clean

help:
	@echo "make demo     serve a sample registry at http://127.0.0.1:8000/graphql   [PORT=8000]"
	@echo "make test     run the tests                                              [ARGS=...]"
	@echo "make check    check format, lint, types, import direction and schema.graphql"
	@echo "make schema   write schema.graphql from the code"
	@echo "make lock     write requirements*.lock from pyproject.toml               [ARGS=--upgrade]"
	@echo "make clean    remove .venv and every cache"

# An environment is as good as the lock it was made from, so a changed lock makes it anew.
.venv/.runtime: requirements.lock
	@scripts/setup requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock
	@scripts/setup requirements-dev.lock
	@touch .venv/.runtime $@

demo: .venv/.runtime
	@$(BIN)/ocigraph demo $(if $(PORT),--port $(PORT)) $(ARGS)

test: .venv/.dev
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py
	@$(BIN)/ocigraph schema | diff schema.graphql - || { echo "schema.graphql is not what the code says: make schema" >&2; exit 1; }

schema: .venv/.dev
	@$(BIN)/ocigraph schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql

lock:
	@scripts/lock $(ARGS)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
