# Targets for people; `make` without a target lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

MONTH ?= 2024-01
EVENTS ?= 10000
SIZES ?= 100000 1000000
ROUNDS ?= 50
PEERS_ROUNDS ?= 3
CHAOS_ROUNDS ?= 20
HOSTILE_CONTAINERS ?= 200
# As it was typed: make would take the "$" of a folder's name for a variable of its own.
override DATA := $(value DATA)
export DATA
# The environment may forbid Python to write bytecode, as images often do: every process would then compile its imports
# for seconds.
unexport PYTHONDONTWRITEBYTECODE

# Environment file of the stack; the tests have their own stack, .env.test.
ENV_FILE ?= .env

COMPOSE := docker compose --env-file $(ENV_FILE)
LAUNCH = env DAGSTER_PORT=$$(sed -n 's/^DAGSTER_PORT=//p' $(ENV_FILE)) .venv/bin/python -m nyc_taxi.launch --month $(MONTH)
LAND = .venv/bin/python -m nyc_taxi.landing --environment-file $(ENV_FILE) -- "$$DATA"
# With DATA the month's file is wanted, never synthetic trips in its place.
SOURCE ?= $(if $(value DATA),file,file_or_synthetic)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	echo
	echo '  Variables: MONTH=2024-01 EVENTS=10000 ROUNDS=50 SIZES="100000 1000000" DATA=folder'
	echo '  DATA holds the TLC'"'"'s files, yellow_tripdata_YYYY-MM.parquet, .csv or .csv.gz; SOURCE=file, synthetic or file_or_synthetic'

# Before the services start: a folder that is missing or mistyped is said at once.
.PHONY: .named .folder
.named:
	@[ -n "$$DATA" ] || { echo 'Name the folder that holds the yellow_tripdata_ files: make land DATA=folder' >&2; exit 1; }
.folder:
	@[ -z "$$DATA" ] || [ -d "$$DATA" ] || { printf 'DATA=%s is not a folder: name the one that holds the yellow_tripdata_ files.\n' "$$DATA" >&2; exit 1; }

.PHONY: run
run: .folder up ## Set everything up, land DATA if it is given, run the pipeline for MONTH and show the result
	@[ -z "$$DATA" ] || $(LAND)
	$(LAUNCH) --source $(SOURCE) --events $(EVENTS)

.PHONY: land
land: .named .folder up ## Upload the monthly files of DATA that are new to the landing zone
	@$(LAND)

.PHONY: up
up: ## Set everything up and start the services
	@bootstrap/run $(ENV_FILE)
	bootstrap/services.sh $(ENV_FILE)

.PHONY: create-topics
create-topics: up ## Materialize the Kafka topics
	@$(LAUNCH) --select kafka_topics

.PHONY: generate
generate: .folder up ## Land DATA if it is given, and materialize the events of MONTH in Kafka
	@[ -z "$$DATA" ] || $(LAND)
	$(LAUNCH) --select generate_events --source $(SOURCE) --events $(EVENTS)

.PHONY: process
process: up ## Materialize bronze and silver of MONTH with Flink
	@$(LAUNCH) --select bronze/raw_trips,silver/cleaned_trips

.PHONY: dbt-build
dbt-build: up ## Materialize and test the marts of MONTH with dbt
	@$(LAUNCH) --select dbt_build

.PHONY: dagster-ui
dagster-ui: up ## Start everything and print the address of the UI
	@echo "Dagster: http://127.0.0.1:$$(sed -n 's/^DAGSTER_PORT=//p' $(ENV_FILE))"

.PHONY: benchmark
benchmark: up ## Time EVENTS three times, next to the old way and to bare steps, then SIZES; write JSON and pictures
	@DOCKER_BUILDKIT=1 docker build --quiet --tag drayage/benchmark-sql-client \
	    --secret "id=ca,src=$${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" benchmark/sql_client > /dev/null
	.venv/bin/python benchmark/pipeline.py --environment-file $(ENV_FILE) --events $(EVENTS) --sizes $(SIZES)

.PHONY: benchmark-runner
benchmark-runner: ## Time one step bare, with the stock client and with drayage, and write JSON
	@.venv/bin/python benchmark/runner.py

.PHONY: benchmark-scale
benchmark-scale: ## Time listing and sweeping with 100,000 attempts under one exchange root, and write JSON
	@.venv/bin/python benchmark/scale.py

.PHONY: benchmark-idle
benchmark-idle: ## Measure the processors that idle steps take, with 100 containers, and write JSON
	@.venv/bin/python benchmark/idle_steps.py

