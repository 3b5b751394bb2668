"""Jobs that show what an executor must do, each with Dagster's in-process executor or with Drayage's."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import dagster as dg

from drayage import container_executor

# What hooks and resources did, for jobs that are executed in this process.
DONE: list[tuple[str, str]] = []


def _wait(seconds: float) -> None:
    time.sleep(seconds)


@dg.op(out=dg.DynamicOut(int))
def split() -> Iterator[dg.DynamicOutput[int]]:
    for number in range(12):
        yield dg.DynamicOutput(number, mapping_key=f"k{number}")


@dg.op
def double(x: int) -> int:
    _wait(0.05)
    return 2 * x


@dg.op
def total(xs: list[int]) -> int:
    return sum(xs)


@dg.graph
def mapping() -> None:
    total(split().map(double).collect())


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2, delay=0.3))
def flaky(context: dg.OpExecutionContext) -> None:
    if context.retry_number < 2:
        raise ValueError("again")


@dg.op
def asks(context: dg.OpExecutionContext) -> None:
    if context.retry_number < 1:
        raise dg.RetryRequested(max_retries=1, seconds_to_wait=0)


@dg.op
def gives_up() -> None:
    raise dg.RetryRequested(max_retries=1, seconds_to_wait=0.1)


@dg.op(ins={"before": dg.In(dg.Nothing)})
def after() -> None: ...


@dg.graph
def retries() -> None:
    after.alias("after_flaky")(flaky())
    after.alias("after_asks")(asks())
    after.alias("after_gives_up")(gives_up())


@dg.op(out={"yes": dg.Out(int, is_required=False), "no": dg.Out(int, is_required=False)})
def branch() -> Iterator[dg.Output[int]]:
    yield dg.Output(1, "yes")


@dg.op
def take(x: int) -> int:
    return x


@dg.op
def fan_in(xs: list[int]) -> int:
    return sum(xs)


@dg.graph
def skips() -> None:
    yes, no = branch()
    taken, skipped = take.alias("on_yes")(yes), take.alias("on_no")(no)
    take.alias("below_no")(skipped)
    fan_in([taken, skipped])


@dg.op
def boom() -> None:
    raise RuntimeError("boom")


@dg.op
def fine() -> int:
    _wait(0.2)
    return 1


@dg.success_hook
def on_success(context: dg.HookContext) -> None:
    _wait(0.2)
    DONE.append(("success", context.op.name))


@dg.failure_hook
def on_failure(context: dg.HookContext) -> None:
    DONE.append(("failure", context.op.name))


@dg.failure_hook
def broken_hook(_context: dg.HookContext) -> None:
    raise ValueError("hook")


@dg.op
def notes(x: int) -> int:
    DONE.append(("step", "notes"))
    return x


@dg.graph
def hooks() -> None:
    after.alias("after_boom")(boom())
    notes(fine())


@dg.op(pool="lab")
def pooled() -> None:
    _wait(0.3)


@dg.graph
def pools() -> None:
    for number in range(5):
        pooled.alias(f"pooled_{number}")()


@dg.op(tags={"kind": "heavy"})
def heavy() -> None:
    _wait(0.2)


@dg.graph
def tagged() -> None:
    for number in range(5):
        heavy.alias(f"heavy_{number}")()


@dg.resource
def counted(_context: dg.InitResourceContext) -> Iterator[str]:
    DONE.append(("resource", "set up"))
    yield "one"
    DONE.append(("resource", "torn down"))


@dg.op(required_resource_keys={"counted"})
def uses(context: dg.OpExecutionContext) -> None:
    assert context.resources.counted == "one"
    DONE.append(("resource", "used"))


@dg.graph
def shared_resource() -> None:
    for number in range(8):
        uses.alias(f"uses_{number}")()


@dg.op
def talks(context: dg.OpExecutionContext) -> None:
    name = context.op_handle.name
    logger = dg.get_dagster_logger()
    for number in range(20):
        print(f"out {name} {number}")  # noqa: T201 - whose log it goes to is what is tested
        print(f"err {name} {number}", file=sys.stderr)  # noqa: T201 - as above
        context.log.info(f"own {name} {number}")  # noqa: G004 - one record for each number
        logger.warning(f"python {name} {number}")  # noqa: G004 - as above
        _wait(0.01)
    in_context = threading.Thread(target=copy_context().run, args=(print, f"out {name} thread"))
    # Nobody can tell for which step it works.
    stray = threading.Thread(target=lambda: (print("stray"), logger.warning("python stray")))  # noqa: T201
    for thread in (in_context, stray):
        thread.start()
        thread.join()
    subprocess.run(["sh", "-c", f"echo child {name}"], check=True)  # noqa: S603, S607 - as above
    subprocess.run(["sh", "-c", f"echo out {name} child"], check=True, stdout=sys.stdout)  # noqa: S603, S607 - as above


@dg.graph
def talk() -> None:
    for number in range(8):
        talks.alias(f"talks_{number}")()


@dg.op
def blows() -> None:
    raise SystemExit(3)


@dg.graph
def base_exception() -> None:
    blows()
    take.alias("after_fine")(fine())


@dg.op
async def sleeps() -> int:
    await asyncio.sleep(0.2)
    return 1


@dg.op(out=dg.DynamicOut(int))
async def streams() -> Any:
    for number in range(3):
        await asyncio.sleep(0.01)
        yield dg.DynamicOutput(number, mapping_key=str(number))


@dg.graph
def asynchronous() -> None:
    for number in range(4):
        take.alias(f"take_{number}")(sleeps.alias(f"sleeps_{number}")())
    streams().map(double.alias("of_stream"))


def _prioritised(name: str, priority: int) -> dg.OpDefinition:
    @dg.op(name=name, tags={"dagster/priority": str(priority)})
    def noted() -> None:
        DONE.append(("priority", name))

    return noted


@dg.graph
def priority() -> None:
    _prioritised("low", 0)()
    _prioritised("middle", 1)()
    _prioritised("high", 2)()


@dg.graph
def none_at_a_time() -> None:
    fine()


@dg.op(out={"early": dg.Out(int), "late": dg.Out(int)})
def early_and_late() -> Iterator[dg.Output[int]]:
    yield dg.Output(1, "early")
    _wait(1)
    yield dg.Output(2, "late")


@dg.op
def below_early(x: int) -> int:
    return x


@dg.graph
def outputs() -> None:
    early, late = early_and_late()
    below_early(early)
    take(late)


@dg.multi_asset(specs=[dg.AssetSpec(f"m{n}", skippable=True) for n in (1, 2, 3)], can_subset=True)
def many(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(key, metadata={"of": key.to_user_string()})


@dg.asset(deps=["m1"], check_specs=[dg.AssetCheckSpec("sound", asset="checked", blocking=True)])
def checked() -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.ERROR)])


@dg.asset(deps=["checked"])
def below_checked() -> None: ...


@dg.asset(deps=["m2"])
def beside() -> int:
    return 4


@dg.asset
def loads(beside: int) -> None:
    assert beside == 4


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def parted(context: dg.AssetExecutionContext) -> None:
    context.add_output_metadata({"key": context.partition_key})


@dg.op
def ends() -> None: ...


@dg.op
def spins() -> None:
    while True:
        sum(range(1000))


@dg.op
def naps() -> None:
    while True:
        time.sleep(0.2)


@dg.op
def swallows() -> None:
    while True:
        try:  # noqa: SIM105 - as some people write
            time.sleep(0.2)
        except Exception:  # noqa: BLE001, S110 - as above
            pass


@dg.op
def logs(context: dg.OpExecutionContext) -> None:
    while True:
        context.log.info("again")


@dg.op
async def awaits() -> None:
    await asyncio.sleep(600)


@dg.op
def cleans() -> None:
    try:
        time.sleep(0.5)
        while True:
            time.sleep(0.1)
    finally:
        time.sleep(1)
        print("cleaned up")  # noqa: T201 - that it comes so far is what is tested


@dg.op
def ignores() -> None:
    """Ignore everything, with a thread that Python waits for at its end."""
    # A thread of a daemon is one too, unless it says otherwise.
    threading.Thread(target=time.sleep, args=(600,), daemon=False).start()
    time.sleep(600)


@dg.graph
def interruptible() -> None:
    for op in (spins, naps, swallows, logs, awaits, cleans):
        after.alias(f"after_{op.name}")(op())


@dg.graph
def ignoring() -> None:
    ends()
    naps()
    ignores()


_GRAPHS = {
    graph.name: graph
    for graph in (
        mapping,
        retries,
        skips,
        hooks,
        pools,
        tagged,
        shared_resource,
        talk,
        base_exception,
        asynchronous,
        priority,
        none_at_a_time,
        outputs,
        interruptible,
        ignoring,
    )
}
_ASSETS = [many, checked, below_checked, beside, loads, parted]
_CONFIGS: dict[str, dict[str, Any]] = {
    "tagged": {"tag_concurrency_limits": [{"key": "kind", "value": "heavy", "limit": 2}]},
    "priority": {"max_concurrent": 1},
    "none_at_a_time": {"max_concurrent": 0},
    "outputs": {"step_dependency_config": {"require_upstream_step_success": False}},
}
EXECUTORS = {"in process": dg.in_process_executor, "container": container_executor}


def job_of(name: str, executor: str) -> dg.JobDefinition:
    """Return a job.

    Args:
        name: The name of a graph of this module, ``assets`` or ``parts``.
        executor: A key of ``EXECUTORS``.
    """
    config = _CONFIGS.get(name, {}) if executor == "container" or name == "outputs" else {}
    executor_def = EXECUTORS[executor].configured({"retries": {"enabled": {}}, **config}, name="configured")
    if name in _GRAPHS:
        resources = {"counted": counted} if name == "shared_resource" else {}
        hooked = {on_success, on_failure, broken_hook} if name == "hooks" else None
        return _GRAPHS[name].to_job(executor_def=executor_def, resource_defs=resources, hooks=hooked)
    selection = ["parted"] if name == "parts" else ["m1", "m2", "checked", "below_checked", "beside", "loads"]
    jobs = [dg.define_asset_job(name, selection=selection, executor_def=executor_def)]
    return dg.Definitions(assets=_ASSETS, jobs=jobs).resolve_job_def(name)


def reconstructable(name: str, executor: str) -> Any:
    """Return a job as ``dg.execute_job`` takes it."""
    folder = str(Path(__file__).parent)
    return dg.build_reconstructable_job(
        "executor_jobs", "job_of", (name, executor), reconstructor_working_directory=folder
    )


if __name__ == "__main__":
    # python executor_jobs.py <job> <dagster home>: a process that can be interrupted.
    with dg.DagsterInstance.local_temp(sys.argv[2]) as instance:
        done = dg.execute_job(reconstructable(sys.argv[1], "container"), instance=instance, raise_on_error=False)
        sys.exit(0 if done.success else 1)
