#!/bin/bash
# Installs the compose and buildx plugins of the docker command line if they are missing.
#
# Debian 12 has no packages of them; those of Debian 13 are single programs that run on Debian 12 too.
set -euo pipefail

TARGET=/usr/local/lib/docker/cli-plugins

missing=()
docker compose version > /dev/null 2>&1 || missing+=(docker-compose)
docker buildx version > /dev/null 2>&1 || missing+=(docker-buildx)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "The docker command line lacks ${missing[*]}: install these plugins, or run this once with sudo." >&2
    exit 1
fi
echo "  installing ${missing[*]} into $TARGET"
mkdir -p "$TARGET"
log=.drayage/plugins.log
if ! docker run --rm --volume "$TARGET:/target" debian:trixie-slim sh -euc '
    cd /tmp
    apt-get update -qq
    for package in "$@"; do
        apt-get download -qq "$package"
        dpkg-deb --extract "$package"_*.deb unpacked
    done
    cp unpacked/usr/libexec/docker/cli-plugins/* /target/
' sh "${missing[@]}" > "$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "${missing[*]} could not be installed from Debian's packages: see $log, then run this again." >&2
    exit 1
fi
docker compose version > /dev/null
docker buildx version > /dev/null
