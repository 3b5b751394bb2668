#!/bin/sh
# Runs the workload as its container does, and checks its output.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "failed: $1" >&2
    exit 1
}

ROWS=5 sh workload.sh | grep -qx 'rows=5' || fail 'it prints how many rows it counted'
if ROWS=many sh workload.sh 2> /dev/null; then
    fail 'it ends with an error if it cannot count'
fi
echo 'all tests passed'
