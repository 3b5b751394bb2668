#!/bin/sh
# Creates the bucket WAREHOUSE_BUCKET in the object store at S3_ENDPOINT if it does not exist.
set -eu

: "${S3_ENDPOINT:?is not set: give the address of the object store, as in http://minio:9000}"
: "${WAREHOUSE_BUCKET:?is not set: give the name of the bucket to create}"
: "${MINIO_ROOT_USER:?is not set: give the access key of the object store}"
: "${MINIO_ROOT_PASSWORD:?is not set: give the secret key of the object store}"

# "mc ready" repeats its request until the store is ready, without a deadline of its own.
if ! MC_HOST_store="$S3_ENDPOINT" timeout 60 mc ready store; then
    echo "the object store at $S3_ENDPOINT was not ready within 60 s: see its container's log" >&2
    exit 1
fi

# Passed over standard input, so that the secret does not appear in the process list.
printf '%s\n%s\n' "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" | mc --quiet alias set store "$S3_ENDPOINT" > /dev/null
mc mb --ignore-existing "store/$WAREHOUSE_BUCKET"
