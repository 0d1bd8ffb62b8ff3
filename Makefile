# `make up` runs everything, `make test` tests everything; both do their own set-up.

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -q --durations=15
QUICK := -m 'not vm and not browser and not slow and not nested and not long'
FAST := $(PYTEST) -n 2 --dist worksteal $(QUICK)
# One after the other: a machine without KVM wants both processors, and a time limit is a time limit.
REST := -m '(vm or browser or slow) and not long'
SLOW := $(PYTEST) $(REST)
# Thousands of tests of real processes share a busy machine. What fails there and passes by itself is
# named, to be mended, and stops nobody; what fails again fails.
ALONE := [ $$? = 1 ] && echo '!!! FAILED, and is run once more by itself. Mend it, also if it passes now:' \
  && $(PYTEST) -x -rA --show-capture=no --last-failed --last-failed-no-failures none

# Compiling our own code takes longer than starting it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up setup setup-test test test-fast test-nested test-long lint format bench docs lock agents clean

help: ## show this
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

up: setup ## set everything up and run it here; Ctrl-C stops it
	@exec .venv/bin/ona up

setup: ## only set up what `make up` needs
	@deploy/packages.sh up
	@deploy/environment.sh

setup-test:
	@deploy/packages.sh test
	@deploy/environment.sh
	@deploy/browser.sh
	@deploy/counterparts.sh

test: setup-test ## the tests, on real virtual machines and in a real browser; a change has to pass
	@$(FAST) || { $(ALONE) $(QUICK); }; fast=$$?; $(SLOW) || { $(ALONE) $(REST); }; slow=$$?; \
	  [ $$fast = 0 ] && [ $$slow = 0 ]

test-fast: setup-test ## the tests without virtual machines and browser
	@exec $(FAST)

test-nested: setup-test ## what wants a real Cloud Hypervisor; CLOUD_HYPERVISOR=/path names it
	@exec $(PYTHON) -m tests.nested

test-long: setup-test ## every way it can go wrong, with full counts; hours; ONLY="words" of names
	@exec $(PYTHON) -m tests.support.long $(ONLY)

lint: setup ## style, types, directions between packages
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format: setup ## put the code into its form
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench: setup-test ## measure; writes docs/benchmarks.md and tests/bench/results.json
	@deploy/packages.sh bench
	@deploy/peers.sh
	@exec $(PYTHON) -m tests.bench

docs: setup ## write the pages of docs/ that list what is in the code
	@$(PYTHON) -m tests.support.pages

lock: setup ## bring requirements.lock in line with pyproject.toml, and mitmproxy to compare with
	@uv=$$(command -v uv || echo .tools/uv/bin/uv); \
	  $$uv pip compile --quiet --universal --generate-hashes --no-header --group dev \
	  --python-version 3.11 pyproject.toml -o requirements.lock && \
	  echo 'mitmproxy>=11' | $$uv pip compile --quiet --universal --generate-hashes --no-header \
	  --python-version 3.11 - -o deploy/mitmproxy.txt

agents: setup ## bring the agents of the guest image to their newest versions
	@exec $(PYTHON) -m tests.support.pins

clean: ## remove environment and caches; never any data
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find adapters bot scheduler tests vmpool -name __pycache__ -type d -prune -exec rm -rf {} +
