#!/bin/bash
# Installs the distribution's programs that the set-up needs and this machine lacks.
set -euo pipefail

packages=()
command -v git > /dev/null || packages+=(git ca-certificates)
command -v python3 > /dev/null && python3 -c 'import ensurepip' 2> /dev/null || packages+=(python3 python3-venv)
if ! docker version > /dev/null 2>&1 && ! command -v dockerd > /dev/null; then
    # debootstrap builds the base image if no registry answers.
    packages+=(docker.io iptables debootstrap ca-certificates)
fi
if [ -n "${DEVELOPMENT:-}" ] && ! command -v chromium > /dev/null; then
    packages+=(chromium fonts-dejavu-core)
fi
[ ${#packages[@]} -gt 0 ] || exit 0

if ! command -v apt-get > /dev/null; then
    echo "This machine lacks the Debian packages ${packages[*]}: install their equivalents and start Docker, as usual on your system." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "This machine lacks some packages; install them with: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
fi
echo "  installing ${packages[*]}"
log=.drayage/apt.log
if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install ${packages[*]}: see $log, then run this again." >&2
    exit 1
fi
