#!/bin/bash
# environment.sh FILE: writes the settings and passwords of a stack at its first start, and later adds what a newer version
# of this repository needs.
#
# .env.test is the tests' stack, .env.kubernetes that of a Dagster on Kubernetes: each with another project and other ports.
set -euo pipefail

file=$1
case $(basename "$file") in
    .env.test) project=drayage-test offset=10000 ;;
    .env.kubernetes) project=drayage-kubernetes offset=20000 ;;
    *) project=p09 offset=0 ;;
esac

password() {
    python3 -c 'import secrets; print(secrets.token_hex(20))'
}

# Readable to its owner alone.
umask 077

# The keys that only read the landing zone.
landing_keys() {
    echo "LANDING_ACCESS_KEY_ID=landing-reader"
    echo "LANDING_SECRET_ACCESS_KEY=$(password)"
}

if [ ! -e "$file" ]; then
    {
        echo '# Generated at the first start. Keep it: the volumes of this project use these passwords.'
        echo "COMPOSE_PROJECT_NAME=$project"
        echo "POSTGRES_PASSWORD=$(password)"
        echo "DAGSTER_POSTGRES_PASSWORD=$(password)"
        echo "CATALOG_POSTGRES_PASSWORD=$(password)"
        echo "REGISTRY_POSTGRES_PASSWORD=$(password)"
        echo "S3_ACCESS_KEY_ID=drayage"
        echo "S3_SECRET_ACCESS_KEY=$(password)"
        landing_keys
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
fi

# Files of a version that mounted a folder of trip files lack these keys.
if ! grep --quiet '^LANDING_SECRET_ACCESS_KEY=.' "$file"; then
    folder=$(sed -n 's/^TAXI_DATA_DIR=//p' "$file" | tail -n 1)
    { sed '/^TAXI_DATA_DIR=/d; /^LANDING_\(SECRET_ACCESS_KEY\|ACCESS_KEY_ID\)=/d' "$file"; landing_keys; } > "$file.new"
    mv "$file.new" "$file"
    # Runs would find no file any more, and replace its trips by synthetic ones.
    if [ -n "$folder" ] && [ -n "$(find "$folder/" -maxdepth 1 -name 'yellow_tripdata_*' -print -quit 2> /dev/null)" ]; then
        {
            echo "The months' files of $folder are no longer read from there: this version reads its landing zone only."
            printf 'Land them before any run: make land DATA=%q\n' "$folder"
        } >&2
        exit 1
    fi
fi

# The revision that runs are tagged with, which is that of the tree from which the images are built.
revision=$(git describe --always --dirty --abbrev=12)
if ! grep --quiet --line-regexp --fixed-strings "GIT_REVISION=$revision" "$file"; then
    { sed '/^GIT_REVISION=/d' "$file"; echo "GIT_REVISION=$revision"; } > "$file.new"
    mv "$file.new" "$file"
fi
