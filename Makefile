# Every target installs what it needs. A fresh Debian needs only python3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help install deb run demo gallery check test guides lint bench bench-agent bench-scale bench-abuse bench-find bench-readers bench-tags bench-rolling sanitize soak cluster soak-kills soak-agent loadtest hooks lock audit clean
BIN := .venv/bin
# Compiled modules are kept, also where the environment says otherwise: the tests import some 500 in each process.
export PYTHONDONTWRITEBYTECODE :=
LOCKED := .venv/.locked
STAMP := .venv/.installed

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Make .venv with everything, from the lock file

$(LOCKED): requirements/dev.txt
	@echo "The first time, this installs its packages into .venv: one to three minutes, depending on your network."
	@sh scripts/ensure-apt.sh python3-venv
	@echo "1 of 3: making .venv"
	@python3.11 -m venv --clear .venv
	@echo "2 of 3: installing $$(grep -c '==' requirements/dev.txt) packages, each checked by its hash"
	@$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(STAMP): $(LOCKED) pyproject.toml hatch_build.py $(wildcard native/*/*)
	@sh scripts/ensure-apt.sh gcc python3-dev || true # for the compiled cores, which are optional
	@echo "3 of 3: compiling the cores"
	@$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@ls agent/aggregate/core.abi3.so central/core.abi3.so >/dev/null 2>&1 || \
	echo "The cores are not compiled. Plain Python does the same work, and takes several times the CPU."
	@touch $@

deb: install ## Make Debian packages of the agent and of the service, in dist/
	@sh scripts/ensure-apt.sh dpkg-deb lintian
	$(BIN)/python -m scripts.build_deb
	lintian --fail-on error dist/fiesta-*.deb

run: install ## Start the service and an agent on this host; Ctrl-C stops both
	@$(BIN)/python -m quickstart.run

demo: install ## Fill the service of make run with a week of a web shop
	@$(BIN)/python -m quickstart.demo

gallery: install ## Make the pictures of docs/gallery.md anew
	@sh scripts/ensure-apt.sh chromium
	@$(BIN)/python -m scripts.gallery

lint: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

WORKERS ?= 3
check: install ## Format, style, types and every test that starts no server: for each edit, in under a minute
	$(BIN)/ruff format .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "not server" $(TESTS)

NODE := tests/end_to_end/node
$(NODE)/node_modules/.installed: $(NODE)/package-lock.json
	@sh scripts/ensure-apt.sh nodejs npm g++ make # the last two, with node's headers in /usr, for hot-shots' unix sockets
	cd $(NODE) && npm_config_nodedir=/usr npm ci --no-audit --no-fund --loglevel=error
	@touch $@

test: install $(NODE)/node_modules/.installed ## Run every test and check the coverage
	@sh scripts/ensure-apt.sh mariadb-server galera-4 rsync mariadb-backup socat redis-server nginx haproxy promtool chromium lintian fakeroot graphite-web collectd netdata gcc python3-dev systemd curl nc php
	$(BIN)/coverage erase
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --fail-under=90

guides: install $(NODE)/node_modules/.installed ## Run the guides of all languages, also those that need heavy compilers
	@sh scripts/ensure-apt.sh curl nc php go datadog-go java
	EXAMPLES="sh python js php go java" $(BIN)/pytest tests/end_to_end/test_examples.py tests/end_to_end/test_tagged_clients.py -k "guide or datadog-go"

bench: install ## Measure speed, as ratios within one run (about five minutes, on an idle machine)
	@sh scripts/ensure-apt.sh wrk mariadb-server redis-server
	$(BIN)/python -m loadtest.bench_central
	$(BIN)/python -m loadtest.bench_mysql
	$(BIN)/python -m loadtest.bench_counting

BENCH_NODE := loadtest/node
$(BENCH_NODE)/node_modules/.installed: $(BENCH_NODE)/package-lock.json
	@sh scripts/ensure-apt.sh nodejs npm
	cd $(BENCH_NODE) && npm ci --omit=optional --no-audit --no-fund --loglevel=error
	@touch $@

bench-scale: install ## Measure 100 million points in each store: queries, ingest beside readers, retention (half an hour, some GB of disk)
	@sh scripts/ensure-apt.sh mariadb-server
	$(BIN)/python -m loadtest.bench_scale duckdb
	$(BIN)/python -m loadtest.bench_scale mysql

bench-find: install ## Measure Graphite's search of names over a million names in each store (about a minute)
	@sh scripts/ensure-apt.sh mariadb-server
	$(BIN)/python -m loadtest.bench_find

bench-readers: install ## Measure lists, find and render over a thousand names in each store, and ingest beside them (about three minutes)
	@sh scripts/ensure-apt.sh mariadb-server
	$(BIN)/python -m loadtest.bench_readers

bench-tags: install ## Measure percentiles, groups of tags and render over a million series in each store (about five minutes)
	@sh scripts/ensure-apt.sh mariadb-server
	$(BIN)/python -m loadtest.bench_tags

bench-rolling: install ## Restart each process, Redis and database node under 1,000 requests per second, behind nginx and HAProxy (about five minutes, on an idle machine)
	@sh scripts/ensure-apt.sh mariadb-server galera-4 rsync redis-server nginx haproxy
	$(BIN)/python -m loadtest.bench_rolling

bench-abuse: install ## Measure a good key beside one bad client, attack by attack (about four minutes, on an idle machine)
	$(BIN)/python -m loadtest.bench_abuse

bench-agent: install $(BENCH_NODE)/node_modules/.installed ## Measure the agent's CPU per line beside collectd, netdata and statsd (about ten minutes, on an idle machine)
	@sh scripts/ensure-apt.sh collectd netdata
	$(BIN)/python -m loadtest.bench_agent

SECONDS ?= 60
sanitize: install ## Test the compiled cores under sanitizers, then fuzz them: SECONDS=60 SEED=
	@sh scripts/ensure-apt.sh gcc python3-dev
	$(BIN)/python -m tests.native --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

MINUTES ?= 5
STORE ?= mysql
soak: install ## Cause random faults under load, then ask random questions, and compare with an oracle: MINUTES=5 STORE=mysql|duckdb SEED=
	@sh scripts/ensure-apt.sh mariadb-server redis-server
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --store $(STORE) $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.oracle --minutes $(MINUTES) --store $(STORE) $(if $(SEED),--seed $(SEED))

KILLS ?= 1000
soak-kills: SEED = 0
soak-kills: THREADS = 1
soak-kills: install ## Kill agents at random moments under load, and in their recovery, then compare every sum: KILLS=1000 SEED=0 THREADS=1 (a quarter of an hour)
	$(BIN)/python -m tests.agent.journal.under_fire $(KILLS) $(SEED) $(THREADS)

cluster: install ## Cause random faults on a Galera tier and on a primary with its replica: MINUTES=5 each, SEED=
	@sh scripts/ensure-apt.sh mariadb-server galera-4 rsync mariadb-backup socat redis-server haproxy
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --store galera $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --store replica $(if $(SEED),--seed $(SEED))

soak-agent: MINUTES = 60
soak-agent: install ## Run an agent under mixed load, bursts and outages, MINUTES=60: flat memory, exact ledger, empty spool
	$(BIN)/python -m loadtest.soak_agent --minutes $(MINUTES)

loadtest: install ## Load a whole stack with locust and compare with the requirements, MINUTES=5; writes report/loadtest/
	@sh scripts/ensure-apt.sh mariadb-server redis-server
	$(BIN)/python -m loadtest.load --minutes $(MINUTES)

TOOLS := .venv/tools
$(TOOLS)/.installed: requirements/tools.txt | $(LOCKED)
	python3.11 -m venv --clear $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --require-hashes --no-deps -r $<
	@touch $@

hooks: $(TOOLS)/.installed ## Let git run the checks of lint before each commit
	$(TOOLS)/bin/pre-commit install

COMPILE := $(TOOLS)/bin/uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	--python-version 3.11 $(addprefix --upgrade-package ,$(UPGRADE))
lock: $(TOOLS)/.installed ## Write requirements/*.txt for pyproject.toml; UPGRADE="aiohttp redis" takes their newest versions
	$(COMPILE) pyproject.toml --extra dev --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra central --constraint requirements/dev.txt --output-file requirements/run.txt
	echo hatchling | $(COMPILE) - --constraint requirements/dev.txt --output-file requirements/build.txt
	printf '%s\n' pip-audit pre-commit uv | $(COMPILE) - --output-file requirements/tools.txt

audit: $(TOOLS)/.installed ## Look up known vulnerabilities of every locked package (needs to reach pypi.org)
	@for file in dev run build tools; do \
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements/$$file.txt || { \
	echo "audit: not clean, or the database could not be asked (see above)" >&2; exit 1; }; done

clean: ## Remove what make made, but not data/
	rm -rf .venv $(NODE)/node_modules $(BENCH_NODE)/node_modules .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
