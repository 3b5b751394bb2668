#!/bin/bash
# Succeeds if the broker answers a request; the port is open before the broker can serve.
set -euo pipefail

exec 3<> /dev/tcp/127.0.0.1/9092
# Kafka's protocol, ApiVersions (key 18) version 0: length 10, key, version, correlation id 7, no client id.
printf '\0\0\0\012\0\022\0\0\0\0\0\007\0\0' >&3
# The answer's correlation id and error code, which follow its length of four bytes.
answer=$(head -c 10 <&3 | tail -c 6 | od -An -tx1 | tr -d ' ')
if [ "$answer" != 000000070000 ]; then
    echo "expected the answer 000000070000 (correlation id 7, no error), got '$answer'" >&2
    exit 1
fi
