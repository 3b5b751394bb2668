#!/bin/bash
# images.sh: builds the cluster's images whose inputs changed. The first time that takes minutes, to compile Kubernetes.
set -euo pipefail
cd "$(dirname "$0")/../../.."
# shellcheck source=bootstrap/image_builds.sh
. bootstrap/image_builds.sh

bootstrap/base_image.sh
folder=deploy/kubernetes/cluster
base=$(docker image inspect --format '{{.Id}}' debian:trixie-slim)
hyperkube=$(inputs "$base" $folder/hyperkube)

node() {
    build hyperkube "$hyperkube" $folder/hyperkube
    build kubernetes-node "$(inputs "$hyperkube" $folder/node)" $folder/node
}
pause() { build pause "$(inputs "$base" $folder/pause)" $folder/pause; }
registry() { build registry "$(inputs "$base" $folder/registry)" $folder/registry; }

together node pause registry
