"""A Dagster host in its own process, for tests that interrupt or kill it.

Usage: ``python interrupted_host.py <job> <dagster home> <exchange root> <deployment> [<run to retry> [<steps>]]``.
``steps`` is ``failed``, which continues the run, or ``all``. In the environment, ``CONTRACT_KILLED_AFTER`` is how many
materializations are recorded before the process kills itself, and ``CONTRACT_ENV`` a variable of the workload.
"""

import faulthandler
import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
from contract_steps import PIPES_SHELL

from drayage import DrayageClient, EnvSecret, Mount, container_executor
from drayage.dagster_internals import RANGE_TAGS
from drayage.mailbox import FolderMailbox

# Dagster imports this file a second time by its path, with the same arguments.
_ROLE, _HOME, _ROOT, _DEPLOYMENT, *_RETRIED = sys.argv[1:]

PATIENT = """
trap 'log stopping; exit 143' TERM
opened; report '{"rows":{"raw_value":3,"type":"__infer__"}}'; echo started
i=0; while [ $i -lt 3000 ]; do i=$((i+1)); sleep 0.1; done; closed
"""
STUBBORN = "trap 'echo told' TERM; opened; echo started; while true; do sleep 0.1; done"
LONG = """
opened; echo started
send report_asset_check '{"asset_key":"report","check_name":"whole","passed":true,"severity":"ERROR","metadata":{}}'
i=0; while [ ! -e /go ] && [ $i -lt 3000 ]; do i=$((i+1)); sleep 0.1; done
report '{"rows":{"raw_value":3,"type":"__infer__"}}'; closed
"""
STREAMED = """
opened; echo started
send report_asset_materialization '{"asset_key":"first","metadata":{},"data_version":null}'
send report_asset_check '{"asset_key":"first","check_name":"whole","passed":true,"severity":"ERROR","metadata":{}}'
i=0; while [ ! -e /go ] && [ $i -lt 3000 ]; do i=$((i+1)); sleep 0.1; done
send report_asset_materialization '{"asset_key":"second","metadata":{},"data_version":null}'
closed
"""
# Faster than Dagster stores log messages one by one; `closed` is never reached.
TALKATIVE = """
trap 'exit 143' TERM
opened; report '{"rows":{"raw_value":3,"type":"__infer__"}}'
seq 20000 | sed 's/.*/{"__dagster_pipes_version":"0.1","method":"log","params":{"message":"line &","level":"INFO"}}/' \
    >> "$messages"
echo started; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); sleep 0.1; done; closed
"""
# Long enough to be killed at any point.
BRIEF = """
opened
send report_asset_materialization '{"asset_key":"first","metadata":{},"data_version":null}'
sleep 0.5
send report_asset_check '{"asset_key":"first","check_name":"whole","passed":true,"severity":"ERROR","metadata":{}}'
sleep 0.5
send report_asset_materialization '{"asset_key":"second","metadata":{},"data_version":null}'
send report_asset_check '{"asset_key":"second","check_name":"whole","passed":true,"severity":"ERROR","metadata":{}}'
closed
"""
# Two steps; each continues once its file exists.
AHEAD_FIRST = """
opened; echo started; while [ ! -e /signals/first ]; do sleep 0.1; done
send report_asset_materialization '{"asset_key":"first","metadata":{},"data_version":null}'; closed
"""
AHEAD_SECOND = """
cat /drayage/io/context.json; grep -q '"second"' /drayage/io/context.json
opened; echo started; while [ ! -e /signals/second ]; do sleep 0.1; done
send report_asset_materialization '{"asset_key":"second","metadata":{},"data_version":null}'; closed
"""
# Says which environment it has, and goes on when its own file exists.
MARKED = """
opened; echo started $MARK; while [ ! -e /go ]; do sleep 0.1; done
report "{\\"mark\\":{\\"raw_value\\":\\"$MARK\\",\\"type\\":\\"text\\"}}"; closed
"""
# A program without Pipes.
PLAIN = """
echo early=1; echo started
i=0; while [ ! -e /go ] && [ $i -lt 3000 ]; do i=$((i+1)); sleep 0.1; done
printf rows=3
"""
# A program without Pipes whose result is in the last of many lines, half of which no host sees as they come.
FLOOD = """
seq 1 100000 | sed s/^/rows=/; echo started
while [ ! -e /go ]; do sleep 0.1; done
seq 100001 200000 | sed s/^/rows=/
"""
# Twenty at once; each continues once its file exists.
FAN = 20
ONE_OF_FAN = """
trap 'exit 143' TERM
opened; echo started; i=0; while [ ! -e /go ] && [ $i -lt 6000 ]; do i=$((i+1)); sleep 0.1; done
send report_asset_materialization '{"asset_key":"NAME","metadata":{},"data_version":null}'; closed
"""
STUBBORN_OF_FAN = "trap '' TERM; opened; echo started; while true; do sleep 0.1; done"
TALKING_OF_FAN = """
opened; for i in $(seq 50); do echo "NAME says $i"; echo "NAME warns $i" >&2; done
send report_asset_materialization '{"asset_key":"NAME","metadata":{},"data_version":null}'; closed
"""
IMAGE = "debian:trixie-slim"


