# Two commands: `make run` runs the demo plant on a real Kafka, `make test` passes the tests.
PYTHON ?= python3
VENV   := .venv
# One more than two cores have room for: real programs wait for their time-outs, and so do their tests.
WORKERS ?= 3
BIN    := $(VENV)/bin

.PHONY: run setup test tests-compiled long fuzz lint bench soak lock clean

run: setup
	@$(BIN)/andon up --demo

# Who sets it would have every process compile all it loads again at its start.
unexport PYTHONDONTWRITEBYTECODE

# Compiled here too, for who has it set and starts `andon` without make.
setup: $(VENV)/.complete
	@$(BIN)/python -m compileall -q services

# It says where it was made: its scripts and its link to the sources hold whole paths, and run nowhere else.
MADE_AT := $(shell cat $(VENV)/.complete 2>/dev/null)
ifneq "$(MADE_AT)" ""
ifneq "$(MADE_AT)" "$(CURDIR)"
.PHONY: $(VENV)/.complete
endif
endif

$(VENV)/.complete: requirements.lock requirements-java.lock requirements-uv.lock pyproject.toml deploy/setup.sh
	@PYTHON=$(PYTHON) sh deploy/setup.sh $(VENV)

# Tests are compiled while the linters run, and not by each worker again. The tests themselves come after that: some
# compare times of one half of a minute with those of the next.
test: setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint tests-compiled
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

tests-compiled:
	@said=$$($(BIN)/python -m pytest --collect-only -qq 2>&1) || { echo "$$said"; exit 1; }

# What takes minutes: two hosts on one store, a store that is lost under load, a repartition with open work.
long: setup
	@$(BIN)/python -m pytest --long -m long

# The readers of hostile bytes, a hundred times as long as a test does it.
fuzz: setup
	@$(BIN)/python -m pytest --long -m long tests/fuzz

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m tests.bench $(ONLY)

# FAULT=F03,F13 ROUNDS=20 SEED=1; a stopped soak goes on where it was, and so does one of more rounds.
soak: setup
	@$(BIN)/python -m tests.chaos.soak --fault '$(FAULT)' --rounds $(or $(ROUNDS),4) --seed $(or $(SEED),1)

# Regenerates the lock files.
LOCKED := --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
lock: setup
	@$(BIN)/python -m pip install -q --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip compile -q $(LOCKED) --extra demo --extra otel --extra postgresql --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q $(LOCKED) --no-deps deploy/java.in -o requirements-java.lock
	$(BIN)/uv pip compile -q $(LOCKED) --no-deps deploy/uv.in -o requirements-uv.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench
