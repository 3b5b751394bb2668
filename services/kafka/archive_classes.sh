#!/bin/bash
# Starts the broker once at build time and archives the classes that Java loaded.
set -euo pipefail

DEADLINE_S=300

JAVA_OPTS="$JAVA_OPTS -XX:ArchiveClassesAtExit=/tmp/broker.jsa" KAFKA_NAME=localhost KAFKA_PORT=29092 start &
broker=$!
until is-ready 2> /dev/null; do
    if ! kill -0 "$broker" || [ "$SECONDS" -gt "$DEADLINE_S" ]; then
        echo "the broker was not ready within $DEADLINE_S s: see its log above" >&2
        exit 1
    fi
    sleep 0.2
done
kill -TERM "$broker"
# 143 is the exit code after SIGTERM, which is expected here.
wait "$broker" || [ $? -eq 143 ]
test -s /tmp/broker.jsa
