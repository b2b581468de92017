# The one list of commands: people and CI run nothing else.
# On a bare Debian it takes a Rust toolchain, Python 3, make and gcc; everything else is installed on the way.

.DEFAULT_GOAL := help
.PHONY: help demo test fmt fmt-check lint build unit deny emulator chromium check-deploy proofs bench bench-quick fuzz differential pins vendor clean

export POSTERN_TEST_PYTHON := $(CURDIR)/.venv/bin/python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: ## build and run it here: two sample APIs, no AWS, no Docker (PORT=8080)
	@exec python3 tools/demo.py

test: ## everything that has to hold: format, lints, dependencies, deploy files, all tests
	@tools/test.sh

fmt: ## format the Rust code
	cargo fmt --all
	cargo fmt --manifest-path tests/fuzz/Cargo.toml

fmt-check:
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

lint: ## clippy, warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Binaries and tests in one go: built apart, cargo would unify features differently and compile much of the tree twice.
build: ## the binaries and the tests, as `make unit` runs them
	@# As `make demo` builds them first: the test that runs it shall not compile beside tests that look at a clock.
	cargo build --locked -p postern-router -p postern-syncer
	cargo build --workspace --bins --tests --locked

unit: build emulator chromium ## all Rust tests
	cargo test --workspace --locked --no-fail-fast

deny: ## licences, banned crates, sources, advisories
	tools/deny.sh

emulator: ## the S3 + DynamoDB emulator and the scripts' packages, in .venv
	@tools/venv.sh

chromium: ## a headless Chromium and a font, for the tests of the page
	@tools/chromium.sh

check-deploy: emulator ## docker-compose.yml, the ECS task definition, the IAM policies
	$(POSTERN_TEST_PYTHON) tools/check_deploy.py

# The long runs (kill -9, bit flips, reloads under load, 100 000 routes) shorten themselves unless this is set.
proofs: build emulator chromium ## the slow proofs at full length, optimised
	cargo build --workspace --bins --release --locked
	POSTERN_SLOW=1 cargo test --workspace --release --locked

# The router as the images ship it; POSTERN_BENCH_ROUTER=FILE measures a binary from elsewhere instead.
bench: ## measure beside nginx, HAProxy and Envoy (30 min): table, JSON and chart in bench/results
	@$(bench-binaries)
	python3 -B bench/run.py $(BENCH)

bench-quick: ## the same in three minutes, coarser, into .tools/bench/quick; BENCH="--only get-1k" for one
	@$(bench-binaries)
	python3 -B bench/run.py --quick --out .tools/bench/quick $(BENCH)

define bench-binaries
	set -e; cargo build --release --locked -p postern-bench; if [ -z "$$POSTERN_BENCH_ROUTER" ]; then \
	cargo build --profile ship --locked -p postern-router; cargo build --release --locked -p postern-syncer; fi
endef

fuzz: ## look for bytes that break the codec: each of five targets for 60 s (TARGET=path SECONDS=1800)
	@tools/fuzz.sh "$(TARGET)" "$(or $(SECONDS),60)"

differential: ## a million connections from a grammar, beside the strict oracle and hyper (COUNT=1000000 SEED=1)
	cargo run --manifest-path tests/fuzz/Cargo.toml --locked --release --target-dir target/fuzz/plain \
		--bin differential -- $(or $(COUNT),1000000) $(or $(SEED),1)

pins: emulator ## write the hashed Python pins anew from the *.in files
	@tools/pins.sh

vendor: ## bring the page's chart library anew, at its pin, and check it
	@tools/vendor.sh

clean: ## what builds and runs left behind
	cargo clean
	rm -rf .demo .tools .venv
