# Two commands matter: `make demo` and `make test`. Both set up everything they need.

# One build folder for every checkout on this machine, so that a fresh clone builds in minutes.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gristmill/target
export CARGO_TERM_PROGRESS_WHEN ?= auto

.PHONY: help demo test test-web shots test-long mutants up down lint fmt gas generate setup

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: setup build ## Run one real job end to end: chain, scheduler, two nodes, payment.
	@$(STACK) demo

test: ## Run every test in every language; the last line counts them.
	@scripts/setup.sh --tests
	@cargo xtask test

test-web: ## Run the tests of the web alone: units, budget, and pages in a real browser.
	@scripts/setup.sh --tests
	@cargo xtask test --only web

test-long: ## Run what takes too long for each change: random campaigns and mutants.
	@scripts/setup.sh --tests
	cd contracts && FOUNDRY_FUZZ_RUNS=10000 FOUNDRY_INVARIANT_RUNS=500 FOUNDRY_INVARIANT_DEPTH=200 npm run --silent test
	cd contracts && npm run --silent mutants
	GRISTMILL_DIFFERENTIAL_SEEDS=1000 cargo test --locked -p gristmill-e2e --test differential contract
	cargo run --locked --quiet -p gristmill-sim -- --plants
	cargo run --locked --quiet -p gristmill-sim -- --seeds 1000000

mutants: ## Plant mistakes in the contract and see the tests catch each; writes docs/mutants.md.
	@scripts/setup.sh --tests
	@cd contracts && npm run --silent mutants

up: setup build ## Start a market on this machine, with its web, to play with.
	@npm --prefix web run --silent build
	@$(STACK) up

down: build ## Stop what `make up` started.
	@$(STACK) down

lint: ## Check formatting, lints, docs, generated files and forbidden imports.
	@scripts/setup.sh
	@scripts/lint.sh

fmt: ## Format everything.
	cargo fmt --all
	cd contracts && npm run --silent fmt

shots: ## Make the screenshots of the web again, on a market with real jobs; writes docs/screenshots.
	@scripts/setup.sh --tests
	@cargo build --locked --workspace --bins
	@cd web && npm run --silent build && npm run --silent shots

gas: ## Measure what a job costs on the chain; the last line is JSON.
	@scripts/setup.sh
	@cargo xtask gas

generate: ## Write every generated file again.
	cargo xtask generate

setup:
	@scripts/setup.sh

build:
	@echo "▸ Building (the first time takes several minutes)" >&2
	@cargo build --locked --workspace --bins

STACK = $(CARGO_TARGET_DIR)/debug/gristmill-xtask
