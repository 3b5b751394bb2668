#!/bin/bash
# Compiles every project's lock. No lock names an index, so the installer decides where packages come from.
set -euo pipefail

export PATH=$PATH:$PWD/.drayage/uv/bin

compile() {
    uv pip compile --quiet --upgrade --generate-hashes --universal --no-emit-index-url --no-header --python-version 3.11 "$@"
}

compile pyproject.toml --group dev --no-emit-package drayage --output-file requirements.lock
compile pyproject.toml --group dev --no-emit-package drayage --override tests/oldest/overrides.txt \
    --output-file tests/oldest/requirements.lock
(cd host && compile pyproject.toml --extra kubernetes --extra pipeline --output-file requirements.lock)
(cd writers/python && compile requirements.in --output-file requirements.lock)
for peer in airflow dagster; do
    (cd benchmark/peers && compile "$peer.in" --output-file "$peer.lock")
done
for workload in workloads/*/pyproject.toml; do
    (
        cd "$(dirname "$workload")"
        compile pyproject.toml --output-file requirements.lock
        compile pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
    )
done
