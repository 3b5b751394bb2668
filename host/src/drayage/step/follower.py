"""Follows one running container: reads its output, samples its usage, awaits its end, and stops it on request."""

import time
from collections.abc import Callable
from threading import Event

from drayage.engine import ContainerState, Engine, Output, short_id
from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError
from drayage.interrupts import need, wait
from drayage.step.output import OutputLogs
from drayage.step.usage import UsageMeter
from drayage.threads import background

_LONGEST_WAIT_S = 60.0
_SILENCE_S = 15.0
_END_DEADLINE_S = 2.0
_KILL_DEADLINE_S = 15.0
_ENGINE_DEADLINE_S = 60.0
_ENGINE_INTERVAL_S = 0.25
_POLL_S = 1.0
# What a step needs beside the grace period, to stop its container and to record how it ended.
_STOP_S = 5.0


class Follower:
    """The threads that follow one container.

    Args:
        engine: The engine that runs the container.
        container_id: Id of the container.
        logs: Where its output goes.
        output: Its output, followed already.
        on_change: Called from the threads when something has happened.
    """

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        *,
        logs: OutputLogs,
        output: Output,
        on_change: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._container_id = container_id
        self._reading = OutputReading(engine, container_id, logs=logs, output=output, on_change=on_change)
        self._on_change = on_change
        self._ended = Event()
        self._end: ContainerState | EngineError | None = None
        self._usage = UsageMeter(engine, container_id)
        self._threads = [
            background(target, self._ended, name=name)
            for name, target in (
                ("output", self._reading.read),
                ("end", self._await_end),
                ("usage", self._usage.sample_until),
            )
        ]

    def start(self) -> None:
        """Start to follow; a second call does nothing."""
        for thread in self._threads:
            if thread.ident is None:
                thread.start()

    @property
    def ended(self) -> bool:
        """Whether the container has ended, or can no longer be followed."""
        return self._ended.is_set()

    @property
    def caught_up_at(self) -> float | None:
        """When everything was read that an adopted container wrote before, in monotonic seconds; None if not yet."""
        return self._reading.caught_up_at

    def result(self) -> ContainerState:
        """Wait for the rest of the output as long as it comes, and return the container's last state.

        Raises:
            EngineError: The container has not ended or has vanished, or the engine does not come back.
        """
        if self._threads[0].ident is not None:
            self._reading.finish()
        else:
            self._reading.let_go()
        if isinstance(self._end, EngineError):
            raise self._end
        if self._end is None:
            raise EngineError(f"Container {short_id(self._container_id)} has not ended, so it cannot be judged yet.")
        return self._end

    def stop(self, signal: str, grace_s: float) -> None:
        """Stop the container: first with a signal, then by force.

        Args:
            signal: Name of the signal that is sent first.
            grace_s: Time between the signal and SIGKILL, in seconds.

        Raises:
            EngineError: The engine refuses, or does not answer.
        """
        # An error may have come after the container had started and before its follower did.
        self.start()
        need(grace_s + _STOP_S)
        errors: list[EngineError] = []
        stopped = Event()

        def stop() -> None:
            try:
                self._engine.stop(self._container_id, signal, grace_s)
            except EngineError as error:
                errors.append(error)
            finally:
                stopped.set()

        try:
            if not self.ended:
                # In a thread, because an interrupt must reach the code that waits.
                background(stop, name="stop").start()
                wait(stopped, grace_s + _KILL_DEADLINE_S)
        finally:
            # Also if a second interrupt cuts the grace period short.
            if not self._ended.wait(_KILL_DEADLINE_S if stopped.is_set() and not errors else 0):
                self._engine.stop(self._container_id, "SIGKILL", 0)
                self._ended.wait(_KILL_DEADLINE_S)
        if errors and not self.ended:
            raise errors[0]

    def let_go(self) -> None:
        """Stop following, and leave the container running."""
        self._reading.let_go()

    def measures(self) -> dict[str, float | None]:
        """Return what the container used, as :meth:`UsageMeter.measures` does."""
        return self._usage.measures()

    def _await_end(self, ended: Event) -> None:
        try:
            self._end = self._last_state()
        except EngineError as error:
            self._end = error
        except Exception as error:  # noqa: BLE001 - the step must learn of it, whatever it is
            self._end = EngineError(f"The end of container {short_id(self._container_id)} cannot be awaited: {error!r}")
        finally:
            ended.set()
            self._on_change()

    def _last_state(self) -> ContainerState:
        deadline = None
        while True:
            try:
                state = self._engine.await_end(self._container_id, _LONGEST_WAIT_S)
            except EngineUnavailableError:
                # An engine that restarts with live-restore leaves the container running, and cuts its output.
                self._reading.note_cut()
                deadline = deadline or time.monotonic() + _ENGINE_DEADLINE_S
                if time.monotonic() > deadline:
                    raise
                time.sleep(_ENGINE_INTERVAL_S)
                continue
            deadline = None
            if state is not None and state.status == "gone":
                raise ContainerGoneError(
                    f"Container {short_id(self._container_id)} was removed by someone else while the step was running, "
                    "so whether it succeeded is unknown. Run the step again."
                )
            if state is not None:
                return state


