"""Executes one step in a thread of its own."""

from collections.abc import Mapping
from contextvars import copy_context
from logging import LogRecord
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import TextIO

import dagster as dg

from drayage.dagster_internals import runs
from drayage.executor.streams import writing_to
from drayage.interrupts import Cancellation


class StepThread:
    """One attempt at a step.

    Args:
        job_context: The run's context.
        step_context: The step's context.
        results: Gets the step's events, which are recorded already; an error that ends it besides; and None at the end.
    """

    def __init__(
        self,
        job_context: runs.PlanExecutionContext,
        step_context: runs.StepExecutionContext,
        results: "SimpleQueue[tuple[StepThread, dg.DagsterEvent | BaseException | None]]",
    ) -> None:
        self._job_context = job_context
        self._step_context = step_context
        self._results = results
        self._cancellation = Cancellation(dg.DagsterExecutionInterruptedError)
        self._is_left_behind = False
        self._thread = Thread(
            target=copy_context().run, args=(self._execute,), name=f"step-{step_context.step.key}", daemon=True
        )
        self.outcome: dg.DagsterEvent | None = None
        step_context.log.addFilter(self._may_record)

    @property
    def key(self) -> str:
        """The step's key."""
        return self._step_context.step.key

    @property
    def needed_until(self) -> float:
        """Until when the step needs time to end after it was cancelled, in seconds on the monotonic clock."""
        return self._cancellation.needed_until

    @property
    def is_alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the step."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask the step to end: it is interrupted where it waits for its container, and by :meth:`strike`."""
        self._cancellation.request()

    def strike(self, *, hard: bool) -> None:
        """Interrupt the step wherever it is; see :meth:`drayage.interrupts.Cancellation.strike`."""
        if self._cancellation.strike(hard=hard):
            runs.wake(self._step_context)

    def fail(self, reason: str) -> dg.DagsterEvent:
        """Record that the step was interrupted, in its place; what it does from now on is recorded no more."""
        self._is_left_behind = True
        return runs.failure_of(self._step_context, reason)

    def _may_record(self, _record: LogRecord) -> bool:
        return not self._is_left_behind or current_thread() is not self._thread

    def _put(self, *items: dg.DagsterEvent | BaseException | None) -> None:
        for item in items:
            self._results.put((self, item))

    def _execute(self) -> None:
        try:
            with runs.open_step_logs(self._job_context, self.key) as (events, streams):
                self._put(*events)
                events.clear()
                self._execute_logged(streams)
            self._put(*events)
        except BaseException as error:  # noqa: BLE001 - as below
            self._put(error)
        finally:
            self._put(None)

    def _execute_logged(self, streams: Mapping[str, TextIO]) -> None:
        try:
            with writing_to(streams), self._cancellation.governing():
                for event in runs.step_sequence(self._step_context):
                    self._put(event)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run must learn of it
            self._put(error)
