# `make test` and `make demo` do everything from a bare Debian 12 with Swift. `make help` lists the rest.
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

SWIFT ?= swift
# The adapters are traits, off in a plain build; here everything is built and tested.
TRAITS ?= --enable-all-traits
FILTER ?=
ARGS ?=

# Warnings in this package are errors, save that a dependency may deprecate what we call.
STRICT := -Xswiftc -warnings-as-errors -Xswiftc -Wwarning -Xswiftc DeprecatedDeclaration
# One after the other: all at once, a test's turn can be minutes away on two cores, and leases run out meanwhile.
TEST := $(SWIFT) test --disable-xctest --no-parallel $(TRAITS) $(if $(FILTER),--filter $(FILTER))
SOURCES := find Package.swift Sources Tests Tools Benchmarks Docs/Examples -name '*.swift' -not -path '*/.build*'

.DEFAULT_GOAL := help
.PHONY: help build test demo lint format bench peers tsan asan torture fixture clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 10

build: ## build the library and the tool, for release
	@Tools/scripts/setup
	$(SWIFT) build -c release $(TRAITS)

test: ## set up, lint, build without a warning, and run every test (FILTER=regex for some)
	@Tools/scripts/setup
	@$(MAKE) lint
	$(SWIFT) build --build-tests $(TRAITS) $(STRICT)
	$(TEST) --skip-build

demo: ## set up, build, and show the log at work on a year of flights (ARGS="--help" for its options)
	@Tools/scripts/setup demo
	$(SWIFT) build -c release --product tidelog $(TRAITS)
	@TIDELOG="$$($(SWIFT) build -c release --show-bin-path)/tidelog" Tools/scripts/demo $(ARGS)

lint: ## check the format of the Swift sources
	@$(SOURCES) -print0 2>/dev/null | xargs -0 $(SWIFT) format lint --strict --parallel
	@echo "lint: the Swift sources are formatted"

format: ## format the Swift sources
	@$(SOURCES) -print0 2>/dev/null | xargs -0 $(SWIFT) format format --in-place --parallel

bench: ## build for release and measure (ARGS for `tidelog bench`)
	@Tools/scripts/setup
	$(SWIFT) build -c release --product tidelog $(TRAITS)
	@"$$($(SWIFT) build -c release --show-bin-path)/tidelog" bench $(ARGS)

peers: ## measure beside other stores and logs, in the same run (ARGS="--help" for its options)
	@Tools/scripts/setup
	$(SWIFT) build -c release --product tidelog $(TRAITS)
	@Benchmarks/run --tidelog "$$($(SWIFT) build -c release --show-bin-path)/tidelog" $(ARGS)

# What works on one thread, flipping each bit of a file for one, takes minutes in optimised code and hours without. All
# else stays as it is: in optimised code the sanitizer also sees an array being changed in place that another thread has
# let go of, and does not see the reference counts by which Swift's runtime orders the two.
STORAGE := 'TidelogStorageTests|ModelTests|CompatibilityTests'
TSAN := TSAN_OPTIONS=halt_on_error=1:atexit_sleep_ms=0:suppressions=$(CURDIR)/Tools/scripts/thread-sanitizer.txt \
    $(TEST) --sanitize=thread -Xswiftc -DTIDELOG_SANITIZE_THREAD

tsan: ## run the tests under Thread Sanitizer; the first report ends the run
	@Tools/scripts/setup
	$(if $(FILTER),,$(TSAN) --scratch-path .build-tsan-storage -Xswiftc -O --filter $(STORAGE))
	$(TSAN) --scratch-path .build-tsan $(if $(FILTER),,--skip $(STORAGE))

asan: ## run the tests under Address Sanitizer
	@Tools/scripts/setup
	ASAN_OPTIONS=detect_leaks=0 $(TEST) --scratch-path .build-asan --sanitize=address \
	    -Xswiftc -DTIDELOG_SANITIZE_ADDRESS -Xswiftc -O

torture: ## kill, stop, starve and damage logs for some hours (ARGS="--cycles 500 --seed 1")
	@Tools/scripts/setup
	$(SWIFT) build --build-tests $(TRAITS)
	time "$$($(SWIFT) build --show-bin-path)/torture" steps
	time "$$($(SWIFT) build --show-bin-path)/torture" campaign $(ARGS)
	time TIDELOG_DAMAGES=4000 $(TEST) --skip-build --filter 'ToolTests.(DamageTests|SavingTests)'
	time TIDELOG_SEED=$$RANDOM TIDELOG_RUNS=50 TIDELOG_OPERATIONS=2000 $(TEST) --skip-build --filter ModelTests

fixture: ## write the list of what the tests' log with something of everything holds
	$(SWIFT) build --product torture
	made=$$(mktemp -d) && "$$($(SWIFT) build --show-bin-path)/torture" fixture "$$made/1" \
	    && cp "$$made/1/events.ndjson" Tests/CompatibilityTests/Fixtures/Logs/1/ && rm -r "$$made"

clean: ## remove what was built and downloaded
	rm -rf .build .build-plain .build-tsan .build-tsan-storage .build-asan Benchmarks/.build
