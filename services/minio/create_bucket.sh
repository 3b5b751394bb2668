#!/bin/sh
# Creates in the object store at S3_ENDPOINT what does not exist: the buckets WAREHOUSE_BUCKET and LANDING_BUCKET, and the
# user LANDING_ACCESS_KEY_ID, who may read the second and nothing else.
set -eu

: "${S3_ENDPOINT:?is not set: give the address of the object store, as in http://minio:9000}"
: "${WAREHOUSE_BUCKET:?is not set: give the name of the bucket of the tables}"
: "${LANDING_BUCKET:?is not set: give the name of the bucket where trip files land}"
: "${LANDING_ACCESS_KEY_ID:?is not set: give the access key of the reader of the landing zone}"
: "${LANDING_SECRET_ACCESS_KEY:?is not set: give the secret key of the reader of the landing zone}"
: "${MINIO_ROOT_USER:?is not set: give the access key of the object store}"
: "${MINIO_ROOT_PASSWORD:?is not set: give the secret key of the object store}"

# "mc ready" repeats its request until the store is ready, without a deadline of its own.
if ! MC_HOST_store="$S3_ENDPOINT" timeout 60 mc ready store; then
    echo "the object store at $S3_ENDPOINT was not ready within 60 s: see its container's log" >&2
    exit 1
fi

# Passed over standard input, so that no secret appears in the process list.
printf '%s\n%s\n' "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" | mc --quiet alias set store "$S3_ENDPOINT" > /dev/null
mc mb --ignore-existing "store/$WAREHOUSE_BUCKET"
mc mb --ignore-existing "store/$LANDING_BUCKET"

# Written again each time: the policy and the secret are then those of this version and of this environment.
policy=read-$LANDING_BUCKET
mc --quiet admin policy create store "$policy" /dev/stdin > /dev/null <<POLICY
{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::$LANDING_BUCKET/*"]},
    {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::$LANDING_BUCKET"]}
  ]
}
POLICY
printf '%s\n%s\n' "$LANDING_ACCESS_KEY_ID" "$LANDING_SECRET_ACCESS_KEY" | mc --quiet admin user add store > /dev/null
# To attach a policy twice is an error.
if ! mc --json admin user info store "$LANDING_ACCESS_KEY_ID" | grep --quiet --fixed-strings "\"$policy\""; then
    mc --quiet admin policy attach store "$policy" --user "$LANDING_ACCESS_KEY_ID"
fi
echo "$LANDING_ACCESS_KEY_ID may read $LANDING_BUCKET"
