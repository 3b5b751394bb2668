"""Defines the executor that people give to their jobs."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from drayage.dagster_internals import runs
from drayage.errors import SettingsError
from drayage.executor.loop import StepLoop
from drayage.executor.streams import routed_streams

_MOST_AT_ONCE = 16


class ContainerExecutor(dg.Executor):
    """Executes the ready steps of a run side by side, in threads of one process.

    Args:
        retries: Whether a step that asks for it is tried again.
        max_concurrent: How many steps are executed at a time, at most.
        tag_limits: How many of the steps with certain tags are, in the form that Dagster's executors take.
        dependencies: When a step is ready.
    """

    def __init__(
        self,
        *,
        retries: runs.RetryMode,
        max_concurrent: int = _MOST_AT_ONCE,
        tag_limits: list[dict[str, Any]] | None = None,
        dependencies: runs.StepDependencyConfig,
    ) -> None:
        self._retries = retries
        self._max_concurrent = max_concurrent
        self._tag_limits = tag_limits
        self._dependencies = dependencies

    @property
    def retries(self) -> runs.RetryMode:
        """Whether a step that asks for it is tried again."""
        return self._retries

    @property
    def step_dependency_config(self) -> runs.StepDependencyConfig:
        """When a step is ready."""
        return self._dependencies

    def execute(
        self, plan_context: runs.PlanOrchestrationContext, execution_plan: runs.ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the steps of a plan, and yield their events.

        Args:
            plan_context: The run's context, without its resources.
            execution_plan: The plan.

        Raises:
            dagster.DagsterExecutionInterruptedError: The run was interrupted, and its steps have been.
        """
        data = runs.EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute)
        where = f"side by side in process {os.getpid()}"
        began = time.monotonic()
        yield dg.DagsterEvent.engine_event(
            plan_context, f"Executing up to {self._max_concurrent} steps {where}", event_specific_data=data
        )
        yield from runs.execute_in_resources(plan_context, execution_plan, self._steps, self._dependencies)
        took_s = time.monotonic() - began
        yield dg.DagsterEvent.engine_event(
            plan_context, f"Finished steps {where} in {took_s:.2f} s", event_specific_data=data
        )

    def _steps(self, job_context: runs.PlanExecutionContext, plan: runs.ExecutionPlan) -> Iterator[dg.DagsterEvent]:
        with (
            runs.start_plan(
                job_context, plan, max_concurrent=self._max_concurrent, tag_limits=self._tag_limits
            ) as active,
            runs.records_by_step(job_context),
        ):
            with runs.capture_run_logs(job_context) as events:
                yield from events
                events.clear()
                with routed_streams():
                    yield from StepLoop(job_context, active).events()
            yield from events


@dg.executor(
    name="container",
    config_schema={
        "max_concurrent": dg.Field(
            dg.Int, default_value=_MOST_AT_ONCE, description="How many steps are executed at a time, at most."
        ),
        **runs.executor_config(),
    },
)
def container_executor(init_context: dg.InitExecutorContext) -> ContainerExecutor:
    """Execute the ready steps of a run side by side, in threads of one process: for steps that wait for containers.

    A step of ``DrayageClient`` has a process of its own already, its container; another one around it would cost two
    seconds of a processor. Steps that compute in Python take turns, as threads do.

    Its configuration is that of Dagster's multiprocess executor: ``max_concurrent`` (16), ``tag_concurrency_limits``
    and ``retries``; pools and priorities hold too.

    Raises:
        SettingsError: ``max_concurrent`` is below one.
    """
    config: Mapping[str, Any] = init_context.executor_config
    max_concurrent = config["max_concurrent"]
    if max_concurrent < 1:
        raise SettingsError(f"max_concurrent of the container executor: expected 1 or more, got {max_concurrent}.")
    return ContainerExecutor(
        retries=runs.RetryMode.from_config(config["retries"]) or runs.RetryMode.ENABLED,
        max_concurrent=max_concurrent,
        tag_limits=config.get("tag_concurrency_limits"),
        dependencies=runs.StepDependencyConfig.from_config(config.get("step_dependency_config")),
    )