class OutputReading:
    """Reads a container's output to its end, through cuts of the connection.

    Args:
        engine: The engine that runs the container.
        container_id: Id of the container.
        logs: Where its output goes.
        output: Its output, followed already.
        on_change: Called when something has been read.
    """

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        *,
        logs: OutputLogs,
        output: Output,
        on_change: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._container_id = container_id
        self._logs = logs
        self._output = output
        self._on_change = on_change
        self._done = Event()
        self._is_cut = self._is_let_go = False
        self._last_chunk_at = time.monotonic()
        self.caught_up_at: float | None = self._last_chunk_at if output.caught_up else None

    def read(self, ended: Event) -> None:
        """Read to the end, in a thread of its own.

        Args:
            ended: Set when the container has ended.
        """
        try:
            self._read_through_cuts(ended)
        except Exception as error:  # noqa: BLE001 - the step must learn of it, whatever it is
            self._logs.lose(f"reading it failed ({error!r})")
        finally:
            self._done.set()
            self._on_change()

    def finish(self) -> None:
        """Wait for the end of the output, as long as it comes; interrupts are delivered meanwhile."""
        begun_at = time.monotonic()
        while not wait(self._done, _POLL_S):
            if time.monotonic() - max(begun_at, self._last_chunk_at) > _SILENCE_S:
                self._logs.lose(f"it did not come to an end within {_SILENCE_S:.0f} s of the container's")
                break
        self.let_go()

    def note_cut(self) -> None:
        """Note that the engine did not answer, so that the output may have been cut."""
        self._is_cut = True

    def let_go(self) -> None:
        """Stop reading."""
        self._is_let_go = True
        self._output.close()

    def _read_through_cuts(self, ended: Event) -> None:
        error = self._read_on()
        # An attachment ends in the same way when the container ends and when the engine does.
        is_whole = error is None and ended.wait(_END_DEADLINE_S) and not self._is_cut
        deadline = time.monotonic() + _ENGINE_DEADLINE_S
        while not is_whole and not self._is_let_go:
            read_before = self._output.cursor
            try:
                self._output = self._engine.follow(self._container_id, read_before)
                error = self._read_on()
                is_whole = error is None
            except EngineError as refusal:
                error = refusal
            if self._output.cursor != read_before:
                deadline = time.monotonic() + _ENGINE_DEADLINE_S
            if error is not None:
                if time.monotonic() > deadline:
                    self._logs.lose(str(error))
                    return
                time.sleep(_ENGINE_INTERVAL_S)

    def _read_on(self) -> EngineError | None:
        """Read until the output ends; return the error if it was cut."""
        output = self._output
        if self._is_let_go:
            # While the engine answered; what was closed was the output before this one.
            output.close()
        try:
            for stream, chunk in output:
                self._last_chunk_at = time.monotonic()
                if self.caught_up_at is None and output.caught_up:
                    self.caught_up_at = self._last_chunk_at
                if chunk:
                    self._logs.feed(stream, chunk)
                self._on_change()
        except EngineError as error:
            return error
        finally:
            if output.lost:
                self._logs.lose(output.lost)
        return None
