"""Dagster's definitions of the shapes, for both clients: one container an asset, which reports through Pipes."""

import os

import dagster as dg
from dagster_docker import PipesDockerClient
from peers.shapes import AT_ONCE, IMAGE, SHAPES, is_chain, number_of

_REPORT = """
set -eu
send() {{ printf '{{"__dagster_pipes_version":"0.1","method":"%s","params":%s}}\\n' "$1" "$2" >> {messages}; }}
send opened '{{"extras":{{}}}}'
send report_asset_materialization \
    '{{"asset_key":"{step}","metadata":{{"number":{{"raw_value":{number},"type":"int"}}}},"data_version":null}}'
send closed '{{}}'
"""

if os.environ["PEER"] == "drayage":
    from drayage import DrayageClient, container_executor

    CLIENT = DrayageClient()
    MESSAGES = "/drayage/io/messages.jsonl"
    LABELS: dict[str, str] = {}
    EXECUTOR = container_executor
else:
    CLIENT = PipesDockerClient()
    MESSAGES = "/dev/stderr"
    LABELS = {"drayage/deployment": os.environ["DRAYAGE_DEPLOYMENT"]}
    EXECUTOR = dg.multiprocess_executor


def _asset(step: str, before: list[str]) -> dg.AssetsDefinition:
    command = ["sh", "-c", _REPORT.format(messages=MESSAGES, step=step, number=number_of(step))]
    container_kwargs = {"labels": LABELS} if LABELS else None

    @dg.asset(name=step, deps=before)
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return CLIENT.run(
            context=context, image=IMAGE, command=command, container_kwargs=container_kwargs
        ).get_materialize_result()

    return report


ASSETS, JOBS = [], []
for shape, steps in SHAPES.items():
    before = [[], *([step] if is_chain(shape) else [] for step in steps)]
    ASSETS += [_asset(step, behind) for step, behind in zip(steps, before, strict=False)]
    # A chain as the executor does it by default, which is one step at a time anyway.
    executor = EXECUTOR if is_chain(shape) else EXECUTOR.configured({"max_concurrent": AT_ONCE}, name=shape)
    JOBS.append(dg.define_asset_job(shape, selection=steps, executor_def=executor))

defs = dg.Definitions(assets=ASSETS, jobs=JOBS)
