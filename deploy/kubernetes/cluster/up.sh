#!/bin/bash
# up.sh [NAME]: starts a Kubernetes cluster of two nodes, the containers NAME-1 and NAME-2, with its registry
# NAME-registry, and waits until both nodes are ready. A cluster that is up is left alone.
#
# PUBLISH=127.0.0.1:PORT:NODE_PORT publishes one more port of node 1, such as that of a service.
#
# It writes kubeconfig into .drayage/kubernetes, or .drayage/kubernetes/NAME for another NAME than drayage-cluster.
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=deploy/kubernetes/cluster

name=${1:-drayage-cluster}
if ! [[ $name =~ ^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$ ]]; then
    echo "A cluster's name is at most 40 of a-z, 0-9 and -, and starts with a letter, not \"$name\"." >&2
    exit 1
fi
files=.drayage/kubernetes
[ "$name" = drayage-cluster ] || files+=/$name
kubeconfig=$files/kubeconfig

fail() {
    {
        echo "$name did not come up: $1"
        echo "What each container says: docker logs $name-1 (or $name-2, $name-registry)."
        echo "Each program's log: docker exec $name-1 tail -n 50 /var/log/kubernetes/kubelet.log (ls shows the others)."
        echo "Then remove it all: $here/down.sh $name"
    } >&2
    exit 1
}

# wait_for WHAT COMMAND...: until the command succeeds; fails at once when one of the nodes' containers has ended.
wait_for() {
    local what=$1 deadline=$((SECONDS + 180)) container
    shift
    until "$@" > /dev/null 2>&1; do
        for container in "$name-1" "$name-2"; do
            [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ] \
                || fail "the container $container ended"
        done
        [ $SECONDS -lt $deadline ] || fail "no $what in 180 s"
        sleep 0.1
    done
}

kubectl() {
    docker exec "$name-1" kubectl "$@"
}

run() {
    local container=$1
    shift
    docker run --detach --name "$container" --hostname "$container" --network "$name" --label "drayage.cluster=$name" \
        "$@" > /dev/null
}

node() {
    local number=$1
    shift
    # What mounts, network settings and the pods' own containers take, short of --privileged.
    run "$name-$number" --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --cap-add SYSLOG \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
        --device /dev/kmsg --cgroupns private --tmpfs /run:exec --tmpfs /tmp:exec "$@" drayage/kubernetes-node
}

start() {
    docker network create --label "drayage.cluster=$name" "$name" > /dev/null
    run "$name-registry" --publish 127.0.0.1::5000 --read-only --cap-drop ALL --security-opt no-new-privileges \
        drayage/registry
    node 1 --publish 127.0.0.1::6443 ${PUBLISH:+--publish "$PUBLISH"}
    node 2
    CLUSTER=$name $here/load.sh drayage/pause > /dev/null || fail 'the registry did not take an image'

    wait_for 'certificates' docker exec "$name-1" test -e /etc/kubernetes/node
    docker exec "$name-1" tar --create --directory /etc/kubernetes/joining "$name-2" \
        | docker exec --interactive "$name-2" sh -c "cd /etc/kubernetes && tar --extract && mv $name-2 node" \
        || fail 'the second node did not get its certificates'
}

existing=$(docker ps --all --filter "label=drayage.cluster=$name" --format '{{.Names}} {{.State}}' | sort)
if [ -z "$existing" ]; then
    $here/images.sh
    started=$EPOCHREALTIME
    start
elif [ "$existing" != "$(printf '%s running\n' "$name-1" "$name-2" "$name-registry")" ]; then
    {
        printf '%s is there, but not as a cluster that is up:\n%s\n' "$name" "$existing"
        echo "Continue what was paused (docker unpause) or stopped (docker start), or remove it all: $here/down.sh $name"
    } >&2
    exit 1
fi
wait_for 'two ready nodes' kubectl wait --for condition=Ready "node/$name-1" "node/$name-2" --timeout 1s
wait_for 'service account for pods' kubectl get serviceaccount default

# Also for a cluster that is up: the engine gives a container that was started again other ports.
port=$(docker port "$name-1" 6443/tcp)
mkdir -p "$files"
(umask 077 && kubectl config view --raw | sed "s#https://127.0.0.1:6443#https://$port#" > "$kubeconfig.new")
mv "$kubeconfig.new" "$kubeconfig"

state='is up already'
[ -n "$existing" ] || state="has two ready nodes after $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $started }") s"
echo "$name $state: export KUBECONFIG=$PWD/$kubeconfig"
