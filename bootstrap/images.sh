#!/bin/bash
# bootstrap/images.sh [--check]: builds the images whose inputs changed, in parallel, so that MinIO's long compilation
# holds up nothing. With --check it only lists them.
set -euo pipefail

check=${1:-}

LOGS=.drayage/build
CA_BUNDLE=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [ ! -s "$CA_BUNDLE" ]; then
    echo "The images' builds need a bundle of CA certificates, but $CA_BUNDLE is missing or empty: set SSL_CERT_FILE to this machine's bundle, or install ca-certificates." >&2
    exit 1
fi
mkdir -p "$LOGS"
export DOCKER_BUILDKIT=1

# inputs PARENT_INPUTS PATH...: prints a checksum of an image's sources in the working tree and of its parents' inputs.
inputs() {
    local parents=$1
    shift
    {
        echo "$parents"
        # git's own path exclusion is not used: before about version 2.43 it can leave nothing of a folder of two levels.
        # A template's tests and README count, because the host's image writes them.
        git ls-files --cached --others --exclude-standard -z -- "$@" \
            | grep --null-data --invert-match -P '^(?!.*/templates/).*(\.md$|/tests/)' \
            | sort --zero-terminated --unique | xargs --null --no-run-if-empty sha256sum
    } | sha256sum | cut -c 1-16
}

# build IMAGE INPUTS ARGUMENT...: builds drayage/IMAGE unless it exists and was built from the same inputs.
build() {
    local image=drayage/$1 wanted=$2 log="$LOGS/$1.log" started=$EPOCHREALTIME
    shift 2
    if [ "$(docker image inspect --format '{{index .Config.Labels "drayage.inputs"}}' "$image" 2> /dev/null)" = "$wanted" ]; then
        return
    fi
    if [ "$check" = --check ]; then
        echo "  $image needs to be built"
        return
    fi
    echo "  building $image, log in $log"
    if ! docker build --progress plain --tag "$image" --label "drayage.inputs=$wanted" \
        --secret "id=ca,src=$CA_BUNDLE" "$@" > "$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "$image could not be built: the end of $log is above; to retry only this image: DOCKER_BUILDKIT=1 docker build --tag $image --secret id=ca,src=$CA_BUNDLE $*" >&2
        return 1
    fi
    printf '  %-44s %6.1f s\n' "built $image" "$(awk "BEGIN { print $EPOCHREALTIME - $started }")"
}

# together COMMAND...: runs the commands in parallel and fails if one of them fails.
together() {
    local pids=() failed=0 pid
    for command in "$@"; do
        $command &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    return $failed
}

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
