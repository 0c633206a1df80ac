# Everything a developer runs. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo up down test e2e bench bench-full chaos fuzz audit generate

help: ## this list
	@awk -F ':.*## ' '/^[a-z].*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## show the operator at work, from a consent to a refreshed token, and clean up
	./tests/demo/run demo
up: ## start the demo's cluster, token server and operator, and leave them running
	./tests/demo/run up
down: ## stop what `make up` started
	./tests/demo/run down

test: ## formatting, lints, unit and integration tests (a real API server, real OAuth servers)
	./tests/run
e2e: ## the demo as a test; consents in a real Chromium; every grant against Keycloak; then image, chart and kustomization in a real cluster with a kubelet (needs root)
	./tests/demo/run check
	./tests/browser/run
	./tests/e2e/keycloak/run
	./tests/e2e/run

generate: ## write crds/ and docs/reference.md from the Rust types, the table of docs/catalog.md from deploy/catalog, and what comes of the chart
	cargo run --bin crdgen -- crds
	GENERATE=1 cargo test --test catalog page
	GENERATE=1 cargo test --test docs reference
	GENERATE=1 cargo test --test providers
	./tests/chart/run generate

chaos: ## the model in large bounds; a thousand kills, aimed at the exchange (CHAOS_KILLS, CHAOS_LANES, CHAOS_SEED), random specs (CHAOS_CHANGES), a herd (CHAOS_HERD)
	MODEL_BOUNDS=large CARGO_PROFILE_TEST_OPT_LEVEL=2 cargo test --lib credential::model -- --nocapture
	WINDOW_SAMPLES=$${WINDOW_SAMPLES:-1000} cargo test --test faults windows:: -- --nocapture
	CHAOS_KILLS=$${CHAOS_KILLS:-1000} CHAOS_LANES=$${CHAOS_LANES:-4} cargo test --test faults outside_the_window -- --nocapture
	CHAOS_CHANGES=$${CHAOS_CHANGES:-100} cargo test --test faults changes:: -- --nocapture
	CHAOS_HERD=$${CHAOS_HERD:-10000} cargo test --test faults a_herd -- --nocapture

bench: ## speed and memory, beside what the API server allows in the same run (twenty minutes on an idle machine); target/bench/*.json
	./benches/run usual
bench-full: ## what takes longer: 100,000 credentials, half an hour of steady state (more than an hour)
	./benches/run full
fuzz: ## hostile replies, paths, templates, URLs, keys and states, an hour a target (FUZZ_SECONDS), some of them (FUZZ_TARGETS)
	./fuzz/run
audit: ## cargo-deny over the crates; the image's content built twice and compared; two public scanners over the chart's objects; break each rule of src/credential in turn: the tests must notice (hours)
	./tests/audit/supply-chain
	./tests/audit/manifests
	./tests/audit/reproducible
	./tests/audit/run
