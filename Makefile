# Every target first installs what it needs into .venv, from the hashed locks.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
TEST_ENV := SECRET_KEY=check S3_BUCKET=check NOVITA_API_KEY=check DATABASE_URL=sqlite://:memory: DJANGO_SETTINGS_MODULE=seedance_service.settings

.PHONY: help run demo test abuse story postgres races faults kills bench peers profile browser openapi docs contract check lock clean

help:  ## print this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/run.stamp  ## start everything on this machine; Ctrl-C stops it
	@exec $(PY) deploy/run.py

demo: .venv/run.stamp  ## make one video from the shipped image, into var/
	@exec $(PY) deploy/run.py --demo

test: .venv/dev.stamp  ## run the tests on SQLite, in two to three minutes on two cores
	@bash tests/run.sh

abuse: .venv/dev.stamp  ## run the tests of hostile input and hostile answers
	@bash tests/run.sh abuse

story: .venv/dev.stamp tests/sdk/node_modules/.stamp  ## run the tests with the real processes and both SDKs
	@bash tests/run.sh story

postgres: .venv/dev.stamp  ## run the tests that use the database on PostgreSQL
	@bash tests/run.sh postgres

RACE_TRIALS ?= 50

races: .venv/dev.stamp  ## race the admission: 100 callers in four processes, on both databases (RACE_TRIALS=50)
	@RACE_TRIALS=$(RACE_TRIALS) $(PY) -m pytest -q tests/races

MINUTES ?= 5
LEAST ?= 20

faults: .venv/dev.stamp  ## inject faults into the whole service for MINUTES=5 on both databases, and print a report
	@$(PY) -m pytest -q -n 2 tests/faults
	@url=$$($(PY) -m tests.support.databases) && [ -z "$$url" ] || TEST_DATABASE_URL=$$url $(PY) -m pytest -q -n 2 --database-only tests/faults
	@$(PY) -m tests.faults --minutes $(MINUTES) --least $(LEAST)

KILLS ?= 10

kills: .venv/dev.stamp  ## kill each process of the worker KILLS=10 times under load
	@$(PY) -m tests.faults.kills --each $(KILLS)

ROWS ?= 1000000

bench: .venv/dev.stamp  ## measure speed, print a table and write it to benchmarks/RESULTS.md (ROWS=1000000)
	@$(MAKE) --no-print-directory var/peers/litellm/.stamp >&2 || echo "LiteLLM cannot be installed; the rest is measured." >&2
	@$(PY) -m tests.bench --rows $(ROWS)

peers: .venv/dev.stamp  ## measure creates, reads and polls beside LiteLLM, Django REST framework and django-q2
	@$(MAKE) --no-print-directory var/peers/litellm/.stamp >&2 || echo "LiteLLM cannot be installed; the rest is measured." >&2
	@$(PY) -m tests.bench --only peers

profile: .venv/dev.stamp  ## sample a create, a read and a poll, and print their dearest lines
	@$(PY) -m tests.bench.profile PostgreSQL && $(PY) -m tests.bench.profile SQLite

browser: .venv/dev.stamp  ## test the panel in a headless Chromium; screenshots go to var/screenshots
	@$(PY) -m pytest -q tests/browser

openapi: .venv/dev.stamp  ## write openapi.json from the code
	@$(TEST_ENV) $(PY) manage.py spectacular --format openapi-json --validate --fail-on-warn --file openapi.json

docs: .venv/dev.stamp  ## write the tables in docs/ (settings, error codes, actions, models) from the code
	@$(TEST_ENV) $(PY) manage.py write_docs

SECONDS ?= 110
SEED ?= 1

contract: .venv/dev.stamp tests/sdk/node_modules/.stamp var/contract/openapi-python-client/.stamp var/contract/ark-sdk/.stamp  ## test the running service with generated clients and Schemathesis (SECONDS=110 SEED=1)
	@$(PY) -m tests.contract --seconds $(SECONDS) --seed $(SEED)

check: .venv/dev.stamp  ## run everything that CI runs
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(TEST_ENV) $(PY) -m mypy
	@$(TEST_ENV) .venv/bin/lint-imports
	@$(TEST_ENV) $(PY) manage.py makemigrations --check --dry-run
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory abuse
	@$(MAKE) --no-print-directory postgres
	@$(MAKE) --no-print-directory story
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory contract SECONDS=30
	@$(MAKE) --no-print-directory races RACE_TRIALS=2
	@$(MAKE) --no-print-directory faults MINUTES=0.8 LEAST=1
	@$(MAKE) --no-print-directory kills KILLS=1

lock: .venv/dev.stamp  ## compile the locks from requirements/*.in
	cd requirements && for name in run dev; do ../.venv/bin/uv pip compile -q --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url $$name.in -o $$name.txt || exit 1; done
	cd tests/contract && for name in openapi-python-client ark-sdk; do ../../.venv/bin/uv pip compile -q --universal \
		--python-version 3.11 --generate-hashes --no-header --no-emit-index-url $$name.in -o $$name.txt || exit 1; done
	cd tests/bench && ../../.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url litellm.in -o litellm.txt

clean:  ## remove everything that was installed; var/ with all state stays
	rm -rf .venv tests/sdk/node_modules

.venv/bin/python:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	@[ -w . ] || { echo "This folder cannot be written by $$(id -un), so nothing can be installed into .venv."; exit 1; }
	@echo "Creating .venv ..."
	@python3 deploy/install.py --create .venv

.venv/run.stamp: requirements/run.txt | .venv/bin/python
	@echo "Installing requirements/run.txt into .venv; the first time this takes a minute or two."
	@$(PY) deploy/install.py requirements/run.txt
	@touch $@

# The generator of Python clients and the model maker's SDK have environments of their own: the service needs none of
# their dependencies. The SDK has 300 MB of modules, of which one is imported, so nothing is compiled beforehand.
var/contract/%/.stamp: tests/contract/%.txt | .venv/bin/python
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -q --no-compile --disable-pip-version-check --require-hashes -r $<
	@touch $@

# A peer of the bench has its own environment too.
var/peers/%/.stamp: tests/bench/%.txt | .venv/bin/python
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The tests of npm packages need node. They are skipped without node, and in CI a missing node is a failure.
tests/sdk/node_modules/.stamp: tests/sdk/package-lock.json
	@mkdir -p $(@D)
	@if command -v npm >/dev/null; then cd tests/sdk && npm ci --silent --ignore-scripts --no-audit --no-fund; fi
	@mkdir -p $(@D) && touch $@

.venv/dev.stamp: requirements/dev.txt | .venv/bin/python
	@echo "Installing requirements/dev.txt into .venv; the first time this takes a few minutes."
	@$(PY) deploy/install.py requirements/dev.txt
	@touch $@ .venv/run.stamp
