# Every command of the project. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PORT ?= 8900
DATA ?=
FACES ?= 100000
MINUTES ?= 10
SEED ?= 1
SECONDS_EACH ?= 5
CONFIG ?= cluster-configs/lab.yaml

BUILD := swift build -c release --explicit-target-dependency-import-check error
# Newer than every source once the release build stands; CI's has warnings as errors, another build.
BUILT := .build/built$(if $(CI),-strict)
# Swift Testing only, which runs tests in parallel by itself; linked with the release build. `swift test` would build by
# itself, and with other flags: everything a second time, the dependencies too.
BUILD_TESTS := $(BUILD) --build-tests --disable-xctest
TEST := swift test -c release --disable-xctest --skip-build
# They wait for real sockets and processes, or have a request's deadline, and must not wait as well for a processor that
# computing tests use up: run by themselves.
WIRED := ControlPlaneTests|ClusterTransportTests
TIMED := CoordinatorTests|RekognitionAPITests|CopiesTests|PoolTests
FORMAT := swift format lint --strict --parallel --recursive Sources Tests Package.swift Benchmarks/Package.swift Benchmarks/Sources/*-bench
PYTHON := .runtime/venv/bin/python
ENGINE_BENCH := swift build -c release --package-path Benchmarks --product engine-bench

# $(call step,title,command): a heading, the command, and the time it took.
step = @printf '\n==> %s\n' '$(1)'; $(2); printf '<== %s: %d s\n' '$(1)' "$$SECONDS"

.PHONY: help deps build demo run stop cluster cluster-stop test check format soak chaos accuracy simulate simulate-equal loadtest loadtest-cluster loadtest-copies loadtest-moves loadtest-splits bench-transport bench-engine bench-engine-12m bench-bound bench-peers dist fresh clean

help: ## list the commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

deps: ## install what is missing: system packages, models, ONNX Runtime, Python's packages
	@scripts/deps.sh

build: deps $(BUILT) ## the release build of coordinator, shard-node, face-extractor and facectl

# Swift's own look at what is up to date builds Hummingbird again every time (half a minute), so make looks first.
$(BUILT): Package.swift $(shell find Sources -type f) | deps
	$(call step,release build,$(BUILD))
	@touch $@

demo: build ## enrol photos, search with one, find the search in the ledger; PORT=8900
	$(call step,demo,$(PYTHON) scripts/demo.py --port $(PORT))

run: build ## start the embedded server in the background; PORT=8900 DATA=.facet/data
	@scripts/serve.sh start --port $(PORT) --data '$(or $(DATA),.facet/data)'

stop: ## stop what `make run` or `make demo` left running
	@scripts/serve.sh stop

cluster: build ## start 3 etcd members, 4 shard-nodes and 2 coordinators; CONFIG=cluster-configs/lab.yaml DATA=DIR
	@scripts/cluster.sh start --config '$(CONFIG)' $(if $(DATA),--data '$(DATA)')

cluster-stop: ## stop what `make cluster` started, and nothing else
	@scripts/cluster.sh stop --config '$(CONFIG)' $(if $(DATA),--data '$(DATA)')

test: deps ## everything that CI runs
	$(call step,format,$(FORMAT))
	@$(MAKE) --no-print-directory $(BUILT)
	$(call step,build of the Swift tests,$(BUILD_TESTS))
	$(call step,Swift tests that compute,$(TEST) --skip '$(WIRED)|$(TIMED)')
	$(call step,Swift tests of requests,$(TEST) --filter '$(TIMED)')
	$(call step,Swift tests of wires and stores,$(TEST) --filter '$(WIRED)')
	$(call step,process tests,$(PYTHON) -m pytest Tests/ProcessTests)

check: ## format and tidy tests
	$(call step,format,$(FORMAT))
	$(call step,build of the Swift tests,$(BUILD_TESTS))
	$(call step,tidy tests,$(TEST) --filter TidyTests)

format: ## rewrite the sources as the format lint wants them
	@swift format --in-place --parallel --recursive Sources Tests Package.swift Benchmarks/Package.swift Benchmarks/Sources/*-bench

soak: build ## the long tests: 1,000,000 mutated frames and engine operations, 50,000 turned bits, 1,000 kills, 500 losses of power, 60 cuts, rot everywhere, 80 restarts, 10 min without etcd
	$(call step,build of the Swift tests,$(BUILD_TESTS))
	$(call step,fuzz,FACET_FUZZ=1000000 $(TEST) --filter FuzzTests)
	$(call step,engine beside its model,FACET_ENGINE_OPS=1000000 $(TEST) --filter EngineModelTests)
	$(call step,bits that turn and faces that are gone,FACET_FLIPS=50000 FACET_DELETED=1000000 $(TEST) --filter 'ShardRotTests|DeletedFacesTests')
	$(call step,soak,FACET_KILLS=1000 FACET_POWER_CUTS=400 FACET_SITE_CUTS=100 FACET_ROT_FLIPS=400 FACET_RESTARTS=10 \
		FACET_ETCD_AWAY=600 FACET_PARTITIONS=10 $(PYTHON) -m pytest Tests/ProcessTests \
		-k 'kill9 or power or partitions or rot or restart or without_etcd' --durations=5)

chaos: build ## a cluster under kills, stops and cuts while clients use it, and whether it kept its word; MINUTES=10 SEED=1
	$(call step,chaos,FACET_CHAOS_MINUTES=$(MINUTES) FACET_CHAOS_SEED=$(SEED) $(PYTHON) -m pytest Tests/ProcessTests \
		-k every_promise_is_kept)

simulate: ## the replication core in worlds that fail; SEEDS=2000 FIRST=1 MUTANT=none|all|NAME
	$(call step,build,swift build -c release --product simulate)
	$(call step,simulation,.build/release/simulate $(or $(SEEDS),2000) $(or $(FIRST),1) $(or $(MUTANT),none))

simulate-equal: ## equal seeds give equal traces, in the release and the debug build; SEEDS=500 FIRST=1
	$(call step,build,swift build -c release --product simulate)
	$(call step,debug build,swift build --scratch-path .build-debug --product simulate)
	$(call step,each twice in both,for build in .build/release .build-debug/debug; do \
		$$build/simulate equal $(or $(SEEDS),500) $(or $(FIRST),1); done | tee /dev/stderr | uniq | wc -l | grep -qx 1)

accuracy: build ## rank-1 on photos you bring; DATA=faces.tar
	@$(PYTHON) scripts/accuracy.py '$(DATA)'

loadtest: build ## what the path costs beside the extraction; FACES=100000
	$(call step,cost of the path,$(PYTHON) loadtests/path_cost.py --faces $(FACES))

loadtest-cluster: build ## what the cluster adds to a search over four shards; FACES=100000
	$(call step,cost of the cluster,$(PYTHON) loadtests/cluster_cost.py --faces $(FACES))

loadtest-copies: build ## what three copies of a shard cost an enrolment and a search, beside one
	$(call step,cost of copies,$(PYTHON) loadtests/copies_cost.py)

loadtest-moves: build ## how fast a copy is built on another node, beside disk and loopback; FACES=500000
	$(call step,cost of a move,$(PYTHON) loadtests/moves_cost.py --faces $(or $(FACES),500000))

loadtest-splits: build ## how long a shard takes no writes while it is split, beside the disk; FACES=200000
	$(call step,cost of a split,$(PYTHON) loadtests/split_cost.py --faces $(or $(FACES),200000))

bench-transport: deps ## what a call between two processes costs, beside HTTP; SECONDS_EACH=5
	$(call step,build,swift build -c release --package-path Benchmarks --product transport-bench)
	$(call step,transport,Benchmarks/.build/release/transport-bench $(SECONDS_EACH))

bench-engine: ## the search engine beside its bars and peers, 1 M faces; one part: ARGS='--faces 100000 --only kernels,store'
	$(call step,build,$(ENGINE_BENCH))
	$(call step,search engine,Benchmarks/.build/release/engine-bench $(ARGS))
ifeq ($(strip $(ARGS)),)
	$(call step,a shard,Benchmarks/.build/release/engine-bench --only shard --dimensions 512 --faces 200000)
	@$(MAKE) --no-print-directory bench-peers ARGS='--peers flat,ivf,rabitq,scann --probes 100'
endif

bench-engine-12m: ## 12 M faces as segments (29 GB of disk), searched by 2 threads; ARGS='--faces 200000'
	$(call step,build,$(ENGINE_BENCH))
	$(call step,segments,Benchmarks/.build/release/engine-bench --only stream --faces 12000000 --dimensions 512 \
		--directory .runtime/bench-segments $(ARGS))

bench-bound: ## the bound of the search by planes against 10^9 pairs, 512 dimensions; ARGS='--probes 100'
	$(call step,build,$(ENGINE_BENCH))
	$(call step,bound,Benchmarks/.build/release/engine-bench --only tails --dimensions 512 --probes 1000 $(ARGS))

bench-peers: ## the same vectors through nine peers; ARGS='--set hard|soft|real --peers flat,ivf' DATA=faces.npz (real)
	$(call step,build,$(ENGINE_BENCH))
	@test -x .runtime/peers/bin/python || python3 -m venv .runtime/peers
	@.runtime/peers/bin/pip install -q -r loadtests/peers/requirements.txt
	$(call step,peers,.runtime/peers/bin/python loadtests/peers/peers.py $(if $(DATA),--data '$(DATA)') $(ARGS))

dist: deps ## release binaries with the Swift runtime inside, packed as .build-dist/facet-VERSION-ARCH.tar.gz
	$(call step,release archive,scripts/dist.sh)

fresh: ## rehearse a newcomer's first `make demo` in a minimal Debian 12 (root, about 20 minutes)
	@scripts/fresh.sh

clean: stop cluster-stop ## remove what was built; keep what was downloaded and every data directory
	rm -rf .build .build-dist Benchmarks/.build
