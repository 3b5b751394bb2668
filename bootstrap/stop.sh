#!/bin/bash
# stop.sh ENVIRONMENT_FILE [--volumes]: stops a stack with its runs and steps; --volumes removes its data too.
#
# Compose does not know the run workers and step containers, which use the network, or the marts' volume, which only
# steps mount.
set -euo pipefail

environment_file=$1 volumes=${2:-}
project=$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' "$environment_file")

compose() {
    docker compose --progress quiet --env-file "$environment_file" "$@"
}

# First the services that could start other containers.
compose stop --timeout 5 dagster-daemon dagster-webserver dagster-code
left=$(
    docker ps --all --format '{{.ID}}' --filter "label=drayage/deployment=$project"
    docker ps --all --format '{{.ID}} {{.Label "com.docker.compose.project"}}' --filter "network=$project" | awk 'NF == 1'
)
if [ -n "$left" ] && ! echo "$left" | sort --unique | xargs docker rm --force --volumes > /dev/null; then
    echo 'The engine was already removing some of these containers.' >&2
fi
# shellcheck disable=SC2086 # nothing, or one option
compose down --remove-orphans --timeout 10 $volumes
if [ -n "$volumes" ]; then
    docker volume ls --quiet --filter "name=^${project}_marts\$" | xargs --no-run-if-empty docker volume rm > /dev/null
fi
