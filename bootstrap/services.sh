#!/bin/bash
# services.sh ENVIRONMENT_FILE [SERVICE...]: starts the services, or only these and what they depend on, and waits until
# each is healthy; leaves unchanged running ones alone.
set -euo pipefail

environment_file=$1
shift
started=$EPOCHREALTIME
# The images of the workloads: when one of them was built again, compose.yml recreates the code location.
WORKLOAD_IMAGES=$(docker image inspect --format '{{.Id}}' drayage/generator drayage/flink-submit drayage/dbt-runner drayage/auditor | tr '\n' ' ')
export WORKLOAD_IMAGES
if ! docker compose --progress quiet --env-file "$environment_file" up --detach --remove-orphans --wait --wait-timeout 300 "$@"; then
    docker compose --env-file "$environment_file" ps --all >&2
    echo "A service did not become healthy: see it above, and its log with: docker compose --env-file $environment_file logs SERVICE" >&2
    exit 1
fi
printf '  %-44s %6.1f s\n' 'services healthy' "$(awk "BEGIN { print $EPOCHREALTIME - $started }")"
