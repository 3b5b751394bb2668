#!/bin/bash
# start.sh: one node of the cluster, in a container named and hosted CLUSTER-NUMBER; node 1 is the control plane too.
set -euo pipefail
# shellcheck source=deploy/kubernetes/cluster/node/keep.sh
. /usr/local/bin/keep.sh

cluster=${HOSTNAME%-*} number=${HOSTNAME##*-}
share=/usr/local/share/cluster
mkdir -p /var/log/kubernetes /etc/cni/net.d
# A shell that is process 1 ignores the signal otherwise.
trap 'exit 0' TERM

# What the engine mounts read-only in a container without --privileged.
awk '$5 == "/sys" || $5 ~ "^/sys/fs/cgroup" { print $5 }' /proc/self/mountinfo | while read -r mount; do
    mount -o remount,rw,bind "$mount"
done
# With cgroup v2 a group with processes cannot hand controllers on: leave the root group.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init
    while read -r process; do
        echo "$process" > /sys/fs/cgroup/init/cgroup.procs || true # it may have ended
    done < /sys/fs/cgroup/cgroup.procs
    sed 's/ / +/g; s/^/+/' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
fi
mount --make-rshared /

# The kubelet sets these of the whole machine where they differ from what it expects: let it see them as set.
while read -r setting value; do
    echo "$value" > "/run/$(basename "$setting")"
    mount --bind "/run/$(basename "$setting")" "/proc/sys/$setting"
done <<SETTINGS
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS

address_of() {
    getent ahostsv4 "$1" | awk 'NR == 1 { print $1 }'
}

# Each node has a network for its pods, which the other reaches through it; to all else pods have the node's address.
sed "s#POD_SUBNET#10.244.$number.0/24#" $share/network.json > /etc/cni/net.d/pods.conflist
iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
other=$((3 - number))
{
    until address=$(address_of "$cluster-$other") && [ -n "$address" ]; do sleep 0.2; done
    ip route replace "10.244.$other.0/24" via "$address"
} &

# Every image comes from the cluster's registry, whatever registry its name has. Without the first line, one
# that is missing there would be looked for in the registry of its name.
mkdir -p /etc/containerd/certs.d/_default
cat > /etc/containerd/certs.d/_default/hosts.toml <<TOML
server = "http://$cluster-registry:5000"
[host."http://$cluster-registry:5000"]
TOML
keep containerd

address=$(address_of "$HOSTNAME")
if [ "$number" = 1 ]; then
    control_plane.sh "$address"
fi
until [ -e /etc/kubernetes/node ]; do sleep 0.1; done # up.sh brings it from node 1
sed "s/DNS_ADDRESS/$(address_of "$cluster-1")/" $share/kubelet.yaml > /etc/kubernetes/kubelet.yaml
until ctr version > /dev/null 2>&1; do sleep 0.1; done
keep kubelet --config /etc/kubernetes/kubelet.yaml --kubeconfig /etc/kubernetes/node/kubelet.conf --node-ip "$address"
keep kube-proxy --kubeconfig /etc/kubernetes/node/kube-proxy.conf --cluster-cidr 10.244.0.0/16 \
    --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
echo "node $number runs after $SECONDS s"
wait
