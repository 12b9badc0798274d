# What one does here, day by day. `make` lists it.

GO      ?= go
FUZZTIME ?= 50000x
SOAK     ?= 10m
BENCH    ?= -full
# Versions of the tools that are not part of go.mod: they are for people who
# work on the project, and what they depend on is no concern of the services.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0

# What scripts/cluster reads.
export OVERLAY COMPONENTS TAG REGISTRY REDIS_IMAGE DATA GATEWAYS APIS FRONTENDS LOAD

LINTER   := build/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
SERVICES := gateway api frontend playground

# Where the load scripts find a playground that runs. Their settings are
# variables, too: `make stress MAX_CLIENTS=200 TEST_DURATION=30`.
STATE ?= build/state.json
export STATE

.DELETE_ON_ERROR:
.PHONY: help run build test unit web types e2e prove soak mutate lint vuln bench microbench fuzz docs clean $(SERVICES:%=build/%)
.PHONY: k6 build/k6 smoke load-balancing stress chaos concurrent spike thundering-herd rollout redis-outage slow-client abuse crowd soak-load
.PHONY: images deploy undeploy scale cluster-test manifests observability preview tools observe drills drills-quick build/canary build/stack build/drill/playground

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run the whole system on http://localhost:8080
	$(GO) run ./services/playground

build: $(SERVICES:%=build/%) ## Build static binaries of all services into build/

# Go knows best what is out of date.
$(SERVICES:%=build/%):
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./services/$(@F)

test: ## Run every test: Go with the race detector, the page's modules, a real browser
	scripts/install-test-deps
	$(MAKE) unit web e2e

unit: ## Format, vet and the Go tests with the race detector
	scripts/check-format
	$(GO) vet ./...
	$(GO) test -race $$($(GO) list ./... | grep -v /services/proofs)
	$(GO) test -race -p 1 -timeout 30m ./services/proofs/... # whole systems: one after the other
	$(GO) test ./services/internal/nowait # which has other calls without the detector

web: web/node_modules/.package-lock.json ## The page's modules in Node
	cd web && npm test

types: web/node_modules/.package-lock.json ## The types in the comments of the page's modules
	cd web && npm run types

e2e: build/playground web/node_modules/.package-lock.json ## The page in a real browser against the real system
	cd web && PLAYGROUND='$(CURDIR)/build/playground' npm run e2e

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --ignore-scripts
	@touch $@

# Without the race detector: the services are the plain programs anyway, and
# thousands of clients have to fit beside them.
prove: ## Break every promise for minutes: kills, outages, lost messages, races, herds
	scripts/install-test-deps
	PROVE=full $(GO) test -count=1 -v -p 1 -timeout 60m ./services/proofs/...

soak: ## Mixed load for SOAK (10m): memory, goroutines and descriptors must stay flat
	scripts/install-test-deps
	SOAK=$(SOAK) $(GO) test -count=1 -v -timeout 24h -run '^TestSoak$$' ./services/proofs

mutate: ## Break each rule on purpose, in a copy: its fast tests must notice (MUTATE=-all: the proofs too)
	scripts/mutate $(MUTATE)

lint: $(LINTER) vuln ## Linters (import directions among them), stale generated files, known vulnerabilities
	scripts/check-format
	$(GO) vet ./...
	$(LINTER) run ./...
	$(GO) -C k6 vet ./...
	cd k6 && '$(CURDIR)/$(LINTER)' run ./...
	$(MAKE) types
	cd k8s && '$(CURDIR)/$(LINTER)' run --build-tags cluster ./...
	cd observability && $(GO) vet ./... && '$(CURDIR)/$(LINTER)' run ./...
	$(GO) -C observability run ./render -check
	$(GO) test -run '^(TestReadme|TestDocuments|TestDocumented|TestVectors)' ./services/internal/readme ./services/protocol

# Into a folder of its own, then to a name with the version: a rule that was
# interrupted, or another version, is never taken for this one.
$(LINTER):
	@mkdir -p build/bin/new
	GOBIN='$(CURDIR)/build/bin/new' $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv build/bin/new/golangci-lint $@

vuln: ## Known vulnerabilities in what the services use
	GO='$(GO)' scripts/check-vulnerabilities $(GOVULNCHECK_VERSION)

bench: ## Latency and throughput beside a Centrifuge server, all loads of docs/PERFORMANCE.md (BENCH=-quick: one, in a minute)
	scripts/install-test-deps
	$(GO) run ./bench/compare $(BENCH)

k6: build/k6 ## Build the load generator: k6 with the extension k6/x/pixel, into build/k6 (AGPL-3.0)

build/k6:
	CGO_ENABLED=0 $(GO) -C k6 build -trimpath -ldflags '-s -w' -o '$(CURDIR)/$@' .

# The scripts load the playground of the state file STATE where one runs, and
# start the shape of production where none does.
load-balancing: build/k6 build/playground ## 20 clients: which share each gateway has
	scripts/load $@

stress: build/k6 build/playground ## 100 clients, 5 replaced every second: latency, throughput, delivery
	scripts/load $@

chaos: build/k6 build/playground ## A gateway is killed every 15 s: who is affected, how soon they are back, what is lost
	scripts/load $@

concurrent: build/k6 build/playground ## 20 clients on 10 pixels: races, and whether all agree with the log
	scripts/load $@

spike: build/k6 build/playground ## From nobody to 500 clients within seconds
	scripts/load $@

thundering-herd: build/k6 build/playground ## All gateways are killed at once
	scripts/load $@

