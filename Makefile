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
# Of processes that the tests start there are hundreds: each would compile all modules again.
export PYTHONDONTWRITEBYTECODE :=
# How tests run beside one another: many of them wait. Their order is that of tests/conftest.py.
BESIDE := -n 4 --dist loadfile --no-loadscope-reorder
# Tests of examples that Hypothesis makes.
GENERATED := tests/oracle/test_properties.py tests/mql/sources/test_prefilter.py tests/oracle/test_interpreter.py tests/mql/events/test_native.py \
	tests/mql/exec/test_partial.py tests/mql/wire/test_wire.py tests/publish_agent/screen/test_where.py tests/publish_agent/capture/test_compiled.py \
	tests/publish_agent/drain/test_shapes.py tests/source_jobs/query/test_answers.py tests/hostile/test_redaction.py
# Tests of all that makes Arrow of something, or something of Arrow: there pandas would be imported.
ARROW := tests/beside tests/mql/sources/test_tables.py tests/publish_agent/drain tests/publish_agent/protocol tests/source_jobs/query
# What an agent is weighed beside.
AGENTS := 'sentry-sdk>=2' 'ddtrace>=3' 'opentelemetry-sdk>=1.30' 'opentelemetry-exporter-otlp-proto-http>=1.30'
TARGETS := parser wire payload events agent job client

.PHONY: demo demo-live test check format grammar lint types imports tests browser screenshots properties
.PHONY: tidy wheels greenlets lifecycle servers exits simulate chains faults crowds soak fuzz fuzz-frames sanitize audit bench bench-files bench-live bench-budget bench-estimates bench-publish
.PHONY: bench-quick bench-job bench-peers bench-service bench-agent
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
	$(BIN)/python -m mql.language.grammar

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

tidy: $(READY) ## the largest files and functions
	@$(BIN)/python -m tests.project.tidy

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

tests: $(READY) browser
	$(BIN)/python -m pytest -m "not alone" $(BESIDE) tests mql publish_agent source_jobs cli
	$(BIN)/python -m pytest -m alone tests
	$(BIN)/python -m benchmarks.quick
	MQL_EXAMPLES=20 $(WITHOUT_PANDAS) -m pytest -m "not alone" $(BESIDE) $(ARROW)
	$(WITHOUT_PANDAS) -m benchmarks.quick --only job

browser: ## Chromium, for the tests of the page: installed here by root on Debian and Ubuntu, skipped elsewhere
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests of the page (once) …"; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
			|| echo "Chromium could not be installed: the tests of the page will be skipped" >&2; \
	else echo "No Chromium here: the tests of the page will be skipped (apt-get install chromium)" >&2; fi

screenshots: $(READY) browser ## a picture of each view of the page, of the demo's services, in build/screenshots
	@$(BIN)/python -m examples.screenshots

properties: $(READY) ## the generated tests with EXAMPLES=2000 each, a hundred times as many or forty; an hour
	MQL_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest $(GENERATED) --timeout 3600

fuzz: $(READY) ## fuzz each target (SECONDS=60 each, TARGETS='parser job'), led by coverage; hostile events, 600
	$(BIN)/pip install --quiet 'atheris>=3,<4'
	for target in $(TARGETS); do $(BIN)/python -m tests.fuzz $$target --seconds $(SECONDS_EACH) || exit 1; done
	$(BIN)/python -m tests.fuzz hostile --seconds $(or $(SECONDS),600)

fuzz-frames: $(READY) ## throw COUNT=1000000 random and mutated frames at agent and source job
	$(BIN)/python -m tests.fuzz frames --count $(or $(COUNT),1000000)

sanitize: $(READY) ## all tests of what is compiled, built by gcc with sanitizers of addresses and undefined behaviour
	$(BIN)/python -m tests.native.sanitizer

wheels: $(READY) ## an sdist and a wheel for each platform, in dist/, their tags checked; a minute
	$(BIN)/pip install --quiet 'auditwheel>=6,<7'
	$(BIN)/python -m tests.project.wheels dist

