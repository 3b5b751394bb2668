"""Holds what the executor (``drayage.executor``) needs of Dagster's own ones, and nothing else uses.

- The state of a plan (which step is ready, skipped, abandoned, to be retried, waiting for its pool), the context of a
  run's resources, and the events of one step are Dagster's own, so that a run differs from one that the in-process
  executor executes in nothing but its order.
- Steps side by side share what Dagster meant for one at a time: the set of outputs that are ready, the event loop of
  ``async`` ops, and the loggers of Python that a step's records are taken from. Each step gets its own.
- Compute logs are captured by exchanging the file descriptors of the process. A step's own are opened as streams,
  whose end only the storage's own methods can mark.

``tests/drayage/executor`` fails by name if Dagster moves one of them.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, TextIO, cast

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext, StepExecutionContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import (
    _handle_compute_log_setup_error,
    _handle_compute_log_teardown_error,
    _trigger_hook,
    dagster_event_sequence_for_step,
)
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.objects import ErrorSource, step_failure_event_from_exc_info
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.step_dependency_config import StepDependencyConfig, get_step_dependency_config_field
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.storage.cloud_storage_compute_log_manager import CloudStorageComputeLogManager
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType, ComputeLogManager
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

__all__ = [
    "ActiveExecution",
    "EngineEventData",
    "ExecutionPlan",
    "ExecutionStep",
    "PlanExecutionContext",
    "PlanOrchestrationContext",
    "RetryMode",
    "StepDependencyConfig",
    "StepExecutionContext",
    "capture_run_logs",
    "execute_in_resources",
    "executor_config",
    "failure_of",
    "open_step_logs",
    "prepare_step",
    "records_by_step",
    "start_plan",
    "step_sequence",
    "wake",
]


def executor_config() -> dict[str, dg.Field]:
    """Return the configuration that Dagster's executors have in common."""
    return {
        "retries": get_retries_config(),  # type: ignore[no-untyped-call]  # Dagster's own has no types
        "tag_concurrency_limits": get_tag_concurrency_limits_config(),  # type: ignore[no-untyped-call]  # as above
        "step_dependency_config": get_step_dependency_config_field(),  # type: ignore[no-untyped-call]  # as above
    }


def execute_in_resources(
    plan_context: PlanOrchestrationContext,
    plan: ExecutionPlan,
    events: Callable[[PlanExecutionContext, ExecutionPlan], Iterator[dg.DagsterEvent]],
    dependencies: StepDependencyConfig,
) -> Iterator[dg.DagsterEvent]:
    """Set up the run's resources, execute its steps, and tear the resources down.

    Args:
        plan_context: The run's context, without resources.
        plan: The run's plan.
        events: Executes the steps; yields their events.
        dependencies: When a step is ready.

    Yields:
        All events.
    """
    yield from ExecuteRunWithPlanIterable(
        execution_plan=plan,
        iterator=lambda *, job_context, execution_plan: events(job_context, execution_plan),
        execution_context_manager=PlanExecutionContextManager(
            job=plan_context.job,
            retry_mode=plan_context.retry_mode,
            execution_plan=plan,
            run_config=plan_context.run_config,
            dagster_run=plan_context.dagster_run,
            instance=plan_context.instance,
            raise_on_error=plan_context.raise_on_error,
            output_capture=plan_context.output_capture,
            step_dependency_config=dependencies,
        ),
    )


@contextlib.contextmanager
def start_plan(
    job_context: PlanExecutionContext,
    plan: ExecutionPlan,
    *,
    max_concurrent: int,
    tag_limits: list[dict[str, Any]] | None,
) -> Iterator[ActiveExecution]:
    """Yield the state of a plan's execution: which steps are ready, within all limits of concurrency.

    Args:
        job_context: The run's context.
        plan: The run's plan.
        max_concurrent: How many steps may be executed at a time.
        tag_limits: Limits for steps with certain tags.
    """
    with (
        InstanceConcurrencyContext(job_context.instance, job_context.dagster_run) as pools,
        plan.start(
            retry_mode=job_context.retry_mode,
            max_concurrent=max_concurrent,
            tag_concurrency_limits=tag_limits or [],
            instance_concurrency_context=pools,
            step_dependency_config=job_context.step_dependency_config,
        ) as active,
    ):
        yield active


def prepare_step(
    job_context: PlanExecutionContext, active: ActiveExecution, step: ExecutionStep
) -> StepExecutionContext:
    """Return the context of a step that shares nothing with those of other steps but the run's resources."""
    state = active.get_known_state()
    # The set of ready outputs is the live one, which changes as other steps end.
    context = job_context.for_step(step, state._replace(ready_outputs=set(state.ready_outputs)))
    # The run's own can run one thing at a time.
    context._event_loop = asyncio.new_event_loop()  # noqa: SLF001 - see above
    context.log._managed_loggers = [_Gate()]  # type: ignore[list-item]  # noqa: SLF001 - see records_by_step
    return context


def step_sequence(context: StepExecutionContext) -> Iterator[dg.DagsterEvent]:
    """Execute a step in this thread, and then its hooks; yield the events, which are recorded already."""
    (gate,) = context.log._managed_loggers  # noqa: SLF001 - see records_by_step
    token = _gate.set(gate)  # type: ignore[arg-type]
    try:
        events = []
        for event in dagster_event_sequence_for_step(context):
            events.append(event)
            yield event
        yield from _trigger_hook(context, events)
    finally:
        _gate.reset(token)
        context.event_loop.run_until_complete(context.event_loop.shutdown_asyncgens())
        context.event_loop.close()


