# Everything runs in a virtual environment in .venv, made from the pinned lock on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

MINUTES ?= 30
SEEDS ?= 2000
SECONDS_EACH := $(or $(SECONDS),60)
# Python as where pandas is not installed, with all processes that it starts.
WITHOUT_PANDAS := PYTHONPATH=$(CURDIR)/tests/beside/hidden $(BIN)/python
TARGETS := parser wire payload events agent job client

.PHONY: demo demo-live test check format grammar lint types imports tests browser screenshots properties
.PHONY: greenlets exits simulate faults soak fuzz fuzz-frames sanitize audit bench bench-files bench-live bench-budget bench-publish
.PHONY: bench-quick bench-job bench-peers bench-service
.PHONY: peers lock clean

demo: $(READY) ## an incident, found in recorded events and in three running services; half a minute
	@$(BIN)/python -m examples.demo

demo-live: $(READY) ## the demo's services, running with the page at http://127.0.0.1:7768 until Ctrl-C
	@$(BIN)/python -m examples.live stay

test: check ## everything that has to hold: format, lint, types, imports, tests

check: lint types imports audit tests

format: $(READY) ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

grammar: $(READY) ## write the parser's tables anew, after an edit of mql/grammar.lark
	$(BIN)/python -m mql.grammar

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

tests: $(READY) browser
	$(BIN)/python -m pytest -m "not alone" -n 3 --dist loadfile tests/test_docs.py tests mql publish_agent source_jobs cli
	$(BIN)/python -m pytest -m alone tests
	$(BIN)/python -m benchmarks.quick
	$(WITHOUT_PANDAS) -m pytest -m "not alone" -n 3 --dist loadfile tests/agent tests/job tests/beside tests/test_tables.py --ignore tests/agent/test_compiled.py --ignore tests/agent/test_encode.py
	$(WITHOUT_PANDAS) -m benchmarks.quick

browser: ## Chromium, for the tests of the page: installed here by root on Debian and Ubuntu, skipped elsewhere
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests of the page (once) …"; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
			|| echo "Chromium could not be installed: the tests of the page will be skipped" >&2; \
	else echo "No Chromium here: the tests of the page will be skipped (apt-get install chromium)" >&2; fi

screenshots: $(READY) browser ## a picture of each view of the page, of the demo's services, in build/screenshots
	@$(BIN)/python -m examples.screenshots

properties: $(READY) ## the generated tests, with fifty times as many examples
	MQL_EXAMPLES=5000 $(BIN)/python -m pytest tests/test_properties.py

fuzz: $(READY) ## fuzz each target (SECONDS=60 each, TARGETS='parser job'), led by coverage; hostile events, 600
	$(BIN)/pip install --quiet 'atheris>=3,<4'
	for target in $(TARGETS); do $(BIN)/python -m tests.fuzz $$target --seconds $(SECONDS_EACH) || exit 1; done
	$(BIN)/python -m tests.fuzz hostile --seconds $(or $(SECONDS),600)

fuzz-frames: $(READY) ## throw COUNT=1000000 random and mutated frames at agent and source job
	$(BIN)/python -m tests.fuzz frames --count $(or $(COUNT),1000000)

sanitize: $(READY) ## all tests of what is compiled, built by gcc with sanitizers of addresses and undefined behaviour
	$(BIN)/python -m tests.sanitizer

audit: $(READY) ## ask for known vulnerabilities of what is locked; says so where there is nobody to ask
	$(BIN)/python -m tests.audit

greenlets: $(READY) ## real programs under gevent and eventlet, 1,000 requests each; two minutes
	MQL_REQUESTS=$(or $(REQUESTS),1000) $(BIN)/python -m pytest tests/greenlets

exits: $(READY) ## COUNT=300 processes that end while a thread of ours is in the middle of C++
	MQL_EXITS=$(or $(COUNT),300) $(BIN)/python -m pytest tests/test_native_threads.py

simulate: $(READY) ## agents, source jobs and clients over a network that goes wrong, SEEDS times
	$(BIN)/python -m tests.simulator --seeds $(SEEDS) --jobs 2

faults: $(READY) ## 20 services, their source job and clients, killed, stopped, cut off; a quarter of an hour
	$(BIN)/python -m tests.faults

soak: $(READY) ## a steady load for MINUTES=30, with agents, queries and clients that come and go
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

bench: bench-files bench-publish bench-job bench-live bench-budget ## all benchmarks, half an hour

bench-quick: $(READY) ## whether publishing and a source job cost what they should, in a minute; part of `make test`
	$(BIN)/python -m benchmarks.quick

bench-publish: $(READY) ## what publishing an event costs its caller and in all, in empty method calls
	$(BIN)/python -m benchmarks.publish

bench-job: $(READY) ## what one source job takes on: rows, columns, states, queries, groups
	$(BIN)/python -m benchmarks.job

bench-files: $(READY) ## nine queries over 1,000,000 events, beside DuckDB, polars and jq
	$(BIN)/python -m benchmarks.files

bench-live: $(READY) ## how fast a live answer starts and events arrive, with real processes
	$(BIN)/python -m benchmarks.live

bench-budget: $(READY) ## what an agent costs its host while a query wants all of 200,000 events a second
	$(BIN)/python -m benchmarks.budget

bench-peers: $(READY) ## the same questions of the same events asked of Bytewax, streamz, polars, DuckDB and a loop
	@$(BIN)/python -m benchmarks.peers

bench-service: $(READY) ## what an agent does to its service's latency, and holds for 10,000 subscriptions
	@$(BIN)/python -m benchmarks.service

peers: $(READY) ## install the tools that bench-peers compares with and development does not need
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group peers

lock: $(READY) ## pin the development environment anew, from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --upgrade --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --quiet --output-file requirements-dev.lock

clean: ## remove what the commands above made
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(READY): requirements-dev.lock pyproject.toml hatch_build.py $(wildcard mql/*.[ch] mql/events/*.[ch] publish_agent/*.[ch])
	@$(PYTHON) -m venv $(VENV) || { \
		echo "A virtual environment could not be made. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }
	@echo "Installing the pinned environment into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
