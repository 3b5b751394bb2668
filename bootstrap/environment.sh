#!/bin/bash
# environment.sh FILE: writes the settings and passwords of a stack at its first start, and stores DATA if it is set.
#
# .env.test is the tests' stack, with another project, other ports and another data folder.
set -euo pipefail

file=$1
project=p09 offset=0 data=$PWD/data
if [ "$(basename "$file")" = .env.test ]; then
    project=drayage-test offset=10000 data=$PWD/.drayage/test-data
fi

if [ -n "${DATA:-}" ]; then
    if [ ! -d "$DATA" ]; then
        echo "DATA=$DATA is not a folder: name the folder of the yellow_tripdata_YYYY-MM.parquet or .csv files." >&2
        exit 1
    fi
    data=$(cd "$DATA" && pwd)
fi

password() {
    python3 -c 'import secrets; print(secrets.token_hex(20))'
}

if [ ! -e "$file" ]; then
    mkdir -p "$data"
    umask 077
    {
        echo '# Generated at the first start. Keep it: the volumes of this project use these passwords.'
        echo "COMPOSE_PROJECT_NAME=$project"
        echo "POSTGRES_PASSWORD=$(password)"
        echo "DAGSTER_POSTGRES_PASSWORD=$(password)"
        echo "CATALOG_POSTGRES_PASSWORD=$(password)"
        echo "REGISTRY_POSTGRES_PASSWORD=$(password)"
        echo "S3_ACCESS_KEY_ID=drayage"
        echo "S3_SECRET_ACCESS_KEY=$(password)"
        echo "TAXI_DATA_DIR=$data"
        while read -r name port; do
            echo "$name=$((port + offset))"
        done <<PORTS
DAGSTER_PORT 3000
FLINK_PORT 8081
GATEWAY_PORT 8083
REGISTRY_PORT 8085
CATALOG_PORT 8181
MINIO_PORT 9000
MINIO_CONSOLE_PORT 9001
KAFKA_PORT 9092
PORTS
        # The group that may use the engine's socket, which the host containers join.
        echo "DOCKER_GID=$(stat --dereference --format %g /var/run/docker.sock)"
    } > "$file.new"
    mv "$file.new" "$file"
elif [ -n "${DATA:-}" ]; then
    umask 077
    # Passed through the environment, because "&" and "|" have a meaning in sed.
    folder=$data awk '/^TAXI_DATA_DIR=/ { $0 = "TAXI_DATA_DIR=" ENVIRON["folder"] } { print }' "$file" > "$file.new"
    mv "$file.new" "$file"
fi

# The revision that runs are tagged with, which is that of the tree from which the images are built.
revision=$(git describe --always --dirty --abbrev=12)
if ! grep --quiet --line-regexp --fixed-strings "GIT_REVISION=$revision" "$file"; then
    umask 077
    { sed '/^GIT_REVISION=/d' "$file"; echo "GIT_REVISION=$revision"; } > "$file.new"
    mv "$file.new" "$file"
fi
