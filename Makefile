# Every target does its own set-up: python3.11 and make are all that a fresh Debian needs.
.DEFAULT_GOAL := help
.PHONY: help install run test lint bench lock clean
BIN := .venv/bin
STAMP := .venv/.installed

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Make .venv with everything, from the lock file

$(STAMP): requirements/dev.txt pyproject.toml
	@sh scripts/ensure-apt.sh python3-venv
	python3.11 -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

lint: install ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
