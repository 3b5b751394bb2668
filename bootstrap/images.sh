#!/bin/bash
# bootstrap/images.sh [--check]: builds the images whose inputs changed, in parallel, so that MinIO's long compilation
# holds up nothing. With --check it only lists them.
set -euo pipefail

check=${1:-}

# shellcheck source=bootstrap/image_builds.sh
. bootstrap/image_builds.sh

base=$(docker image inspect --format '{{.Id}}' debian:trixie-slim)
java=$(inputs "$base" services/jre)
python=$(inputs "$base" services/python)
go=$(inputs "$base" services/go)
node=$(inputs "$base" services/node)

minio() { build minio "$(inputs "$base" services/minio)" services/minio; }
postgres() { build postgres "$(inputs "$base" services/postgres)" services/postgres; }
kafka() { build kafka "$(inputs "$java" services/kafka)" services/kafka; }
schema_registry() { build schema-registry "$(inputs "$java" services/schema_registry)" services/schema_registry; }
iceberg_rest() { build iceberg-rest "$(inputs "$java" services/iceberg_rest)" services/iceberg_rest; }
flink() { build flink "$(inputs "$java" services/flink)" services/flink; }
host() { build host "$(inputs "$python" host)" host; }
generator() { build generator "$(inputs "$python" workloads/generator)" workloads/generator; }
flink_submit() {
    build flink-submit "$(inputs "$python" workloads/flink_submit sql/flink)" --file workloads/flink_submit/Dockerfile .
}
dbt_runner() {
    build dbt-runner "$(inputs "$python" workloads/dbt_runner sql/dbt)" --file workloads/dbt_runner/Dockerfile .
}
auditor() { build auditor "$(inputs "$go" workloads/auditor writers/go)" --file workloads/auditor/Dockerfile .; }
relay() { build relay "$(inputs "$go" relay)" relay; }

writer() { build "writer-$1" "$(inputs "$2" "writers/$1")" "writers/$1"; }

# Workloads added by `drayage new`, whose images need only their own folders.
added_workloads() {
    local folder
    for folder in workloads/*/; do
        folder=${folder%/}
        case ${folder#workloads/} in
            auditor | dbt_runner | flink_submit | generator) ;;
            *) build "${folder#workloads/}" "$(inputs "$base" "$folder")" "$folder" ;;
        esac
    done
}

java_images() {
    build jre-build "$java" --target build services/jre
    build jre "$java" services/jre
    together flink kafka iceberg_rest schema_registry
}
python_images() {
    build python-build "$python" --target build services/python
    build python "$python" services/python
    together host dbt_runner flink_submit generator
    # The writers' conformance programs are used only by the tests.
    [ -z "${DEVELOPMENT:-}" ] || writer python "$python"
}

go_images() {
    build go-build "$go" services/go
    together auditor relay
    [ -z "${DEVELOPMENT:-}" ] || writer go "$go"
}
node_images() {
    build node-build "$node" --target build services/node
    build node "$node" services/node
    writer node "$node"
}

together minio java_images python_images go_images postgres added_workloads
if [ -n "${DEVELOPMENT:-}" ]; then
    writer shell "$base"
    together node_images "writer java $java"
fi