audit: $(READY) ## ask for known vulnerabilities of what is locked; says so where there is nobody to ask
	$(BIN)/python -m tests.project.audit

greenlets: $(READY) ## real programs under gevent and eventlet, 1,000 requests each; two minutes
	MQL_REQUESTS=$(or $(REQUESTS),1000) $(BIN)/python -m pytest tests/greenlets

lifecycle: servers ## servers, pools and scripts that end by SIGTERM: the last requests of each are in the answer; two minutes
	MQL_LIFECYCLE=1 $(BIN)/python -m pytest tests/lifecycle
	MQL_SECONDS=5 $(BIN)/python -m pytest tests/live/test_hello.py

servers: $(READY) ## install the servers and frameworks of `make lifecycle` that development does not need
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group servers

exits: $(READY) ## COUNT=300 processes that end while a thread of ours is in the middle of C++
	MQL_EXITS=$(or $(COUNT),300) $(BIN)/python -m pytest tests/mql/host/test_native_threads.py

simulate: $(READY) ## agents, source jobs and clients over a network that goes wrong, SEEDS times
	$(BIN)/python -m tests.simulator --seeds $(SEEDS) --jobs 2

chains: $(READY) ## source jobs one after another, killed, stopped and cut off at random, SEEDS times
	$(BIN)/python -m tests.source_jobs.sources.chain_search --seeds $(SEEDS)

faults: $(READY) ## 20 services, their source job and clients, killed, stopped, cut off; a quarter of an hour
	$(BIN)/python -m tests.faults

crowds: $(READY) ## over HTTP 1,600 connections that say nothing, 20,000 queries, 60 of the longest texts; windows of 200,000 groups; some minutes
	MQL_CONNECTIONS=$(or $(CONNECTIONS),1600) $(BIN)/python -m pytest tests/source_jobs/api/test_crowds.py
	MQL_QUERIES=$(or $(QUERIES),20000) $(BIN)/python -m pytest tests/source_jobs/api/test_memory.py
	MQL_TEXTS=$(or $(TEXTS),60) $(BIN)/python -m pytest tests/source_jobs/api/test_planning.py
	MQL_STALLS=1 $(BIN)/python -m pytest tests/hostile/test_stalls.py

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

bench-estimates: $(READY) ## how often stated errors hold, for all kinds of values, rates and groups; two minutes
	@$(BIN)/python -m benchmarks.estimates

bench-budget: $(READY) ## what an agent costs its host while a query wants all of 200,000 events a second
	$(BIN)/python -m benchmarks.live.budget

bench-peers: $(READY) ## the same questions of the same events asked of Bytewax, streamz, polars, DuckDB and a loop
	@$(BIN)/python -m benchmarks.peers

bench-service: $(READY) ## what an agent does to its service's latency, and holds for 10,000 subscriptions
	@$(BIN)/python -m benchmarks.live.service

bench-agent: $(READY) ## what an agent weighs, beside sentry-sdk, ddtrace and the OpenTelemetry SDK, in build/weight
	@test -x build/weight/bin/python || $(PYTHON) -m venv build/weight
	@build/weight/bin/pip install --quiet --disable-pip-version-check $(AGENTS) 2>/dev/null \
		|| echo "The others cannot be installed here: those that are missing are left out" >&2
	@$(BIN)/python -m benchmarks.weight

peers: $(READY) ## install the tools that bench-peers compares with and development does not need
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group peers

lock: $(READY) ## pin the development environment anew, from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --upgrade --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --quiet --output-file requirements-dev.lock

clean: ## remove what the commands above made
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(READY): requirements-dev.lock pyproject.toml hatch_build.py $(wildcard mql/*/*.[ch] publish_agent/capture/native/*.[ch])
	@$(PYTHON) -m venv $(VENV) || { \
		echo "A virtual environment could not be made. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }
	@echo "Installing the pinned environment into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
