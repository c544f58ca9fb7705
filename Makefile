# The contributor's table of contents: make help.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

GO ?= go
BIN := bin

# Tools are built from pinned versions into bin/, so that their dependencies stay out of go.mod. A new version here
# rebuilds the tool: its name holds the version.
BUF_VERSION := v1.75.0
GOLANGCI_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
GRPCURL_VERSION := v1.9.3
GEN_GO_VERSION := $(shell $(GO) list -m -f '{{.Version}}' google.golang.org/protobuf)
GEN_GO_GRPC_VERSION := v1.6.2
GEN_GATEWAY_VERSION := $(shell $(GO) list -m -f '{{.Version}}' github.com/grpc-ecosystem/grpc-gateway/v2)

# Maven is in no language's own registry but that of Java, as an archive.
MAVEN_VERSION := 3.9.11
MAVEN_SHA256 := 4b7195b6a4f5c81af4c0212677a32ee8143643401bc6e1e8412e6b06ea82beac
MAVEN := $(BIN)/apache-maven-$(MAVEN_VERSION)/bin/mvn

PYTHON := client/python/.venv/bin/python
PYTHON_TOOLS := client/python/.venv/installed

GENERATORS := $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc $(BIN)/protoc-gen-grpc-gateway $(BIN)/protoc-gen-openapiv2

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

##@ Daily work

.PHONY: build
build: ## Build deskbridge and deskctl into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -o $(BIN)/ ./server/cmd/deskbridge ./client/cmd/deskctl

.PHONY: run
run: build ## Start the bridge on its embedded default (ARGS="--flag …")
	exec $(BIN)/deskbridge $(ARGS)

.PHONY: test
test: ## Run all Go tests with the race detector
	$(GO) test -race -timeout 10m ./...
	$(GO) test -C deploy/monitoring ./...

.PHONY: check
check: check-format check-vet check-lint check-python check-typescript check-proto check-generate check-imports ## Everything that must be clean before a commit

.PHONY: generate
generate: $(BIN)/buf $(GENERATORS) generate-python generate-typescript ## Regenerate gen/ and the clients' code from proto/
	rm -rf gen
	$(BIN)/buf generate

.PHONY: generate-typescript
generate-typescript: $(BIN)/buf client/typescript/node_modules
	$(BIN)/buf generate --template client/typescript/buf.gen.yaml

.PHONY: test-typescript
test-typescript: client/typescript/node_modules ## Run the TypeScript client's own tests
	npm --prefix client/typescript test