rollout: build/k6 build/playground ## Every gateway and api is replaced under load
	scripts/load $@

redis-outage: build/k6 build/playground ## Redis stands still, then is killed
	scripts/load $@

slow-client: build/k6 build/playground ## Some clients stop reading
	scripts/load $@

abuse: build/k6 build/playground ## Some clients send rubbish and floods
	scripts/load $@

crowd: build/k6 build/playground ## 5,000 clients: what they cost themselves
	scripts/load $@

smoke: build/k6 build/playground ## A moment of everything that a script does with single clients
	scripts/load $@

soak-load: build/k6 build/playground ## 50 clients for ten minutes; the proof of this kind is soak
	scripts/load soak

microbench: ## Codecs, grid, hub, replica and appends; BEFORE=FILE compares with an earlier run
	bench/microbenchmarks build/microbench.txt $(BEFORE)

fuzz: ## Run each fuzz target with FUZZTIME inputs (50000x)
	GO='$(GO)' scripts/fuzz $(FUZZTIME)

# Without an engine by default: OCI archives in build/images. IMAGES names some
# (gateway api frontend canary playground k6), TAG their version, LOAD whom to hand them.
images: ## Build the container images; LOAD=kind (docker, k3d, minikube, containerd) hands them to nodes, ENGINE=docker builds by an engine
ifdef ENGINE
	scripts/engine-images $(ENGINE) $(or $(TAG),v0.1.0) $(or $(IMAGES),gateway api frontend canary)
else
	$(GO) -C k8s run ./images $(if $(TAG),-version $(TAG)) $(IMAGES)
endif
	$(if $(LOAD),LOAD=$(LOAD) scripts/cluster load)

deploy: ## Deploy to the cluster of KUBECONFIG: OVERLAY=local (production), COMPONENTS='observability load', TAG, REGISTRY, REDIS_IMAGE
	scripts/cluster deploy

undeploy: ## Take it away again; the canvas stays unless DATA=delete
	scripts/cluster undeploy

scale: ## Scale the deployments: GATEWAYS=10 APIS=5 FRONTENDS=2
	scripts/cluster scale

cluster-test: ## Deploy, then break it on the cluster in every way: kills, rollouts, scaling, drains; report in build/reports
	scripts/cluster deploy
	$(GO) -C k8s test -tags cluster -count=1 -timeout 60m -v ./cluster $(if $(RUN),-run '$(RUN)')

manifests: ## Render every overlay and hold it to schemas and policies, without a cluster
	$(GO) -C k8s vet ./...
	$(GO) -C k8s vet -tags cluster ./...
	$(GO) -C k8s test ./...

docs: build/playground web/node_modules/.package-lock.json ## Make anew what is generated: the list of metrics, README's settings, the page's pictures, the golden vectors
	$(GO) test -run '^(TestReadme|TestMetricsPage)' ./services/internal/readme -update
	$(GO) test -run '^TestVectors$$' ./services/protocol -update
	PLAYGROUND='$(CURDIR)/build/playground' node scripts/pictures.mjs docs/pictures

observability: ## Render rules, their tests, dashboards and the kustomization from observability/alerts, and check all of it
	$(GO) -C observability run ./render
	$(GO) -C observability test ./...

preview: observability/preview/node_modules/.package-lock.json ## Dashboards drawn by Grafana's components on http://127.0.0.1:5173, from PROMETHEUS
	cd observability/preview && npm run dev

observability/preview/node_modules/.package-lock.json: observability/preview/package-lock.json
	cd observability/preview && npm ci --ignore-scripts
	@touch $@

# What watches the playground, from Go modules with pinned versions, one for
# each so that what they depend on never meets. Ten minutes on two processors,
# once. Prometheus without the discovery of clouds: it is half as large.
TOOLS := prometheus alertmanager collector jaeger victorialogs
build/tools/prometheus: TAGS := -tags remove_all_sd
build/tools/collector: $(wildcard observability/tools/collector/*.go)

tools: $(TOOLS:%=build/tools/%) ## Build Prometheus, Alertmanager, Collector, Jaeger and VictoriaLogs into build/tools (ten minutes, once)

$(TOOLS:%=build/tools/%): build/tools/%: observability/tools/%/go.mod
	cd observability/tools/$(@F) && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' $(TAGS) -o '$(CURDIR)/$@' $(if $(filter collector,$(@F)),.,tool)

build/canary build/stack:
	CGO_ENABLED=0 $(GO) -C observability build -trimpath -ldflags '-s -w' -o '$(CURDIR)/$@' ./$(@F)

observe: tools build/playground build/canary build/stack ## The shape of production and all that watches it, as processes: Prometheus, Alertmanager, traces, logs, canary
	scripts/install-test-deps watchers
	cd observability && ../build/stack

# As build/playground, with a switch by which a drill spoils a picture.
build/drill/playground:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -tags drill -o $@ ./services/playground

drills: tools build/drill/playground build/frontend build/canary ## Break everything that an alert watches, and see that the alert comes (half an hour; DRILLS=-run NAME for one)
	scripts/install-test-deps watchers
	cd observability && $(GO) run ./drills $(DRILLS)

drills-quick: build/drill/playground build/frontend build/canary ## Some drills, in two minutes, with the Prometheus and Alertmanager of the system where `make tools` was not run
	cd observability && $(GO) run ./drills -run 'processes|RedisDown' -report ../build/drills-quick

clean: ## Remove what was built and installed here
	rm -rf build web/node_modules observability/preview/node_modules
