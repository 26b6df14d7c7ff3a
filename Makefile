# `make up` and `make test` do everything from a fresh clone. Everything here is also a command one can type.
.PHONY: up down test check bench proofs schema fix
# Two a core, since a test of a whole stack waits most of its time; a worker has half a gigabyte.
PYTEST_WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? 2 * n : 8)))
# Where bytecode may not be kept, each command that a test starts compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
MYPY = .venv/bin/mypy --no-error-summary .
PYTEST = .venv/bin/python -m pytest -q -p tests.workers --dist loadscope

up: ## the local stack, deployed, with one payment paid on its chain
	@./sluice up

down: ## stop it; its state stays
	@./sluice down

# Types beside the suite: without its cache mypy needs a minute of one core, and stacks leave theirs waiting.
test: style ## the checks and the whole suite
	@$(MYPY) & types=$$!; $(PYTEST) -n $(PYTEST_WORKERS) --durations=25; suite=$$?; wait $$types && exit $$suite

check: style ## style, types and the import law
	@$(MYPY)

.PHONY: style
style: .prepared
	@.venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet .

bench: .prepared ## the figures of docs/figures.md, JSON last
	@scripts/prepare bench
	@.venv/bin/python -m bench

proofs: .prepared ## faults and kills for long, and fresh seeds; fails where a promise is not kept
	@SLUICE_WHOLE=1 $(PYTEST) -n 2 tests/payments/test_bindings.py tests/payments/test_crashes.py tests/payments/test_operators_under_load.py tests/payments/test_mixed.py tests/service_code/test_simulation.py tests/rollout tests/runbook
	@SLUICE_WHOLE=1 $(PYTEST) -n 2 -m hypothesis
	@.venv/bin/python -m bench proofs

fix: .prepared ## format, and mend what can be mended
	@.venv/bin/ruff format --quiet . ; .venv/bin/ruff check --fix --quiet .

schema: .prepared ## the JSON Schemas of queue_configs/schema/
	@.venv/bin/python -m spec.schema

.PHONY: .prepared
.prepared:
	@scripts/prepare dev