def _command(script: str) -> list[str]:
    return ["sh", "-c", PIPES_SHELL + script]


def _single(script: str, *, pool: str | None = None, **run: object) -> dg.AssetsDefinition:
    checks = [dg.AssetCheckSpec("whole", asset="report")] if script is LONG else None

    @dg.asset(name="report", check_specs=checks, pool=pool)
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        yield from drayage.run(context=context, image=IMAGE, command=_command(script), **run).get_results()

    return report


def _upstream() -> dg.AssetsDefinition:
    @dg.asset
    def upstream(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        script = (
            "opened; send report_asset_materialization "
            '\'{"asset_key":"upstream","metadata":{},"data_version":null}\'; closed'
        )
        yield from drayage.run(context=context, image=IMAGE, command=_command(script)).get_results()

    return upstream


def _after_upstream() -> dg.AssetsDefinition:
    @dg.asset(deps=["upstream"], check_specs=[dg.AssetCheckSpec("whole", asset="report")])
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        yield from drayage.run(context=context, image=IMAGE, command=_command(LONG)).get_results()

    return report


def _streamed() -> dg.AssetsDefinition:
    @dg.multi_asset(
        specs=[dg.AssetSpec("first"), dg.AssetSpec("second", deps=["first"])],
        check_specs=[dg.AssetCheckSpec("whole", asset="first")],
    )
    def both(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        yield from drayage.stream(context=context, image=IMAGE, command=_command(STREAMED))

    return both


def _both(name: str, *, streaming: bool) -> dg.AssetsDefinition:
    """Return two assets with a check each that need a secret; their names begin with the step's."""
    keys = {old: f"{name}_{old}" for old in ("first", "second")}
    script = 'test "$(cat /run/secrets/key)" = hush-hush; ' + BRIEF
    for old, new in keys.items():
        script = script.replace(f'"asset_key":"{old}"', f'"asset_key":"{new}"')

    @dg.multi_asset(
        name=name,
        specs=[
            dg.AssetSpec(keys["first"], deps=["upstream"]),
            dg.AssetSpec(keys["second"], deps=[keys["first"]]),
        ],
        check_specs=[dg.AssetCheckSpec("whole", asset=key) for key in keys.values()],
    )
    def both(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        run = {"context": context, "image": IMAGE, "command": _command(script), "secrets": ["key"]}
        yield from drayage.stream(**run) if streaming else drayage.run(**run).get_results()

    return both


def _ahead(name: str, script: str, **asset: Any) -> dg.AssetsDefinition:
    signals = Path(_ROOT).parent / "signals"

    @dg.asset(name=name, **asset)
    def ahead(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        run = {"context": context, "image": IMAGE, "command": _command(script), "secrets": ["key"]}
        results = drayage.run(**run, mounts=(Mount(str(signals), "/signals"),), standby=True).get_results()
        if (signals / f"{name}-fails").exists():
            raise RuntimeError("the asset's own code")
        yield from results

    return ahead


class StrikingLock:
    """Interrupts the process at the worst moment: when the lock is taken but its taker does not know it yet."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.strikes = False

    def acquire(self) -> None:
        self._lock.acquire()
        if self.strikes and threading.current_thread() is threading.main_thread():
            self.strikes = False
            signal.raise_signal(signal.SIGINT)

    def release(self) -> None:
        self._lock.release()


class StrikingHandler(logging.Handler):
    """Logs nothing; its lock interrupts as soon as the host logs that its container was started."""

    def createLock(self) -> None:  # noqa: N802 - logging's name
        self.lock: Any = StrikingLock()

    def filter(self, record: logging.LogRecord) -> bool:
        if "was started" in record.getMessage():
            self.lock.strikes = True
        return True

    def emit(self, record: logging.LogRecord) -> None:
        pass


@dg.logger
def striking(_context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("striking")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(StrikingHandler())
    return logger


def _partitioned() -> dg.AssetsDefinition:
    months = dg.StaticPartitionsDefinition([f"2019-0{number}" for number in range(1, 7)])

    @dg.asset(name="report", partitions_def=months, backfill_policy=dg.BackfillPolicy.single_run())
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
        messages = [
            {"kind": "partition_metadata", "partition_key": key, "metadata": {"part": int(key[-1])}}
            for key in context.partition_keys
        ]
        custom = "".join(f"custom '{json.dumps(message)}'; " for message in messages)
        script = f'opened; {custom} report \'{{"rows":{{"raw_value":3,"type":"__infer__"}}}}\'; closed'
        yield from drayage.run(context=context, image=IMAGE, command=_command(script)).get_results()

    return report


def _fan(script: str) -> dg.JobDefinition:
    """Return twenty steps that are executed side by side."""

    def one(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name)
        def made(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> object:
            command = _command(script.replace("NAME", name))
            yield from drayage.run(context=context, image=IMAGE, command=command).get_results()

        return made

    executor = container_executor.configured({"max_concurrent": FAN}, name="fan")
    return _job(*(one(f"step_{number:02}") for number in range(FAN)), executor=executor)


def _job(
    *assets: dg.AssetsDefinition,
    config: dict[str, Any] | None = None,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
) -> dg.JobDefinition:
    client = DrayageClient(
        exchange_root=_ROOT or None,
        deployment=_DEPLOYMENT or None,
        secrets={"key": EnvSecret("CONTRACT_SECRET")},
    )
    definitions = dg.Definitions(
        assets=list(assets),
        jobs=[dg.define_asset_job("work", executor_def=executor, config=config)],
        loggers={"striking": striking},
        resources={"drayage": client},
    )
    return definitions.resolve_job_def("work")


def patient() -> dg.JobDefinition:
    # On a busy machine, the shell needs time to report that it stops.
    return _job(_single(PATIENT, stop_grace_s=60))


def talkative() -> dg.JobDefinition:
    """Return a step that is cancelled while its log messages are stored."""
    return _job(_single(TALKATIVE))


def struck() -> dg.JobDefinition:
    return _job(_single(PATIENT, stop_grace_s=60), config={"loggers": {"striking": {}}})


def stubborn() -> dg.JobDefinition:
    return _job(_single(STUBBORN))


def unforwarded() -> dg.JobDefinition:
    return _job(_single(PATIENT, forward_termination=False))


def plain() -> dg.JobDefinition:
    return _job(_single(PLAIN, adapter="key_value"))


def flooding() -> dg.JobDefinition:
    return _job(_single(FLOOD, adapter="key_value"))


def chain() -> dg.JobDefinition:
    return _job(_upstream(), _after_upstream())


def ahead() -> dg.JobDefinition:
    return _job(_ahead("first", AHEAD_FIRST), _ahead("second", AHEAD_SECOND, deps=["first"]))


def streamed() -> dg.JobDefinition:
    return _job(_streamed())


def marked() -> dg.JobDefinition:
    return _job(_single(MARKED, env={"MARK": os.environ.get("CONTRACT_ENV", "none")}))


def partitioned() -> dg.JobDefinition:
    return _job(_partitioned())


def fan() -> dg.JobDefinition:
    return _fan(ONE_OF_FAN)


def stubborn_fan() -> dg.JobDefinition:
    return _fan(STUBBORN_OF_FAN)


def talking_fan() -> dg.JobDefinition:
    return _fan(TALKING_OF_FAN)


def pooled() -> dg.JobDefinition:
    return _job(_single("opened; sleep 6; report '{}'; closed", pool="engine"))


def crashing() -> dg.JobDefinition:
    """Return three steps with five assets and four checks, for the test that kills this process at any moment.

    Two of them go side by side.
    """
    steps = (_upstream(), _both("streamed", streaming=True), _both("collected", streaming=False))
    return _job(*steps, executor=container_executor)


def _kill_with_context_of(step: str) -> None:
    """Let this process kill itself as soon as a step's workload has had the time to begin with its context."""
    put = FolderMailbox.put_context

    def put_and_die(mailbox: FolderMailbox, context: bytes) -> None:
        put(mailbox, context)
        if f'"{step}"'.encode() in context:
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)

    FolderMailbox.put_context = put_and_die  # type: ignore[method-assign]


def _kill_after(materializations: int, instance: dg.DagsterInstance) -> None:
    """Let this process kill itself as soon as the instance has stored so many materializations."""
    store, stored = instance.handle_new_event, itertools.count(1)

    def store_or_die(event: Any, **arguments: Any) -> None:
        store(event, **arguments)
        if event.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and next(stored) == materializations:
            os.kill(os.getpid(), signal.SIGKILL)

    instance.handle_new_event = store_or_die  # type: ignore[method-assign]


def _options(instance: dg.DagsterInstance) -> dg.ReexecutionOptions | None:
    if not _RETRIED:
        return None
    if _RETRIED[1:] == ["all"]:
        return dg.ReexecutionOptions(_RETRIED[0])
    return dg.ReexecutionOptions.from_failure(_RETRIED[0], instance)


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    pools = {"concurrency": {"pools": {"granularity": "op", "default_limit": 1}}}
    months = dict(zip(RANGE_TAGS, ("2019-01", "2019-06"), strict=True)) if _ROLE == "partitioned" else {}
    with dg.DagsterInstance.local_temp(_HOME, overrides=pools) as instance:
        if killed_after := os.environ.get("CONTRACT_KILLED_AFTER"):
            _kill_after(int(killed_after), instance)
        if step := os.environ.get("CONTRACT_KILLED_WITH_CONTEXT_OF"):
            _kill_with_context_of(step)
        result = dg.execute_job(
            dg.reconstructable(globals()[_ROLE]),
            instance,
            reexecution_options=_options(instance),
            raise_on_error=False,
            tags=months,
        )
        sys.exit(0 if result.success else 1)
