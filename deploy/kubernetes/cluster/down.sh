#!/bin/bash
# down.sh [NAME]: removes the cluster that up.sh started: containers, volumes, network and files.
set -euo pipefail
cd "$(dirname "$0")/../../.."

name=${1:-drayage-cluster}
files=.drayage/kubernetes
[ "$name" = drayage-cluster ] || files+=/$name

its=label=drayage.cluster=$name
docker ps --all --quiet --filter "$its" | xargs --no-run-if-empty docker rm --force --volumes > /dev/null
docker network ls --quiet --filter "$its" | xargs --no-run-if-empty docker network rm > /dev/null
rm -f "$files/kubeconfig" "$files/kubeconfig.new"
# The default cluster's folder may hold another's.
[ ! -d "$files" ] || rmdir --ignore-fail-on-non-empty "$files"