# The generated code is part of the Python package: pip must be able to install it as it is.
.PHONY: generate-python
generate-python: export PATH := $(CURDIR)/client/python/.venv/bin:$(PATH)
generate-python: $(PYTHON_TOOLS)
	rm -f client/python/src/deskbridge/v1/*_pb2*
	python -m grpc_tools.protoc -I proto --python_out=client/python/src --mypy_out=quiet:client/python/src \
		proto/deskbridge/v1/*.proto
	python -m grpc_tools.protoc -I proto --grpc_python_out=client/python/src --mypy_grpc_out=quiet:client/python/src \
		proto/deskbridge/v1/{session_event,quarantine}_service.proto

.PHONY: test-python
test-python: $(PYTHON_TOOLS) build ## Run the Python client's own tests
	BRIDGE=$(BIN)/deskbridge $(PYTHON) -m pytest -q client/python/tests

# The programs that the conformance suite drives, and the examples. Each ecosystem's own tools fetch what it needs.
.PHONY: build-clients
build-clients: $(PYTHON_TOOLS) client/typescript/node_modules $(MAVEN) ## Build the clients of all languages, and test the Java one
	$(GO) build -o $(BIN)/conformance-go ./client/conformance/goclient
	$(GO) build -o $(BIN)/example-go ./examples/go
	$(GO) build -o $(BIN)/example-go-lowratings ./examples/go/lowratings
	npm --prefix client/typescript run build
	npm --prefix examples/typescript ci --no-audit --no-fund
	npm --prefix examples/typescript run build
	$(MAVEN) -q -B -f client/java/pom.xml package

CLIENTS ?= go,python,python-sync,typescript,java,java-listener
.PHONY: test-clients
test-clients: build-clients test-python test-typescript ## Hold the clients of all languages to one list of scenarios (CLIENTS=go,java)
	$(GO) test -C client/conformance -count 1 -tags clients -timeout 30m -parallel 6 -clients $(CLIENTS)

.PHONY: test-browser
test-browser: ## Read the event stream with a real browser; needs chromium
	$(GO) test -race -count 1 -timeout 5m -tags browser -run '^TestBrowser' ./server

.PHONY: test-rust
test-rust: ## Build the consumer in Rust and have it read from a bridge; needs protoc and, to do anything, cargo
	@if ! command -v cargo >/dev/null; then echo "skipped: cargo is not installed"; exit; fi; \
	$(GO) test -count 1 -timeout 15m -tags rust -run '^TestRustExample$$' ./server/cmd/deskbridge

.PHONY: test-newcomer
test-newcomer: ## Follow docs/operations.md from a bare clone, on the default ports
	deploy/newcomer.sh

KILLS ?= 100
CUTS ?= 20
SEED ?= 0
.PHONY: chaos
chaos: ## Kill the daemon and cut its power under load (KILLS=100 CUTS=20 SEED=0, 0 draws one)
	$(GO) test -count 1 -timeout 60m -v -run '^(TestChaos|TestPowerCut)$$' ./server/cmd/deskbridge \
		-chaos.kills $(KILLS) -chaos.cuts $(CUTS) -chaos.seed $(SEED)

DURATION ?= 10m
.PHONY: soak
soak: ## Run the daemon under load and see that nothing grows (DURATION=10m, behind some warm-up)
	$(GO) test -count 1 -timeout 90m -v -tags soak -run '^TestSoak$$' ./server/cmd/deskbridge -soak.duration $(DURATION)

.PHONY: bench
bench: ## Print the benchmarks' ratios and record them under bench/
	$(GO) build -o $(BIN)/bench ./bench && $(BIN)/bench

FUZZTIME ?= 1000000x
.PHONY: fuzz
fuzz: ## Run every fuzz target (FUZZTIME=1000000x)
	@$(GO) list ./... | while read -r package; do \
		dir=$$($(GO) list -f '{{.Dir}}' $$package); \
		{ grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go 2>/dev/null || true; } | cut -c6- | while read -r target; do \
			echo "== $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# govulncheck ends with 3 when it finds something. That its database can't be reached is no fault of the code: it is
# said, and not a failure, so that the target can be part of a run without a network.
.PHONY: vuln
vuln: $(BIN)/govulncheck ## Look for known vulnerabilities; needs govulncheck's database (GOVULNDB names a copy)
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; code=0; \
	$(BIN)/govulncheck ./... >"$$out" 2>&1 || code=$$?; cat "$$out"; \
	if [ $$code -ne 0 ] && grep -q '^govulncheck: fetching vulnerabilities' "$$out"; then \
		echo "vuln: NOT CHECKED, as the database can't be reached. That says nothing about the code."; code=0; \
	fi; exit $$code

##@ Parts of check

# Build tags of files that only some targets build: check reads all of them at once.
TAGS = $(shell git grep -hoP '^//go:build \K[a-z]+$$' -- '*.go' | sort -u | paste -sd,)

.PHONY: check-format
check-format: $(BIN)/golangci-lint $(BIN)/buf
	$(BIN)/golangci-lint fmt --diff
	$(BIN)/buf format --diff --exit-code

.PHONY: check-vet
check-vet:
	$(GO) vet -tags $(TAGS) ./...
	$(GO) mod tidy -diff
	$(GO) vet -C deploy/monitoring ./...
	$(GO) mod tidy -C deploy/monitoring -diff

.PHONY: check-lint
check-lint: $(BIN)/golangci-lint
	$(BIN)/golangci-lint run --build-tags $(TAGS)
	cd deploy/monitoring && $(CURDIR)/$(BIN)/golangci-lint run

.PHONY: check-proto
check-proto: $(BIN)/buf
	$(BIN)/buf lint

# What generate writes: each directory whole.
GENERATED := gen client/python/src/deskbridge/v1 client/typescript/src/gen

.PHONY: check-generate
check-generate: ## Show that the generated code is what proto/ says
	@old=$$(mktemp -d); trap 'rm -rf "$$old"' EXIT; tar -cf - $(GENERATED) | tar -xf - -C "$$old"; \
	$(MAKE) generate >/dev/null; \
	for dir in $(GENERATED); do diff -rq -x __pycache__ "$$old/$$dir" "$$dir" || \
		{ echo "$$dir is not up to date: it has been regenerated, commit it"; exit 1; }; done

.PHONY: check-typescript
check-typescript: client/typescript/node_modules
	npm --prefix client/typescript run lint

.PHONY: check-python
check-python: $(PYTHON_TOOLS)
	$(PYTHON) -m ruff check --config client/python/pyproject.toml client/python examples/python
	$(PYTHON) -m ruff format --check --config client/python/pyproject.toml client/python examples/python
	cd client/python && .venv/bin/python -m mypy

.PHONY: check-imports
check-imports: ## Hold the import rules
	$(GO) test -run '^TestImports$$' .

.PHONY: check-protoc
check-protoc: ## Compile the contract with plain protoc, proto/ alone on its path
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	protoc -I proto --descriptor_set_out="$$out/contract.binpb" --python_out="$$out" proto/deskbridge/v1/*.proto; \
	ls "$$out"/deskbridge/v1/ | sed 's/^/protoc wrote /'

##@ Tools

.PHONY: tools
tools: $(BIN)/buf $(BIN)/golangci-lint $(GENERATORS) ## Build the pinned tools into bin/

client/typescript/node_modules: client/typescript/package-lock.json
	npm --prefix client/typescript ci --no-audit --no-fund
	@touch $@

$(PYTHON_TOOLS): client/python/pyproject.toml
	python3 -m venv client/python/.venv
	$(PYTHON) -m pip install -q -e 'client/python[test]'
	@touch $@

$(MAVEN):
	@mkdir -p $(BIN)
	curl -sSfL --retry 3 -o $(BIN)/maven.tar.gz https://repo.maven.apache.org/maven2/org/apache/maven/apache-maven/$(MAVEN_VERSION)/apache-maven-$(MAVEN_VERSION)-bin.tar.gz
	echo "$(MAVEN_SHA256)  $(BIN)/maven.tar.gz" | sha256sum --check --quiet
	tar -xzf $(BIN)/maven.tar.gz -C $(BIN)
	@rm $(BIN)/maven.tar.gz

# tool <module path> <version>: a tool is rebuilt when its pinned version differs from the one noted beside it.
define tool
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install $(1)@$(2)
endef

$(BIN)/buf: Makefile
	$(call tool,github.com/bufbuild/buf/cmd/buf,$(BUF_VERSION))
$(BIN)/golangci-lint: Makefile
	$(call tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$(GOLANGCI_VERSION))
$(BIN)/govulncheck: Makefile
	$(call tool,golang.org/x/vuln/cmd/govulncheck,$(GOVULNCHECK_VERSION))
$(BIN)/grpcurl: Makefile
	$(call tool,github.com/fullstorydev/grpcurl/cmd/grpcurl,$(GRPCURL_VERSION))
$(BIN)/protoc-gen-go: go.mod
	$(call tool,google.golang.org/protobuf/cmd/protoc-gen-go,$(GEN_GO_VERSION))
$(BIN)/protoc-gen-go-grpc: Makefile
	$(call tool,google.golang.org/grpc/cmd/protoc-gen-go-grpc,$(GEN_GO_GRPC_VERSION))
$(BIN)/protoc-gen-grpc-gateway: go.mod
	$(call tool,github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway,$(GEN_GATEWAY_VERSION))
$(BIN)/protoc-gen-openapiv2: go.mod
	$(call tool,github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2,$(GEN_GATEWAY_VERSION))