.PHONY: benchmark-peers
benchmark-peers: ## Time small steps beside Airflow and Dagster's default PEERS_ROUNDS times; write JSON and a picture
	@benchmark/peers/environments.sh
	.venv/bin/python benchmark/peer_rounds.py --rounds $(PEERS_ROUNDS)

.PHONY: dev
dev: up ## Run Dagster on this machine with SQLite, to work on the host's code
	@bootstrap/dev.sh $(ENV_FILE)

.PHONY: ps
ps: ## Show the services and the step containers
	@docker ps --all --filter "network=$$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' $(ENV_FILE))" --format 'table {{.Names}}\t{{.Status}}\t{{.Ports}}'

.PHONY: logs
logs: ## Follow the logs of all services, or of SERVICE
	@$(COMPOSE) logs --follow --tail 50 $(SERVICE)

.PHONY: down
down: ## Stop the services and keep the data
	@bootstrap/stop.sh $(ENV_FILE)

.PHONY: clean
clean: ## Stop the services and remove their data, after asking
	@read -r -p 'This removes all topics, tables, marts and runs of this stack. Type yes to continue: ' answer
	[ "$$answer" = yes ] || { echo 'Nothing was removed.'; exit 1; }
	bootstrap/stop.sh $(ENV_FILE) --volumes
	rm $(ENV_FILE)

.PHONY: test
test: ## Set up what the tests need, and run them; ENGINES=all runs those of other engines too
	@tests/run $(if $(ENGINES),--engine $(ENGINES))

.PHONY: soak
soak: ## Kill a host ROUNDS times, run HOSTILE_CONTAINERS attacks, kill parts of the stack CHAOS_ROUNDS times
	@mkdir -p .drayage
	bootstrap/programs.sh
	bootstrap/engine.sh
	bootstrap/base_image.sh
	DEVELOPMENT=1 bootstrap/python.sh
	SOAK_ROUNDS=$(ROUNDS) .venv/bin/python -m pytest tests/faults/test_crash.py
	tests/soak hostile --containers $(HOSTILE_CONTAINERS)
	CHAOS_ROUNDS=$(CHAOS_ROUNDS) tests/soak

.PHONY: conformance
conformance: ## Test every language's image against the workload contract, and update both tables of the results
	@DEVELOPMENT=1 bootstrap/run $(ENV_FILE)
	.venv/bin/drayage conform --table docs/conformance.md --table README.md $(patsubst writers/%/Dockerfile,drayage/writer-%,$(sort $(wildcard writers/*/Dockerfile)))

# A stack of its own: with Kubernetes, Dagster is not among the services that compose starts.
kubernetes kubernetes-down: ENV_FILE = .env.kubernetes

.PHONY: kubernetes
kubernetes: .folder ## Run the pipeline for MONTH on a Kubernetes cluster in containers: Dagster and each step a pod
	@bootstrap/run $(ENV_FILE)
	deploy/kubernetes/up.sh $(ENV_FILE)
	[ -z "$$DATA" ] || $(LAND)
	$(LAUNCH) --source $(SOURCE) --events $(EVENTS)

.PHONY: kubernetes-down
kubernetes-down: ## Remove what `make kubernetes` started, with all data
	@deploy/kubernetes/down.sh $(ENV_FILE)

.PHONY: kubernetes-cluster
kubernetes-cluster: ## Build and start a Kubernetes cluster of two nodes in containers
	@mkdir -p .drayage
	bootstrap/programs.sh
	bootstrap/engine.sh
	bootstrap/base_image.sh
	bootstrap/plugins.sh
	deploy/kubernetes/cluster/up.sh

.PHONY: kubernetes-cluster-down
kubernetes-cluster-down: ## Remove the Kubernetes cluster
	@deploy/kubernetes/cluster/down.sh

.PHONY: docs
docs: ## Build the documentation site into site/, and fail on any warning
	@DEVELOPMENT=1 bootstrap/python.sh
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	echo "The documentation: file://$$PWD/site/index.html"

.PHONY: lint
lint: ## Check format, types, imports, SQL and shell scripts
	@DEVELOPMENT=1 bootstrap/python.sh
	tests/lint

.PHONY: fmt
fmt: ## Format Python and SQL
	@DEVELOPMENT=1 bootstrap/python.sh
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	.venv/bin/sqlfluff format sql

.PHONY: lock
lock: ## Compile the lock file of every project again
	@bootstrap/lock.sh
