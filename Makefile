# Docstream: everything a person or a machine runs. `make help` lists it.

SHELL   := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -ldflags "-X main.version=$(VERSION)"
SAMPLES := $(if $(DOCSTREAM_SAMPLES),$(abspath $(DOCSTREAM_SAMPLES)),$(wildcard $(abspath ../shared/samples)))
CACHE   := $(if $(DOCSTREAM_CACHE),$(DOCSTREAM_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/docstream)
DATA    ?= $(if $(XDG_DATA_HOME),$(XDG_DATA_HOME),$(HOME)/.local/share)/docstream
PYTHON  ?= python3

export DOCSTREAM_CACHE := $(CACHE)

.DEFAULT_GOAL := help
.PHONY: help run test test-notifications test-replay chaos crashes outages build parts clients lint generate release-schemas bench bench-kafka bench-gateway bench-view bench-engine bench-documents test-replicas cluster secrets clean needs needs-go needs-fetch bin/docstream bin/docstream-parts

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo "  make run FILE=path  submits that document instead of the bundled scan; DATA=folder keeps the service elsewhere"

run: parts build ## run everything on this machine and try a document (Ctrl-C stops it)
	@exec bin/docstream dev --data "$(DATA)" --try$(if $(FILE),="$(FILE)")

build: bin/docstream bin/docstream-parts ## build bin/docstream and bin/docstream-parts

bin/docstream: needs-go
	@test -x $@ || echo "building $@ ..."
	@go build $(LDFLAGS) -o $@ ./cmd/docstream

bin/docstream-parts: needs-go
	@test -x $@ || echo "building $@ ... (the first build of the embedded parts takes some minutes)"
	@cd ops/dev && go build -o ../../$@ .

parts: needs-fetch ## fetch models, libraries and embedded ClickHouse, verified by hash (about 280 MB, once)
	@$(PYTHON) ops/parts/fetch.py

test: parts build ## run all tests; sets itself up; DOCSTREAM_SAMPLES adds real documents
	@$(PYTHON) ops/parts/fetch.py --only moto
	$(PYTHON) ops/parts/fetch_test.py
	cd ops/prometheus && go test ./...
	cd ops/cluster && go test ./...
	cd ops/dev && DOCSTREAM_SAMPLES="$(SAMPLES)" go test -timeout 20m ./...
	DOCSTREAM_SAMPLES="$(SAMPLES)" go test -timeout 45m ./...

test-notifications: parts build ## 10,000 S3 notifications from SQS and from Kafka, under kill -9
	@$(PYTHON) ops/parts/fetch.py --only moto
	DOCSTREAM_TEST_NOTIFICATIONS=10000 go test -count=1 -timeout 30m ./connectors/s3 -run Killed -v

test-replay: parts build ## 1,000 documents run again, twice, under kill -9
	DOCSTREAM_TEST_REPLAY_JOBS=1000 go test -count=1 -timeout 30m ./internal/e2e -run TestJobsAreReplayed -v

chaos: parts build ## 500 documents, 20 seeds, on the embedded broker, one Kafka broker and three, under kill -9; SEED=n BROKERS=embedded|1|3 runs one again
	@$(PYTHON) ops/parts/fetch.py --only kafka
	SEED="$(SEED)" BROKERS="$(BROKERS)" ops/dev/chaos.sh

crashes: parts build ## end processes between every two steps of their work, checked by docstream verify
	DOCSTREAM_TEST_ROUNDS=100 DOCSTREAM_TEST_SEED=$(SEED) go test -count=1 -timeout 60m ./internal/e2e -run TestACrashBetweenAnyTwoSteps -v

outages: parts build ## take away what the service stands on, each for OUTAGE (30s), checked by docstream verify
	DOCSTREAM_TEST_OUTAGE=$(or $(OUTAGE),30s) go test -count=1 -timeout 60m ./internal/e2e -run TestWhatIsAwayIsWaitedFor -v

test-replicas: parts build ## three gateways behind nginx for LONG (2m), killed and restarted under a mixed load
	DOCSTREAM_TEST_REPLICAS=$(or $(LONG),2m) go test -count=1 -timeout 60m ./internal/e2e -run TestThreeReplicasAreOne -v

clients: needs ## generate clients of the REST API for Go, Python and TypeScript into .build/clients
	@gateway/clients/generated/generate.sh .build/clients

lint: needs-go ## vet, formatting, and staticcheck where it is pinned
	go vet ./...
	cd ops/dev && go vet ./...
	cd ops/prometheus && go vet ./...
	cd ops/cluster && go vet ./...
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }
	@if go tool -n staticcheck >/dev/null 2>&1; then go tool staticcheck ./...; fi

generate: needs-go ## make generated files anew
	go generate ./...
	go run ./ops/docs/reference ops/docs/reference.md

