"""A Dagster host that executes containers side by side, in its own process, for tests that interrupt or kill it.

Usage: ``python fan_host.py <job> <dagster home> <exchange root> <deployment> [<run to retry>]``.
"""

import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
from contract_steps import PIPES_SHELL, SHELL_IMAGE

from drayage import DrayageClient, container_executor

# Dagster imports this file a second time by its path, with the same arguments.
_JOB, _HOME, _ROOT, _DEPLOYMENT, *_RETRIED = sys.argv[1:]
WIDTH = 20

# Each continues once its file exists.
WAITING = """
trap 'exit 143' TERM
opened; echo started; i=0; while [ ! -e /go ] && [ $i -lt 6000 ]; do i=$((i+1)); sleep 0.1; done
send report_asset_materialization '{"asset_key":"NAME","metadata":{},"data_version":null}'; closed
"""
STUBBORN = "trap '' TERM; opened; echo started; while true; do sleep 0.1; done"
TALKING = """
opened; for i in $(seq 50); do echo "NAME says $i"; echo "NAME warns $i" >&2; done
send report_asset_materialization '{"asset_key":"NAME","metadata":{},"data_version":null}'; closed
"""


def _asset(name: str, script: str) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def made(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> Iterator[Any]:
        command = ["sh", "-c", PIPES_SHELL + script.replace("NAME", name)]
        yield from drayage.run(context=context, image=SHELL_IMAGE, command=command).get_results()

    return made


def _fan(script: str) -> dg.JobDefinition:
    client = DrayageClient(exchange_root=_ROOT, deployment=_DEPLOYMENT, network="none")
    executor = container_executor.configured({"max_concurrent": WIDTH}, name="fan")
    definitions = dg.Definitions(
        assets=[_asset(f"step_{number:02}", script) for number in range(WIDTH)],
        jobs=[dg.define_asset_job("work", executor_def=executor)],
        resources={"drayage": client},
    )
    return definitions.resolve_job_def("work")


def waiting() -> dg.JobDefinition:
    return _fan(WAITING)


def stubborn() -> dg.JobDefinition:
    return _fan(STUBBORN)


def talking() -> dg.JobDefinition:
    return _fan(TALKING)


if __name__ == "__main__":
    with dg.DagsterInstance.local_temp(_HOME) as instance:
        result = dg.execute_job(
            dg.reconstructable(globals()[_JOB]),
            instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(_RETRIED[0], instance) if _RETRIED else None,
            raise_on_error=False,
        )
        sys.exit(0 if result.success else 1)
