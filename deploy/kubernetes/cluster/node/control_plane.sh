#!/bin/bash
# control_plane.sh ADDRESS: makes the cluster's certificates at the first start, and starts the control plane.
set -euo pipefail
# shellcheck source=deploy/kubernetes/cluster/node/keep.sh
. /usr/local/bin/keep.sh

address=$1 cluster=${HOSTNAME%-*}
pki=/etc/kubernetes/pki
umask 077

# certificate OPTION...: makes a key of its own for what `openssl req` is told.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 365 "$@" \
        2>> /var/log/kubernetes/certificates.log
}

# sign FILE SUBJECT [NAMES]: a certificate for a client, and for a server of these names.
sign() {
    certificate -CA $pki/ca.crt -CAkey $pki/ca.key -keyout "$1.key" -out "$1.crt" -subj "$2" \
        -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
        -addext "extendedKeyUsage=clientAuth${3:+,serverAuth}" ${3:+-addext "subjectAltName=$3"}
}

# kubeconfig FILE HOST USER: how one user reaches the API server.
kubeconfig() {
    cat > "$1" <<YAML
apiVersion: v1
kind: Config
clusters: [{ name: $cluster, cluster: { server: "https://$2:6443", certificate-authority-data: $ca } }]
users: [{ name: user, user: { $3 } }]
contexts: [{ name: $cluster, context: { cluster: $cluster, user: user } }]
current-context: $cluster
YAML
}

by_certificate() {
    echo "client-certificate: $1.crt, client-key: $1.key"
}

if [ ! -e $pki ]; then
    mkdir -p $pki /etc/kubernetes/joining
    certificate -keyout $pki/ca.key -out $pki/ca.crt -subj "/CN=$cluster" -addext keyUsage=critical,keyCertSign
    ca=$(base64 -w 0 $pki/ca.crt)

    sign $pki/kube-apiserver /CN=kube-apiserver \
        "DNS:$HOSTNAME,DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$address,IP:10.96.0.1"
    openssl genrsa -out $pki/service-accounts.key 2048

    token=$(openssl rand -hex 32)
    echo "$token,admin,admin,system:masters" > $pki/tokens.csv
    kubeconfig /etc/kubernetes/admin.conf 127.0.0.1 "token: $token"
    for user in system:kube-controller-manager system:kube-scheduler coredns; do
        program=${user#system:}
        sign "$pki/$program" "/CN=$user"
        kubeconfig "/etc/kubernetes/$program.conf" 127.0.0.1 "$(by_certificate "$pki/$program")"
    done

    # What each node gets.
    for node in "$cluster-1" "$cluster-2"; do
        folder=/etc/kubernetes/joining/$node
        mkdir "$folder"
        cp $pki/ca.crt "$folder"
        sign "$folder/node" "/O=system:nodes/CN=system:node:$node" "DNS:$node"
        sign "$folder/kube-proxy" /CN=system:kube-proxy
        kubeconfig "$folder/kubelet.conf" "$HOSTNAME" "$(by_certificate /etc/kubernetes/node/node)"
        kubeconfig "$folder/kube-proxy.conf" "$HOSTNAME" "$(by_certificate /etc/kubernetes/node/kube-proxy)"
    done
    mv "/etc/kubernetes/joining/$HOSTNAME" /etc/kubernetes/node
fi

keep etcd --data-dir /var/lib/etcd --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
keep kube-apiserver --etcd-servers http://127.0.0.1:2379 --service-cluster-ip-range 10.96.0.0/16 \
    --tls-cert-file $pki/kube-apiserver.crt --tls-private-key-file $pki/kube-apiserver.key \
    --anonymous-auth=false --client-ca-file $pki/ca.crt --token-auth-file $pki/tokens.csv \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file $pki/service-accounts.key --service-account-signing-key-file $pki/service-accounts.key \
    --kubelet-preferred-address-types Hostname --kubelet-certificate-authority $pki/ca.crt \
    --kubelet-client-certificate $pki/kube-apiserver.crt --kubelet-client-key $pki/kube-apiserver.key
until kubectl get --raw /readyz > /dev/null 2>&1; do sleep 0.2; done
echo "the API server is ready after $SECONDS s"

kubectl apply --filename /usr/local/share/cluster/rights.yaml > /dev/null
keep kube-controller-manager --kubeconfig /etc/kubernetes/kube-controller-manager.conf --bind-address 127.0.0.1 \
    --leader-elect=false --use-service-account-credentials \
    --root-ca-file $pki/ca.crt --service-account-private-key-file $pki/service-accounts.key
keep kube-scheduler --kubeconfig /etc/kubernetes/kube-scheduler.conf --bind-address 127.0.0.1 --leader-elect=false
sed "s/DNS_ADDRESS/$address/" /usr/local/share/cluster/Corefile > /etc/kubernetes/Corefile
keep coredns -conf /etc/kubernetes/Corefile
