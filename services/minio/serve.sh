#!/bin/sh
# Serves /var/lib/minio: the S3 API on port 9000, the console on port 9001.
set -eu

# Without these, MinIO would start with its well-known default credentials.
: "${MINIO_ROOT_USER:?is not set: give the access key of the object store}"
: "${MINIO_ROOT_PASSWORD:?is not set: give the secret key of the object store}"

exec minio server --address :9000 --console-address :9001 /var/lib/minio
