"""A Dagster host in its own process, for tests that interrupt or kill it.

It kills itself at one moment if the environment names it: ``CONTRACT_DIES=before secrets``, ``after secrets`` or
``before context``.

Usage: ``python cluster_host.py <job> <dagster home> <exchange root> <deployment> [<run to continue>]``.
"""

import os
import signal
import sys
from typing import Any

import dagster as dg

from drayage import DrayageClient, EnvSecret
from drayage.kubernetes import engine
from drayage.kubernetes.mailbox import KubernetesMailbox

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
report() { send report_asset_materialization '{"asset_key":"NAME","metadata":{},"data_version":null}'; }
"""
_COUNTING = "opened; i=0; while [ ! -e /tmp/go ]; do i=$((i+1)); custom $i; sleep 0.02; done; report; closed"
_PATIENT = """trap 'custom "\\"stopping\\""; exit 143' TERM; opened; while true; do sleep 0.1; done"""
_SECRETIVE = 'test "$(cat /run/secrets/key)" = hush-hush; opened; sleep 1; report; closed'
_FIRST = "opened; sleep 6; report; closed"
_SECOND = "grep -q '\"second\"' /drayage/io/context.json; opened; report; closed"


def _asset(name: str, script: str, *, deps: tuple[str, ...] = (), **run: Any) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=deps)
    def asset(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        command = ["sh", "-c", _PIPES.replace("NAME", name) + script]
        given = {"image": "debian:trixie-slim", "command": command, "user": "10001", **run}
        yield from drayage.run(context=context, **given).get_results()

    return asset


def _job(*assets: dg.AssetsDefinition) -> dg.JobDefinition:
    client = DrayageClient(
        exchange_root=_ROOT,
        deployment=_DEPLOYMENT,
        engine="kubernetes",
        secrets={"key": EnvSecret("CONTRACT_SECRET")},
    )
    definitions = dg.Definitions(
        assets=list(assets),
        jobs=[dg.define_asset_job("work", executor_def=dg.in_process_executor)],
        resources={"drayage": client},
    )
    return definitions.resolve_job_def("work")


def counting() -> dg.JobDefinition:
    """Return a step that sends numbers until it may go on."""
    return _job(_asset("report", _COUNTING))


def patient() -> dg.JobDefinition:
    """Return a step that sends a last message when it is told to stop."""
    return _job(_asset("report", _PATIENT))


def secretive() -> dg.JobDefinition:
    """Return a step with a secret."""
    return _job(_asset("report", _SECRETIVE, secrets=["key"]))


def ahead() -> dg.JobDefinition:
    """Return two steps; the container of the second stands by if there was a run before."""
    run = {"secrets": ["key"], "standby": True}
    return _job(_asset("first", _FIRST, **run), _asset("second", _SECOND, deps=("first",), **run))


def _die(*_arguments: object, **_named: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _deliver_and_die(*arguments: Any, **named: Any) -> None:
    _deliver(*arguments, **named)
    _die()


def _die_at(moment: str) -> None:
    if moment == "before secrets":
        engine.deliver = _die  # type: ignore[assignment]
    elif moment == "after secrets":
        engine.deliver = _deliver_and_die
    elif moment == "before context":
        KubernetesMailbox._give = _die  # type: ignore[method-assign]  # noqa: SLF001 - the moment that matters


if __name__ == "__main__":
    _deliver = engine.deliver
    _die_at(os.environ.get("CONTRACT_DIES", ""))
    with dg.DagsterInstance.local_temp(_HOME) as instance:
        job = dg.reconstructable(
            {"counting": counting, "patient": patient, "secretive": secretive, "ahead": ahead}[_JOB]
        )
        options = dg.ReexecutionOptions.from_failure(_RETRIED[0], instance) if _RETRIED else None
        dg.execute_job(job, instance, reexecution_options=options, raise_on_error=False)
