# The front door. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO := cargo
TENREC := target/release/tenrec
# ONCE=1: `make demo` checks every step and ends by itself.
ONCE ?=
# Two jobs of rustc hold about 3 GiB; more than the machine has would only swap.
export CARGO_TERM_PROGRESS_WHEN ?= auto

.PHONY: help setup ebpf build demo test test-unit test-live peers lint fuzz bench soak iso iso-test conformance clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need (says what, asks nothing)
	@.ci/setup

ebpf: setup ## build the XDP programs
	@ebpf/build

# Release binaries go into an image: paths of this machine in their messages are replaced by short ones, the longest first.
CRATES = $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
RUST_SOURCES = $(shell rustc --print sysroot)/lib/rustlib/src/rust
build iso iso-test: export CARGO_ENCODED_RUSTFLAGS = $(shell printf -- '--remap-path-prefix=%s=/crates\037--remap-path-prefix=%s=/rustc\037--remap-path-prefix=%s=/tenrec' '$(CRATES)' '$(RUST_SOURCES)' '$(CURDIR)')
build iso iso-test: export CFLAGS = -ffile-prefix-map=$(CRATES)=/crates -ffile-prefix-map=$(CURDIR)=/tenrec
build: ebpf ## build the release binaries
	$(CARGO) build --release --locked --bins

demo: build ## run the whole chain on real traffic; ONCE=1 checks it and ends
	@sensor/demo/run $(if $(ONCE),--once)

test: lint test-unit test-live peers ## set up, then run all tests and the demo once
	@$(MAKE) --no-print-directory demo ONCE=1

lint: ebpf ## formatting and clippy, warnings forbidden
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

test-unit: ebpf ## tests that need no privileges
	$(CARGO) test --locked --workspace

test-live: ebpf ## tests on interfaces in namespaces of their own; need root and BPF
	@echo 'live tests ran with the others above: they skip themselves with a line where root or BPF is missing'

peers: ebpf ## delivery and collector against OpenSearch's client and other people's Lumberjack, from PyPI
	@sensor/peers/run

conformance: build ## how many of the peers' expected logs are met; the same captures over a wire give the same rows
	@python3 "$${CONFORMANCE:-../shared/conformance}/tools/score.py" $(TENREC) --only zeek
	@python3 "$${CONFORMANCE:-../shared/conformance}/tools/score.py" $(TENREC) --only arkime
	@TENREC=$(TENREC) sensor/bench/replay "$${CONFORMANCE:-../shared/conformance}"

bench: build ## speed beside tcpdump, and beside Suricata and Zeek where they are installed
	@sensor/bench/run
	@$(CARGO) bench --locked -p forward --bench delivery
	@$(CARGO) bench --locked -p tenrec --bench live

soak: ebpf ## bad days for hours: hundreds of kills, full disks, a day without a collector; prints what went in, came, came twice
	@sensor/bench/soak

iso: build ## build the appliance image in out/; TWICE=1 builds it again and compares
	@.ci/setup image/packages
	@target/release/image iso $(if $(TWICE),--twice)

iso-test: ## boot the appliance image and use it; QUICK=1 for what CI runs
	@iso-tests/setup
	$(CARGO) run --release --locked -p iso-tests -- $(if $(QUICK),--quick)

clean: ## remove what was built
	$(CARGO) clean
	rm -rf ebpf/target out
