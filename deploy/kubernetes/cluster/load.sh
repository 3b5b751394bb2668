#!/bin/bash
# load.sh IMAGE...: pushes images of this machine's engine into the registry of the cluster CLUSTER (drayage-cluster),
# from which its nodes pull them under the same names.
set -euo pipefail

cluster=${CLUSTER:-drayage-cluster}
if [ $# = 0 ]; then
    echo 'Name the images to be loaded: load.sh IMAGE...' >&2
    exit 1
fi
if ! registry=$(docker port "$cluster-registry" 5000/tcp 2> /dev/null); then
    echo "$cluster has no running registry: start it with $(dirname "$0")/up.sh $cluster" >&2
    exit 1
fi

for image in "$@"; do
    if ! docker image inspect "$image" > /dev/null 2>&1; then
        echo "$image is not on this machine: build or pull it first. No later image was loaded." >&2
        exit 1
    fi
    # As nodes ask for it: without the registry's own name, and "library/" before a name of one part.
    path=$image
    case ${image%%/*} in
        "$image") path=library/$image ;;
        *.* | *:* | localhost) path=${image#*/} ;;
    esac
    docker tag "$image" "$registry/$path"
    said=$(docker push "$registry/$path" 2>&1) || failed=1
    docker rmi "$registry/$path" > /dev/null
    if [ -n "${failed:-}" ]; then
        printf '%s\n%s could not be pushed; the registry says why: docker logs %s-registry\n' "$said" "$image" "$cluster" >&2
        exit 1
    fi
    echo "$image $(grep --only-matching 'sha256:[0-9a-f]*' <<< "$said" | tail -n 1)"
done
