#!/bin/bash
# up.sh [NAME]: starts a Kubernetes cluster of two nodes, the containers NAME-1 and NAME-2, with its registry
# NAME-registry, and waits until both nodes are ready. A cluster that is up is left alone.
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

kubectl() {
    docker exec "$name-1" kubectl "$@"
}

# Both nodes as the cluster sees them, within the time given.
nodes_ready() {
    kubectl wait --for condition=Ready "node/$name-1" "node/$name-2" --timeout "$1" 2> /dev/null > /dev/null
}

fail() {
    {
        echo "$name did not come up: $1"
        echo "What each container says: docker logs $name-1 (or $name-2, $name-registry)."
        echo "Each program's log: docker exec $name-1 tail -n 50 /var/log/kubernetes/kubelet.log (ls shows the others)."
        echo "Then remove it all: $here/down.sh $name"
    } >&2
    exit 1
}

# Fails at once when one of the nodes' containers has ended.
check_alive() {
    local container
    for container in "$name-1" "$name-2"; do
        [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ] || fail "the container $container ended"
    done
}

existing=$(docker ps --all --filter "label=drayage.cluster=$name" --format '{{.Names}} {{.State}}' | sort)
running=$(printf '%s running\n' "$name-1" "$name-2" "$name-registry")
if [ "$existing" = "$running" ] && [ -e "$kubeconfig" ] && nodes_ready 5s; then
    echo "$name is up already: export KUBECONFIG=$PWD/$kubeconfig"
    exit 0
elif [ -n "$existing" ]; then
    {
        printf '%s is there, but not as a cluster that is up:\n%s\n' "$name" "$existing"
        echo "Continue what you paused (docker unpause), or remove it all: $here/down.sh $name"
    } >&2
    exit 1
fi

$here/images.sh
started=$EPOCHREALTIME
mkdir -p "$files"

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

docker network create --label "drayage.cluster=$name" "$name" > /dev/null
run "$name-registry" --publish 127.0.0.1::5000 --read-only --cap-drop ALL --security-opt no-new-privileges \
    drayage/registry
node 1 --publish 127.0.0.1::6443
node 2
CLUSTER=$name $here/load.sh drayage/pause > /dev/null || fail 'the registry did not take an image'

# The second node's certificates, as soon as the first has made them.
deadline=$((SECONDS + 120))
until docker exec "$name-1" test -e /etc/kubernetes/node 2> /dev/null; do
    check_alive
    [ $SECONDS -lt $deadline ] || fail 'the first node made no certificates in 120 s'
    sleep 0.1
done
docker exec "$name-1" tar --create --directory /etc/kubernetes/joining "$name-2" \
    | docker exec --interactive "$name-2" sh -c 'cd /etc/kubernetes && tar --extract && mv "$HOSTNAME" node' \
    || fail "the second node did not get its certificates"

until nodes_ready 1s && kubectl get serviceaccount default > /dev/null 2>&1; do
    check_alive
    [ $SECONDS -lt $deadline ] || fail 'the nodes are not ready after 120 s'
    sleep 0.1
done

port=$(docker port "$name-1" 6443/tcp)
(
    umask 077
    kubectl config view --raw | sed "s#https://127.0.0.1:6443#https://$port#" > "$kubeconfig.new"
)
mv "$kubeconfig.new" "$kubeconfig"
took=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $started }")
echo "$name: two nodes ready in $took s; export KUBECONFIG=$PWD/$kubeconfig"
