"""Starts the steps that are ready, takes their events, and sees to it that all of them end: the main thread's part."""

import queue
import time
from collections.abc import Iterator

import dagster as dg

from drayage.dagster_internals import runs
from drayage.executor.ending import end_with_main_thread
from drayage.executor.step_thread import StepThread

# How late an interrupt is noticed: a signal does not wake a thread that waits for a queue.
_POLL_S = 0.1
_HURRIED_POLL_S = 0.02
# What interrupted steps have to end. A container has three seconds between its signal and its death by default.
_GRACE_S = 7.0
# From when on a step is interrupted within Dagster too, after Dagster has had time to record what it was recording.
_HARD_AFTER_S = 2.0
_INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)


class StepLoop:
    """Executes the steps of one run.

    Args:
        job_context: The run's context.
        active: The state of the plan's execution.
    """

    def __init__(self, job_context: runs.PlanExecutionContext, active: runs.ActiveExecution) -> None:
        self._job_context = job_context
        self._active = active
        self._results: queue.SimpleQueue[tuple[StepThread, dg.DagsterEvent | BaseException | None]] = (
            queue.SimpleQueue()
        )
        self._running: set[StepThread] = set()
        self._stopped_at: float | None = None
        self._interrupted = False
        self._error: BaseException | None = None

    def events(self) -> Iterator[dg.DagsterEvent]:
        """Execute the steps, and yield their events.

        Raises:
            dagster.DagsterExecutionInterruptedError: The run was interrupted.
        """
        try:
            while self._running or not (self._active.is_complete or self._stopped_at is not None):
                yield from self._heed_interrupt()
                if self._stopped_at is None:
                    yield from self._start_ready()
                else:
                    yield from self._press(self._stopped_at)
                yield from self._take_results()
        finally:
            # Also if Dagster fails here or closes the generator: no container stays without anyone who follows it.
            self._end_all()
        if self._error is not None:
            raise self._error
        if self._interrupted:
            yield self._engine_event("The interrupted steps have ended.")
            raise dg.DagsterExecutionInterruptedError

    def _heed_interrupt(self) -> Iterator[dg.DagsterEvent]:
        if self._active.check_for_interrupts():
            self._interrupted = True
            self._active.mark_interrupted()
            yield self._engine_event("The run is interrupted: its steps are being cancelled.")
            # Another interrupt means that whoever sent it will not wait for containers to stop by themselves.
            self._cancel()

    def _start_ready(self) -> Iterator[dg.DagsterEvent]:
        # Those to be skipped first: other steps may be ready then.
        yield from self._active.plan_events_iterator(self._job_context)
        for step in self._active.get_steps_to_execute():
            context = runs.prepare_step(self._job_context, self._active, step)
            thread = StepThread(self._job_context, context, self._results)
            self._running.add(thread)
            thread.start()
        yield from self._active.concurrency_event_iterator(self._job_context)

    def _take_results(self) -> Iterator[dg.DagsterEvent]:
        """Wait for results, and take all that are there before other steps are looked for."""
        timeout_s = _POLL_S if self._stopped_at is None else _HURRIED_POLL_S
        # Steps that wait to be tried again; for a pool, it is never above zero.
        interval_s = self._active.sleep_interval()  # type: ignore[no-untyped-call]  # Dagster's own has no types
        if interval_s > 0:
            timeout_s = min(timeout_s, interval_s)
        if not self._running and self._active.is_complete:
            return
        while True:
            try:
                thread, item = self._results.get(timeout=timeout_s)
            except queue.Empty:
                return
            timeout_s = 0
            if thread in self._running:
                yield from self._take(thread, item)

    def _take(self, thread: StepThread, item: dg.DagsterEvent | BaseException | None) -> Iterator[dg.DagsterEvent]:
        if isinstance(item, dg.DagsterEvent):
            yield item
            if item.is_step_success or item.is_step_failure or item.is_step_up_for_retry:
                # The step is over when its thread is, with its hooks and its log.
                thread.outcome = item
            elif item.step_key is not None:
                self._active.handle_event(item)
        elif item is not None:
            if not (self._stopped_at is not None and isinstance(item, _INTERRUPTS)):
                self._error = self._error or item
                self._cancel()
        else:
            yield from self._close(thread)

    def _close(self, thread: StepThread) -> Iterator[dg.DagsterEvent]:
        self._running.discard(thread)
        if thread.outcome is None and self._stopped_at is not None:
            thread.outcome = thread.fail("the run was interrupted")
            yield thread.outcome
        if thread.outcome is not None:
            self._active.handle_event(thread.outcome)
        self._active.verify_complete(self._job_context, thread.key)
        if self._stopped_at is None:
            # At once: only then does the plan know which steps a dynamic output has made.
            yield from self._active.plan_events_iterator(self._job_context)

    def _cancel(self) -> None:
        self._stopped_at = self._stopped_at or time.monotonic()
        for thread in self._running:
            thread.cancel()

    def _press(self, stopped_at: float) -> Iterator[dg.DagsterEvent]:
        """Interrupt the steps that have not ended; leave those behind that ignore it, and record their failures."""
        now = time.monotonic()
        for thread in list(self._running):
            thread.strike(hard=now > stopped_at + _HARD_AFTER_S)
            if now > max(stopped_at + _GRACE_S, thread.needed_until):
                end_with_main_thread()
                thread.outcome = thread.fail(
                    f"The step did not end within {now - stopped_at:.0f} s of its interruption: it is left behind, and "
                    "ends with the process."
                )
                yield thread.outcome
                yield from self._close(thread)
            elif not thread.is_alive:
                # It was struck on its last steps, so that it could not say so; what it did say comes first.
                self._results.put((thread, None))

    def _end_all(self) -> None:
        if not self._running:
            return
        self._cancel()
        while self._running:
            for _ in self._press(self._stopped_at or 0.0):
                pass
            for _ in self._take_results():
                pass

    def _engine_event(self, message: str) -> dg.DagsterEvent:
        keys = sorted(thread.key for thread in self._running)
        return dg.DagsterEvent.engine_event(self._job_context, message, runs.EngineEventData.interrupted(keys))
