#!/bin/bash
# dev.sh ENVIRONMENT_FILE: runs Dagster on this machine, with SQLite and the exchange root in .dev/; the stack's services
# stay in their containers.
set -euo pipefail

environment_file=$(realpath "$1")
set -a
# shellcheck disable=SC1090 # generated
. "$environment_file"
set +a
export DAGSTER_HOME="$PWD/.dev" \
    DRAYAGE_EXCHANGE_ROOT="$PWD/.dev/exchange" \
    DRAYAGE_DEPLOYMENT=$COMPOSE_PROJECT_NAME-dev \
    DRAYAGE_DOCTOR_CHECKS=nyc_taxi.doctor:examine_services \
    DRAYAGE_NETWORK=$COMPOSE_PROJECT_NAME \
    KAFKA_BOOTSTRAP_SERVERS=kafka:9092 \
    SCHEMA_REGISTRY_URL=http://schema-registry:8085/apis/ccompat/v7 \
    FLINK_SQL_GATEWAY_URL=http://flink-sql-gateway:8083 \
    FLINK_JOBMANAGER_URL=http://flink-jobmanager:8081 \
    FLINK_UI_URL=http://127.0.0.1:$FLINK_PORT \
    OBJECT_STORE_CONSOLE_URL=http://127.0.0.1:$MINIO_CONSOLE_PORT \
    ICEBERG_CATALOG_LINK_URL=http://127.0.0.1:$CATALOG_PORT \
    ICEBERG_CATALOG_URI=http://iceberg-rest:8181 \
    ICEBERG_WAREHOUSE=s3://warehouse/ \
    S3_ENDPOINT=http://minio:9000 \
    S3_REGION=us-east-1 \
    LANDING_URL=s3://landing/yellow/ \
    TAXI_MARTS_VOLUME=${COMPOSE_PROJECT_NAME}_marts

mkdir -p "$DAGSTER_HOME" "$DRAYAGE_EXCHANGE_ROOT"
# An empty file selects SQLite and an in-process launcher, which suits work on the host's code.
: > "$DAGSTER_HOME/dagster.yaml"
port=$((DAGSTER_PORT + 1))
echo "Dagster for development: http://127.0.0.1:$port"
exec .venv/bin/dagster dev --module-name nyc_taxi.definitions --host 127.0.0.1 --port "$port"
