#!/bin/bash
# stop.sh ENVIRONMENT_FILE [--volumes]: stops a stack with the runs and steps in it; --volumes removes its data too.
#
# Compose knows nothing of run workers and step containers, which hold the network, nor of the marts' volume, which
# only steps mount.
set -euo pipefail

environment_file=$1 volumes=${2:-}
project=$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' "$environment_file")

compose() {
    docker compose --progress quiet --env-file "$environment_file" "$@"
}

# First those that would start others.
compose stop --timeout 5 dagster-daemon dagster-webserver dagster-code
left=$(
    docker ps --all --format '{{.ID}}' --filter "label=drayage/deployment=$project"
    docker ps --all --format '{{.ID}} {{.Label "com.docker.compose.project"}}' --filter "network=$project" | awk 'NF == 1'
)
if [ -n "$left" ] && ! echo "$left" | sort --unique | xargs docker rm --force --volumes > /dev/null; then
    echo 'The engine was removing some of these at this moment.' >&2
fi
# shellcheck disable=SC2086 # nothing, or one option
compose down --remove-orphans --timeout 10 $volumes
if [ -n "$volumes" ]; then
    docker volume ls --quiet --filter "name=^${project}_marts\$" | xargs --no-run-if-empty docker volume rm > /dev/null
fi
