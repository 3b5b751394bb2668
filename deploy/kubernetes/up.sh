#!/bin/bash
# up.sh ENVIRONMENT_FILE: runs Dagster and its steps in a Kubernetes cluster of two nodes in containers, against the services
# of the compose stack, and waits until the webserver answers. What is up and unchanged is left alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=deploy/kubernetes

environment_file=$1
if [ ! -e "$environment_file" ]; then
    echo "There is no $environment_file: \`make kubernetes\` writes it, and calls this." >&2
    exit 1
fi
setting() { sed -n "s/^$1=//p" "$environment_file"; }
project=$(setting COMPOSE_PROJECT_NAME)
port=$(setting DAGSTER_PORT)
cluster=$project-cluster
volumes_node=$cluster-2

kubectl() {
    docker exec --interactive "$cluster-1" kubectl --namespace drayage "$@"
}

part() {
    printf '  %-44s %6.1f s\n' "$1" "$(awk "BEGIN { print $EPOCHREALTIME - $started }")"
    started=$EPOCHREALTIME
}
started=$EPOCHREALTIME

# Kafka, Flink, the lake and the database, but no Dagster beside the one in the cluster.
mapfile -t services < <(docker compose --env-file "$environment_file" config --services | grep -v '^dagster-')
bootstrap/services.sh "$environment_file" "${services[@]}"

PUBLISH=127.0.0.1:$port:30300 $here/cluster/up.sh "$cluster"
for node in "$cluster-1" "$cluster-2"; do
    # By this, pods reach the services by name.
    docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$node" \
        | grep --quiet --line-regexp "$project" || docker network connect "$project" "$node"
done
docker exec "$volumes_node" mkdir -p /var/lib/drayage/exchange /var/lib/drayage/marts
kubectl label --overwrite "node/$volumes_node" drayage/volumes= > /dev/null
part 'two nodes in the network of the services'

# Named by digest, an image is the same on both nodes and in all retries, and its change is seen.
images=(drayage/host drayage/relay drayage/generator drayage/flink-submit drayage/dbt-runner drayage/auditor)
loaded=$(CLUSTER=$cluster $here/cluster/load.sh "${images[@]}")
digest() { awk -v image="$1" '$1 == image { print $2 }' <<< "$loaded"; }
named() { echo "$1@$(digest "$1")"; }
part 'images in the registry of the cluster'

settings() {
    docker compose --env-file "$environment_file" config --format json | python3 $here/services.py \
        DAGSTER_CURRENT_IMAGE="$(named drayage/host)" \
        DAGSTER_POSTGRES_HOST=postgres \
        DRAYAGE_CLI_PREFIX="docker exec -it $cluster-1 kubectl --namespace drayage exec -it deployment/dagster-code --" \
        DRAYAGE_RELAY_IMAGE="$(named drayage/relay)" \
        TAXI_GENERATOR_IMAGE="$(named drayage/generator)" \
        TAXI_FLINK_SUBMIT_IMAGE="$(named drayage/flink-submit)" \
        TAXI_DBT_RUNNER_IMAGE="$(named drayage/dbt-runner)" \
        TAXI_AUDITOR_IMAGE="$(named drayage/auditor)"
}
settings=$(settings)
# Processes read their settings when they start: with this, those that run are replaced when one has changed.
version=$({ cat $here/dagster/*.yaml $here/dagster/instance/* $here/cluster/dagster/*; echo "$settings"; } \
    | sha256sum | cut -c 1-16)
new=app,drayage/settings=v$version

manifests() {
    tar --create --directory $here cluster/dagster dagster \
        | docker exec --interactive "$cluster-1" sh -euc '
            rm -rf /tmp/manifests && mkdir /tmp/manifests && cd /tmp/manifests && tar --extract
            {
                echo "images: [{ name: drayage/host, digest: $1 }]"
                echo "labels: [{ pairs: { drayage/settings: v$2 }, includeTemplates: true }]"
            } >> cluster/dagster/kustomization.yaml
            kubectl kustomize cluster/dagster' sh "$(digest drayage/host)" "$version" \
        && echo --- && cat $here/role.yaml
}
manifests=$(manifests)
kubectl apply --filename - <<< "$manifests" > /dev/null
kubectl apply --filename - <<< "$settings" > /dev/null

fail() {
    {
        echo "$1. What the pods are, and what those that are not ready said last:"
        kubectl get pods --selector "$new"
        kubectl get pods --selector "$new" --output \
            jsonpath='{range .items[?(@.status.containerStatuses[0].ready!=true)]}{.metadata.name}{"\n"}{end}' \
            | while read -r pod; do
                kubectl describe pod "$pod" < /dev/null | sed -n '/^Events:/,$p'
                kubectl logs --tail 20 "$pod" < /dev/null || true # it may have none
            done
        echo "More: docker exec $cluster-1 kubectl --namespace drayage describe pods"
        echo "Try again: $here/up.sh $environment_file; or remove it all: $here/down.sh $environment_file"
    } >&2
    exit 1
}

ready() {
    local service
    for service in code daemon webserver; do
        kubectl rollout status "deployment/dagster-$service" --timeout 1s || return
    done
    curl --fail --silent --output /dev/null "http://127.0.0.1:$port/server_info"
}
# Why a container waits, if that does not pass by itself.
trouble() {
    kubectl get pods --selector "$new" --output jsonpath='{.items[*].status.containerStatuses[*].state.waiting.reason}' \
        | tr ' ' '\n' | grep --max-count 1 --line-regexp --extended-regexp \
            'CrashLoopBackOff|CreateContainerConfigError|ErrImagePull|ImagePullBackOff'
}
deadline=$((SECONDS + 300))
until ready > /dev/null 2>&1; do
    ! reason=$(trouble) || fail "Dagster does not come up in the cluster: $reason"
    [ $SECONDS -lt $deadline ] || fail "Dagster does not answer at http://127.0.0.1:$port in 300 s"
    sleep 0.5
done
part 'Dagster answers'
echo "Dagster: http://127.0.0.1:$port"
