#!/bin/bash
# down.sh ENVIRONMENT_FILE: removes what up.sh started, with all data: the cluster, the services, and the environment file.
set -euo pipefail
cd "$(dirname "$0")/../.."

environment_file=$1
if [ ! -e "$environment_file" ]; then
    echo "$environment_file does not exist: nothing was removed." >&2
    exit 0
fi
project=$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' "$environment_file")
# First the nodes, which are on the network of the services.
deploy/kubernetes/cluster/down.sh "$project-cluster"
bootstrap/stop.sh "$environment_file" --volumes
rm "$environment_file"
