# make run: a language model answers through simulated gates. make test: all tests. Both set everything up themselves.

PYTHON ?= python3
PROMPT ?= Why is the sky blue?
# Words that go to rtlm run as they are, such as: make run ARGS="--max-tokens 8 --config tiny"
ARGS ?=
PYTEST_ARGS ?=
# Fresh seeds of make nightly.
SEEDS ?= 10
# Results files that make figures renews; empty: all that are out of date.
FIGURES ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests
DOCS_STAMP := $(VENV)/.installed-for-docs
TYPES := build/types
PACKAGES := hw gen sim host

.PHONY: run test quick coverage nightly lint figures docs setup clean
.DEFAULT_GOAL := run

run: $(STAMP)
	@$(BIN)/rtlm run --chat "$(PROMPT)" $(ARGS)

test: lint
	@$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

# What one runs while editing: no simulator built, no synthesis, no proof.
quick: $(TEST_STAMP)
	@$(BIN)/python -m pytest -n auto -m "not slow and not synthesis and not formal" $(PYTEST_ARGS)

# Lines and branches of the Python that the tests of make quick reach.
coverage: $(TEST_STAMP)
	@$(BIN)/python -m pytest -n auto -q -m "not slow and not synthesis and not formal" --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

# Tests that draw, each time with a seed nobody has chosen; pytest prints it.
nightly: $(TEST_STAMP)
	@failed=0; \
	for round in $$(seq $(SEEDS)); do \
		echo "Round $$round of $(SEEDS)"; \
		$(BIN)/python -m pytest -n auto -m randomised --seed random $(PYTEST_ARGS) || failed=1; \
	done; exit $$failed

lint: $(TEST_STAMP) $(addprefix $(TYPES)/rtlm/,$(PACKAGES))
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy $(addprefix -p rtlm.,$(PACKAGES))
	@found=$$(PYTHONPATH=$(TYPES) $(BIN)/lint-imports --no-cache) || { echo "$$found"; exit 1; }

# The figures of README and docs: hours for all, resumed where it was interrupted. python -m rtlm.host.figures list has the names.
figures: $(TEST_STAMP)
	@$(BIN)/python -m rtlm.host.figures renew $(FIGURES)

# The documentation site in build/site; its pages need no server and no network. A warning of MkDocs is an error, and so is a figure
# that disagrees with its results; figures that may be out of date are named with the command that renews them.
docs: $(DOCS_STAMP) $(addprefix $(TYPES)/rtlm/,$(PACKAGES))
	@$(BIN)/python -m rtlm.host.figures check
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "The site is in build/site; open build/site/index.html."

setup: $(TEST_STAMP)

# The packages lie in folders without the prefix rtlm; mypy needs to see them with it.
$(TYPES)/rtlm/%:
	@mkdir -p $(@D) && ln -sfn ../../../$* $@

# The environment is made anew only when the list of packages changes.
$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); install Python 3.11 or newer, or set PYTHON." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed; set PYTHON to one." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv." >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock -e .
	@touch $@

$(TEST_STAMP): $(STAMP)
	@echo "Adding what the tests need ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock -e '.[test,formal,synth]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@echo "Adding what the documentation site needs ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock -e '.[docs]'
	@touch $@

clean:
	@rm -rf build
