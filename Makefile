# make run     the demo: server, simulated providers, a phone in the browser
# make test    everything the tests need, then all tests
.PHONY: run serve test unit e2e lint web fmt openapi bench

run:
	scripts/web-build --if-possible
	cargo run --release --bin kabar -- demo

serve:
	scripts/web-build --if-possible
	cargo run --release --bin kabar -- serve

test: lint unit e2e

lint: web
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	npm run check --prefix web --silent

# The web app and the chat widget, which the next cargo build puts into the program.
web:
	scripts/web-build

# Unit, property and storage tests; the latter on SQLite and on a PostgreSQL cluster made for the run.
unit:
	scripts/test-setup
	scripts/postgres run cargo test --workspace --quiet

# The real binary over HTTP, the command line and a browser, and the simulator under real client libraries.
e2e: web
	scripts/test-setup
	cargo build --quiet --bin kabar --bin kabar-simulator
	target/debug/kabar openapi | diff -u api/openapi.json - \
		|| { echo "api/openapi.json differs from the code: run make openapi" >&2; exit 1; }
	target/test-venv/bin/pytest tests/simulator
	target/test-venv/bin/pytest -n 2 --dist loadfile -m "not faults" tests/e2e
	# Crashes and broken providers meet a queue only where nothing else takes the processors.
	target/test-venv/bin/pytest -m faults tests/e2e

fmt:
	cargo fmt --all

# The committed contract; tests fail when the code's differs.
openapi:
	cargo run --quiet --bin kabar -- openapi --output api/openapi.json

bench:
	bench/run
