#!/bin/sh
# Formats /var/lib/kafka at the first start, then runs the broker.
set -eu

require-env KAFKA_NAME KAFKA_PORT

CONFIG=/tmp/server.properties
{
    cat /opt/kafka/config/server.properties
    echo "advertised.listeners=NETWORK://$KAFKA_NAME:9092,HOST://127.0.0.1:$KAFKA_PORT"
} > "$CONFIG"

CLASSPATH=$(printf '%s:' /opt/kafka/libs/*.jar)
export CLASSPATH
# shellcheck disable=SC2086 # JAVA_OPTS is a list of options.
set -- $JAVA_OPTS -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml

if [ ! -f /var/lib/kafka/meta.properties ]; then
    # 16 random bytes in URL-safe base64; the formatter would read a leading hyphen as an option.
    cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/_/')
    java "$@" kafka.tools.StorageTool format --cluster-id "$cluster_id" --config "$CONFIG"
fi
exec java "$@" kafka.Kafka "$CONFIG"
