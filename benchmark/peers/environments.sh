#!/bin/bash
# Creates the environment of each peer under .drayage/peers from its lock, unless the lock has not changed.
set -euo pipefail

export PATH=$PATH:$PWD/.drayage/uv/bin
command -v uv > /dev/null || { echo "uv is missing: set everything up with 'make up'." >&2; exit 1; }

# environment NAME LOCK [FOLDER]: with the packages of LOCK, and the project in FOLDER.
environment() {
    local folder=.drayage/peers/$1 lock=$2 project=${3:-} wanted
    wanted=$(cat "$lock" ${project:+"$project/pyproject.toml"} | sha256sum)
    if [ "$(cat "$folder/.lock.sha256" 2> /dev/null)" = "$wanted" ]; then
        return
    fi
    echo "  installing $lock"
    uv venv --quiet --clear --python python3 --no-python-downloads "$folder"
    uv pip install --quiet --python "$folder/bin/python" --require-hashes -r "$lock"
    if [ -n "$project" ]; then
        uv pip install --quiet --python "$folder/bin/python" --no-deps --editable "$project"
    fi
    echo "$wanted" > "$folder/.lock.sha256"
}

environment airflow benchmark/peers/airflow.lock
environment dagster benchmark/peers/dagster.lock
environment drayage host/requirements.lock host