def wake(context: StepExecutionContext) -> None:
    """Let an ``async`` op that waits for nothing but time notice what was raised in its thread."""
    # The loop may be closed by now.
    with contextlib.suppress(RuntimeError):
        context.event_loop.call_soon_threadsafe(lambda: None)


def failure_of(context: StepExecutionContext, reason: str) -> dg.DagsterEvent:
    """Record that a step failed because the run was interrupted, and return the event."""
    try:
        # Dagster takes the error from where it was caught.
        raise dg.DagsterExecutionInterruptedError(reason)  # noqa: TRY301 - as above
    except dg.DagsterExecutionInterruptedError:
        event: dg.DagsterEvent = step_failure_event_from_exc_info(
            context, sys.exc_info(), error_source=ErrorSource.INTERRUPT
        )
        return event


class _Gate:
    """Stands for the managed loggers in one step's log, which adds its handler to them while user code runs."""

    def __init__(self) -> None:
        self.handler: logging.Handler | None = None

    def addHandler(self, handler: logging.Handler) -> None:  # noqa: N802 - logging's name
        self.handler = handler

    def removeHandler(self, _handler: logging.Handler) -> None:  # noqa: N802 - logging's name
        self.handler = None


_gate: ContextVar[_Gate | None] = ContextVar("drayage_gate", default=None)


class _StepRecords(logging.Handler):
    """Passes a log record to the step in whose context it was made, or to the run if that is no step's."""

    def __init__(self, of_run: logging.Handler) -> None:
        super().__init__()
        self._of_run = of_run

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Do without a lock: the step's own handler has one, and stores the record while it holds it."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        gate = _gate.get()
        if gate is not None:
            if gate.handler is not None:
                gate.handler.handle(record)
        elif current_thread() is not main_thread():
            self._of_run.handle(record)


@contextlib.contextmanager
def records_by_step(job_context: PlanExecutionContext) -> Iterator[None]:
    """Let the records of ``get_dagster_logger()`` and of other managed loggers go to the step that makes them.

    Each step would add a handler to these loggers, and the first one would take the records of all steps.
    """
    handler = _StepRecords(job_context.log._dagster_handler)  # noqa: SLF001 - see above
    loggers = job_context.log._managed_loggers  # noqa: SLF001 - as above
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


@contextlib.contextmanager
def capture_run_logs(job_context: PlanExecutionContext) -> Iterator[list[dg.DagsterEvent]]:
    """Capture what the process writes and no step can be named for, as a compute log of the run.

    Yields:
        The events of the capture; one may be added at the end.
    """
    manager = job_context.instance.compute_log_manager
    log_key = _new_log_key(job_context)
    events: list[dg.DagsterEvent] = []
    with contextlib.ExitStack() as capture:
        try:
            log_context = capture.enter_context(manager.capture_logs(log_key))
            events.append(dg.DagsterEvent.capture_logs(job_context, [], log_key, log_context))
        except Exception:  # noqa: BLE001 - a step without logs is better than none; so do Dagster's executors
            events.extend(_handle_compute_log_setup_error(job_context, sys.exc_info()))
        yield events
        try:
            capture.close()
        except Exception:  # noqa: BLE001 - as above
            events.extend(_handle_compute_log_teardown_error(job_context, sys.exc_info()))


@contextlib.contextmanager
def open_step_logs(
    job_context: PlanExecutionContext, step_key: str
) -> Iterator[tuple[list[dg.DagsterEvent], dict[str, TextIO]]]:
    """Open a step's compute log.

    Args:
        job_context: The run's context.
        step_key: The step's key.

    Yields:
        The events of the capture, and the log's streams, ``stdout`` and ``stderr``; none if the instance keeps no
        compute logs. An event may be added at the end.
    """
    log_key = _new_log_key(job_context)
    events: list[dg.DagsterEvent] = []
    streams: dict[str, TextIO] = {}
    with contextlib.ExitStack() as capture:
        try:
            streams = capture.enter_context(_streams(job_context.instance.compute_log_manager, log_key))
            events.append(dg.DagsterEvent.capture_logs(job_context, [step_key], log_key, CapturedLogContext(log_key)))
        except Exception:  # noqa: BLE001 - as above
            events.extend(_handle_compute_log_setup_error(job_context, sys.exc_info()))
        yield events, streams
        try:
            capture.close()
        except Exception:  # noqa: BLE001 - as above
            events.extend(_handle_compute_log_teardown_error(job_context, sys.exc_info()))


@contextlib.contextmanager
def _streams(manager: ComputeLogManager[Any], log_key: Sequence[str]) -> Iterator[dict[str, TextIO]]:
    if isinstance(manager, CloudStorageComputeLogManager):
        # Its own streams upload both logs when one of them ends, and once more, empty, when the other one does.
        with manager._poll_for_local_upload(log_key), _streams(manager.local_manager, log_key) as streams:  # noqa: SLF001
            yield streams
        manager._on_capture_complete(log_key)  # noqa: SLF001 - as above
        return
    with (
        manager.open_log_stream(log_key, ComputeIOType.STDOUT) as stdout,
        manager.open_log_stream(log_key, ComputeIOType.STDERR) as stderr,
    ):
        # They are declared as binary, and are text in each of Dagster's managers.
        opened = {"stdout": stdout, "stderr": stderr}
        yield {name: cast("TextIO", stream) for name, stream in opened.items() if stream is not None}
    if isinstance(manager, LocalComputeLogManager):
        Path(manager.complete_artifact_path(log_key)).touch()  # type: ignore[no-untyped-call]  # as above


def _new_log_key(job_context: PlanExecutionContext) -> Sequence[str]:
    file_key: str = create_compute_log_file_key()  # type: ignore[no-untyped-call]  # as above
    return job_context.instance.compute_log_manager.build_log_key_for_run(job_context.run_id, file_key)
