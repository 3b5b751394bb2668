"""A Dagster host in its own process, for tests that interrupt or kill it.

Usage: ``python cluster_host.py <job> <dagster home> <exchange root> <deployment> [<run to continue>]``.
"""

import sys
from typing import Any

import dagster as dg

from drayage import DrayageClient

# Dagster imports this file a second time by its path, with the same arguments.
_JOB, _HOME, _ROOT, _DEPLOYMENT, *_RETRIED = sys.argv[1:]
_PIPES = r"""
set -eu
send() {
    printf '{"__dagster_pipes_version":"0.1","method":"%s","params":%s}\n' "$1" "$2" >> /drayage/io/messages.jsonl
}
opened() { send opened '{"extras":{}}'; }
closed() { send closed '{}'; }
custom() { send report_custom_message "{\"payload\":$1}"; }
report() { send report_asset_materialization '{"asset_key":"report","metadata":{},"data_version":null}'; }
"""
_COUNTING = "opened; i=0; while [ ! -e /tmp/go ]; do i=$((i+1)); custom $i; sleep 0.02; done; report; closed"
_PATIENT = """trap 'custom "\\"stopping\\""; exit 143' TERM; opened; while true; do sleep 0.1; done"""


def _job(script: str, **run: Any) -> dg.JobDefinition:
    @dg.asset(name="report")
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        command = ["sh", "-c", _PIPES + script]
        given = {"image": "debian:trixie-slim", "command": command, "user": "10001", **run}
        yield from drayage.run(context=context, **given).get_results()

    client = DrayageClient(exchange_root=_ROOT, deployment=_DEPLOYMENT, engine="kubernetes")
    definitions = dg.Definitions(
        assets=[report],
        jobs=[dg.define_asset_job("work", executor_def=dg.in_process_executor)],
        resources={"drayage": client},
    )
    return definitions.resolve_job_def("work")


def counting() -> dg.JobDefinition:
    """Return a step that sends numbers until it may go on."""
    return _job(_COUNTING)


def patient() -> dg.JobDefinition:
    """Return a step that sends a last message when it is told to stop."""
    return _job(_PATIENT)


if __name__ == "__main__":
    with dg.DagsterInstance.local_temp(_HOME) as instance:
        job = dg.reconstructable({"counting": counting, "patient": patient}[_JOB])
        options = dg.ReexecutionOptions.from_failure(_RETRIED[0], instance) if _RETRIED else None
        dg.execute_job(job, instance, reexecution_options=options, raise_on_error=False)
