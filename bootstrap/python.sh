#!/bin/bash
# Creates the Python environments from their locks: the root's, and with DEVELOPMENT=1 each workload's and that of the
# oldest Dagster.
set -euo pipefail

export PATH=$PATH:$PWD/.drayage/uv/bin
if ! command -v uv > /dev/null; then
    echo '  installing uv'
    python3 -m venv .drayage/uv
    .drayage/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r services/python/requirements.lock
fi

# environment FOLDER PROJECT LOCK: creates FOLDER/.venv with exactly the packages of LOCK and the project in this checkout,
# unless nothing of it has changed since the last time.
environment() {
    local folder=$1 project=$2 lock=$3 stamp="$1/.venv/.lock.sha256" wanted
    wanted=$(cat "$lock" "$project/pyproject.toml" | sha256sum)
    if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    echo "  installing $lock"
    uv venv --quiet --clear --python python3 --no-python-downloads "$folder/.venv"
    uv pip install --quiet --python "$folder/.venv/bin/python" --require-hashes -r "$lock"
    uv pip install --quiet --python "$folder/.venv/bin/python" --no-deps --editable "$project"
    echo "$wanted" > "$stamp"
}

environment . host requirements.lock
if [ -n "${DEVELOPMENT:-}" ]; then
    for workload in workloads/*/pyproject.toml; do
        workload=${workload%/pyproject.toml}
        environment "$workload" "$workload" "$workload/requirements-dev.lock"
    done
    environment tests/oldest host tests/oldest/requirements.lock
fi
