#!/bin/bash
# Starts the container engine if none answers, and warns if the machine is too small for the stack.
set -euo pipefail

NEEDED_GIB=6
LOG=/var/log/drayage-dockerd.log
TIMEOUT_S=60

answers() {
    docker version --format '{{.Server.Version}}' > /dev/null 2>&1
}

if ! answers; then
    if ! command -v dockerd > /dev/null; then
        echo "No container engine answers at ${DOCKER_HOST:-/var/run/docker.sock}, and dockerd is not installed: start Docker, then run this again." >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo 'No container engine answers this user: start it with "sudo systemctl start docker", or join its group with "sudo adduser '"$(id -un)"' docker".' >&2
        exit 1
    fi
    echo "  starting dockerd, log in $LOG"
    # Detached and with its own streams, so that a caller of this script does not wait for the engine.
    setsid dockerd > "$LOG" 2>&1 < /dev/null &
    deadline=$((SECONDS + TIMEOUT_S))
    until answers; do
        if ! kill -0 $! 2> /dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 15 "$LOG" >&2
            echo "dockerd did not answer within $TIMEOUT_S s: the end of its log $LOG is above." >&2
            exit 1
        fi
        sleep 0.2
    done
fi

free_memory_gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
if [ "$free_memory_gib" -lt "$NEEDED_GIB" ] && [ "$(docker ps --quiet | wc -l)" -eq 0 ]; then
    echo "  Warning: $free_memory_gib GiB of memory are free, but the stack needs $NEEDED_GIB: close other programs or expect containers to be killed."
fi
root=$(docker info --format '{{.DockerRootDir}}')
if [ -d "$root" ]; then
    free_disk_gib=$(df --output=avail -BG "$root" | tail -n 1 | tr -dc '0-9')
    if [ "$free_disk_gib" -lt "$NEEDED_GIB" ]; then
        echo "  Warning: $free_disk_gib GiB are free for the engine in $root, but images and data need $NEEDED_GIB: free some space, for example with docker system prune."
    fi
fi
