# Two targets set everything up on a fresh machine that has Python 3.11+ and make: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
DEMO_MODELS := smollm2-135m qwen2.5-coder-0.5b qwen2.5-coder-1.5b all-minilm-l6-v2
QUESTION ?= A shop sells pens at 4 dollars each. Kim buys 6 pens and pays with a 50 dollar note. How much change does Kim get?

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "smcs needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python3." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local,gateway,studio]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local,gateway,studio,otel,bench,int8,grading,hub,postgres]' --group dev
	@touch $@ $(VENV)/.run

# A venv of its own: several of these clients need an older `openai` than the tests above.
$(VENV)/clients/.done: $(VENV)/bin/python pyproject.toml
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)/clients/bin/python -m pip install --quiet --disable-pip-version-check -e '.[gateway]' --group clients
	@touch $@

.PHONY: install
install: $(VENV)/.run ## Install smcs with local models into .venv

.PHONY: dev
dev: $(VENV)/.dev ## Install everything for development into .venv

.PHONY: demo
demo: $(VENV)/.run ## Fetch three small LLMs (1.8 GB, once) and let them answer a question together
	@$(BIN)/smcs models pull $(DEMO_MODELS)
	@$(BIN)/smcs ask --explain "$(QUESTION)"

.PHONY: format
format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lint
lint: $(VENV)/.dev ## Check format, lint and the floors of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

.PHONY: types
types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

.PHONY: browser
browser: $(VENV)/.dev ## Install Chromium for the tests of the studio, where there is none
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -q && apt-get install -y -q --no-install-recommends chromium; \
	else $(BIN)/playwright install chromium; fi

.PHONY: unit
unit: $(VENV)/.dev browser ## Run the tests (fetches the two smallest models, 0.2 GB, once)
	@$(BIN)/smcs models pull smollm2-135m all-minilm-l6-v2
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadgroup --ignore tests/e2e/test_clients.py

.PHONY: clients
clients: $(VENV)/clients/.done ## Run real clients (openai, LiteLLM, LangChain, LlamaIndex, llm) against a real server
	$(VENV)/clients/bin/python -m pytest tests/e2e/test_clients.py

.PHONY: test
test: lint types unit clients ## Format check, lint, types and tests

.PHONY: screenshots
screenshots: $(VENV)/.dev browser ## Draw the pages of the studio for the docs
	$(BIN)/python docs/studio/screenshots.py

.PHONY: bench
bench: $(VENV)/.dev ## Run the performance benchmarks (minutes)
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

.PHONY: clean
clean: ## Remove the environment and caches of this folder
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
