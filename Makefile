# Everything is installed inside this folder. `make test` needs Python 3.11 or newer and nothing else.
#   make test     run the tests, four at a time; the same examples each time
#   make fuzz     run the property tests with fresh seeds for MINUTES=10; SEED=... repeats a round; TARGET=... see tests/fuzz.py
#   make demo     generate markets and backtest two strategies on them, into demo-markets and demo-results
#   make lint     formatting, lint, types, and which module may import which
#   make clean    remove what the others made, except the environment (.venv)

PYTHON ?= python3
BIN := .venv/bin

# pip then refuses to install anywhere but into an environment.
export PIP_REQUIRE_VIRTUALENV := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests and demo start many processes: each would compile the package anew where Python is told to keep nothing compiled.
export PYTHONDONTWRITEBYTECODE :=

SEED ?=
MINUTES ?=
TARGET ?=

.PHONY: test fuzz demo lint clean
# Two pips must not fill one environment at once.
.NOTPARALLEL:

test: .venv/installed-dev
	$(BIN)/pytest -n 4

fuzz: .venv/installed-dev
	$(BIN)/python tests/fuzz.py $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
	    $(if $(TARGET),--target $(TARGET))

demo: .venv/installed
	rm -rf demo-markets demo-results
	$(BIN)/headrace generate --markets 40 --seed 7 --out demo-markets
	$(BIN)/headrace backtest examples/lowest_layer.py:LowestLayer examples/queue_backer.py:QueueBacker \
	    --markets demo-markets --engine ray --out demo-results
	@echo
	@echo "Next, a page of this result, and a strategy of your own on these markets (docs/guide.md tells the rest):"
	@echo "  $(BIN)/headrace report demo-results"
	@echo "  $(BIN)/headrace new strategy.py"
	@echo "  $(BIN)/headrace backtest strategy.py:BackTheFavourite --markets demo-markets"

# mypy cannot see an editable install, and needs the folder to carry the package's name. A link gives it that name,
# whatever the checkout is called, and always shows the present sources.
lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .build
	ln -sfn .. .build/headrace
	MYPYPATH=.build $(BIN)/mypy -p headrace
	$(BIN)/lint-imports

# The stamps are files in .venv: an environment is filled once, and again when pyproject.toml changes.
.venv/installed: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/installed-dev: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch .venv/installed $@

# Asked first: an environment of an older Python would stay, and fail every later run too.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=... names it")'
	$(PYTHON) -m venv .venv

clean:
	rm -rf .build build dist headrace.egg-info demo-markets demo-results
	rm -rf .fuzz .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
