#!/bin/sh
# A health check that is made often while its service comes up, and seldom once it is there: a dozen of them every few
# seconds took half of one processor. (Docker's own start_interval wants an engine of 2024.)
started=$(cut -d ' ' -f 22 /proc/1/stat)
if [ "$(cat /tmp/healthy-since 2> /dev/null)" = "$started" ]; then
    sleep 20
fi
if "$@"; then
    echo "$started" > /tmp/healthy-since
else
    rm -f /tmp/healthy-since
    exit 1
fi