release-schemas: ## keep the schemas of today, and the log of this build, as released, if they differ from the newest release
	@n=$$(ls schemas/released | grep -E '^[0-9]+$$' | sort -n | tail -1); \
	if diff -q <(cat schemas/*.avsc) <(cat schemas/released/$$n/*.avsc) >/dev/null; then echo "nothing changed since release $$n"; else \
	mkdir schemas/released/$$((n+1)) && cp schemas/*.avsc schemas/released/$$((n+1))/ && go test -count=1 ./processors/track -run TestTheLogsOfReleased -args -record $$((n+1)) && echo "released as $$((n+1))"; fi

cluster: build ## run the services of docker-compose.kafka.yml as processes here, and the suite on them (KEEP=1 stays up)
	@$(PYTHON) ops/parts/fetch.py --with kafka --with apicurio
	@cd ops/cluster && go build -o ../../bin/docstream-cluster .
	@DOCSTREAM_SAMPLES="$(SAMPLES)" bin/docstream-cluster$(if $(KEEP), --keep)$(if $(RUN), --run "$(RUN)")

secrets: ## write .env with fresh secrets for docker-compose.kafka.yml
	@ops/docker/secrets.sh .env

bench: build ## measure 50 scanned pages through the engine and through a service that runs in DATA
	bin/docstream bench e2e --data "$(DATA)" --pages 50 --pairs 3

bench-kafka: build ## the same on Apache Kafka, in new folders: 200 scanned pages, the broker's CPU time beside (BENCH="replay --events 100000 --count" measures that)
	@$(PYTHON) ops/parts/fetch.py --only kafka
	@ops/bench/kafka.sh $(or $(BENCH),e2e --pages 200 --pairs 3)

bench-gateway: build ## measure a gateway beside what it stands on, with the service that runs in DATA (pip, 10 MB, once; redis-server)
	@test -x "$(CACHE)/lookup-peer/bin/python" || $(PYTHON) -m venv "$(CACHE)/lookup-peer"
	@"$(CACHE)/lookup-peer/bin/python" -m pip install --quiet --no-deps --require-hashes --only-binary=:all: -r ops/bench/lookup-requirements.txt
	@mkdir -p .build
	@set -o pipefail; bin/docstream bench gateway --data "$(DATA)" --python "$(CACHE)/lookup-peer/bin/python" | tee .build/bench-gateway.txt

bench-view: needs-go ## a gateway's view of a million jobs (JOBS=n) on Apache Kafka: DOCSTREAM_TEST_KAFKA says where, ops/dev/kafka.sh starts one
	@test -n "$$DOCSTREAM_TEST_KAFKA" || { echo "set DOCSTREAM_TEST_KAFKA to the brokers: KAFKA_HEAP=1g ops/dev/kafka.sh start; ops/dev/kafka.sh brokers"; exit 1; }
	DOCSTREAM_TEST_VIEW_JOBS=$(or $(JOBS),1000000) go test -count=1 -timeout 30m ./gateway/view -run TestManyJobsAreHeldAsFewAre -v

# Text PDFs of the samples: their text layer is the truth.
PAPER ?= $(addprefix $(SAMPLES)/,federal-register-15p.pdf tax-manual-400p.pdf repair-estimate-3p.pdf invoice.pdf background-checks-table.pdf)

bench-engine: build parts ## compare our reading with tesseract's, rapidocr's and faster-paddle's (pip, 180 MB, once) on pages of the samples; DURING=20m does a part, the next run goes on
	@command -v tesseract >/dev/null || { echo "tesseract is missing: install tesseract-ocr (Debian's name)"; exit 1; }
	@test -n "$(SAMPLES)" || { echo "set DOCSTREAM_SAMPLES to the folder of sample documents"; exit 1; }
	@test -x "$(CACHE)/peers/bin/python" || $(PYTHON) -m venv "$(CACHE)/peers"
	@"$(CACHE)/peers/bin/python" -m pip install --quiet --no-deps --require-hashes --only-binary=:all: -r ops/bench/peers-requirements.txt
	bin/docstream bench ocr --keep "$(CACHE)/bench-ocr" --python "$(CACHE)/peers/bin/python"$(if $(DURING), --during $(DURING)) $(PAPER)

# What the expected files of the samples are of, and the text PDFs.
DOCUMENTS ?= $(addprefix $(SAMPLES)/,retail-receipt.pdf rich-tables.html word-tables.docx poems.epub invoice.pdf federal-register-15p.pdf tax-manual-400p.pdf)

bench-documents: build parts ## compare our conversion of documents with markitdown's, pymupdf4llm's, kreuzberg's and Tika's (pip, Maven, 400 MB, once)
	@test -n "$(SAMPLES)" || { echo "set DOCSTREAM_SAMPLES to the folder of sample documents"; exit 1; }
	@test -x "$(CACHE)/document-peers/bin/python" || $(PYTHON) -m venv "$(CACHE)/document-peers"
	@"$(CACHE)/document-peers/bin/python" -m pip install --quiet --no-deps --require-hashes --only-binary=:all: -r ops/bench/document-peers-requirements.txt
	@test -d "$(CACHE)/tika" || mvn -q -B -f ops/bench/tika/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$(CACHE)/tika"
	bin/docstream bench documents --keep "$(CACHE)/bench-documents" --python "$(CACHE)/document-peers/bin/python" --tika "$(CACHE)/tika" $(DOCUMENTS)

clean: ## remove what was built; caches and data stay
	rm -rf bin .build

needs: needs-go needs-fetch

needs-go:
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer, see https://go.dev/dl"; exit 1; }
	@command -v $${CC:-gcc} >/dev/null || { echo "a C compiler is missing: install gcc (package build-essential on Debian)"; exit 1; }

needs-fetch:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.9 or newer (package python3 on Debian)"; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "pip is missing: install it for $(PYTHON) (package python3-pip on Debian)"; exit 1; }
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js, which brings npm (package npm on Debian)"; exit 1; }
