#!/bin/bash
# Creates the Python environments from their locks: the root's, and with DEVELOPMENT=1 each workload's.
set -euo pipefail

export PATH=$PATH:$PWD/.drayage/uv/bin
if ! command -v uv > /dev/null; then
    echo '  installing uv'
    python3 -m venv .drayage/uv
    .drayage/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r services/python/requirements.lock
fi

# environment FOLDER LOCK [INPUT]: creates FOLDER/.venv with exactly the packages of LOCK, unless neither LOCK nor INPUT
# has changed since the last time.
environment() {
    local folder=$1 lock=$2 stamp="$1/.venv/.lock.sha256" wanted
    wanted=$(cat "${@:2}" | sha256sum)
    if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    echo "  installing $lock"
    uv venv --quiet --clear --python python3 --no-python-downloads "$folder/.venv"
    uv pip install --quiet --python "$folder/.venv/bin/python" --require-hashes -r "$lock"
    if [ "$folder" = . ]; then
        uv pip install --quiet --python .venv/bin/python --no-deps --editable host
    else
        uv pip install --quiet --python "$folder/.venv/bin/python" --no-deps --editable "$folder"
    fi
    echo "$wanted" > "$stamp"
}

environment . requirements.lock host/pyproject.toml
if [ -n "${DEVELOPMENT:-}" ]; then
    for workload in workloads/*/pyproject.toml; do
        workload=${workload%/pyproject.toml}
        environment "$workload" "$workload/requirements-dev.lock" "$workload/pyproject.toml"
    done
fi
