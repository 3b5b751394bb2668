#!/bin/bash
# Provides debian:trixie-slim: pulls it if a registry answers, otherwise builds it with debootstrap.
set -euo pipefail

SUITE=trixie
IMAGE=debian:$SUITE-slim

docker image inspect "$IMAGE" > /dev/null 2>&1 && exit 0
log=.drayage/base_image.log
echo "  pulling $IMAGE"
timeout 120 docker pull "$IMAGE" > "$log" 2>&1 && exit 0

if ! command -v debootstrap > /dev/null; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
        tail -n 3 "$log" >&2
        echo "$IMAGE can neither be pulled nor built here: give this engine a registry, or install debootstrap and run this as root." >&2
        exit 1
    fi
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } >> "$log" 2>&1; then
        tail -n 15 "$log" >&2
        echo "apt-get could not install debootstrap: see $log, then run this again." >&2
        exit 1
    fi
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "$IMAGE cannot be pulled, and debootstrap needs root: run this once with sudo." >&2
    exit 1
fi
echo '  no registry answers: building it with debootstrap'
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
if ! debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$root" >> "$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "debootstrap could not build $SUITE: see $log, then run this again." >&2
    exit 1
fi
# The official slim image leaves these out too.
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* \
    "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/var/log/*
tar --create --directory "$root" . | docker import --change 'CMD ["bash"]' - "$IMAGE" >> "$log"
