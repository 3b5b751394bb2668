"""Follows one running container: reads its output, samples its usage, awaits its end, and stops it on request."""

import time
from collections.abc import Callable
from threading import Event, Lock, Thread

from drayage.engine import ContainerState, Engine, Output, Stream
from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError
from drayage.interrupts import wait
from drayage.step.output import OutputLogs

_FIRST_SAMPLE_S = 0.1
_SAMPLE_INTERVAL_S = 1.0
_OUTPUT_DEADLINE_S = 15.0
_KILL_DEADLINE_S = 15.0
_ENGINE_DEADLINE_S = 60.0
_ENGINE_INTERVAL_S = 0.25


class Follower:
    """The threads that follow one container.

    Args:
        engine: The engine that runs the container.
        container_id: Id of the container.
        logs: Where its output goes.
        output: Its output, attached already.
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
        self._logs = logs
        self._output = output
        self._on_change = on_change
        self._ended = Event()
        # An engine that restarts cuts the output stream, and the stream does not resume.
        self._is_cut = False
        self._end: ContainerState | EngineError | None = None
        self._usage = UsageMeter(engine, container_id)
        self._threads = {
            name: Thread(target=target, name=f"drayage-{name}", daemon=True)
            for name, target in (("output", self._read_output), ("end", self._await_end), ("usage", self._measure))
        }

    def start(self) -> None:
        """Start to follow; a second call does nothing."""
        for thread in self._threads.values():
            if thread.ident is None:
                thread.start()

    @property
    def ended(self) -> bool:
        """Whether the container has ended, or can no longer be followed."""
        return self._ended.is_set()

    def result(self) -> ContainerState:
        """Wait for the rest of the output, and return the container's last state.

        Raises:
            EngineError: The container has not ended or has vanished, or the engine does not come back.
        """
        if self._threads["output"].ident is not None:
            self._threads["output"].join(_OUTPUT_DEADLINE_S)
        self._output.close()
        if isinstance(self._end, EngineError):
            raise self._end
        if self._end is None:
            raise EngineError(f"Container {self._container_id[:12]} has not ended, so it cannot be judged yet.")
        return self._end

    def stop(self, signal: str, grace_s: float) -> None:
        """Stop the container: first with a signal, then by force.

        Args:
            signal: Name of the signal that is sent first.
            grace_s: Time between the signal and SIGKILL, in seconds.
        """
        # An error may have come after the container had started and before its follower did.
        self.start()
        try:
            if signal != "SIGKILL" and not self.ended:
                self._engine.signal(self._container_id, signal)
                wait(self._ended, grace_s)
        finally:
            # Also if a second interrupt cuts the grace period short.
            if not self.ended:
                self._engine.signal(self._container_id, "SIGKILL")
                self._ended.wait(_KILL_DEADLINE_S)

    def let_go(self) -> None:
        """Stop following, and leave the container running."""
        self._output.close()

    def _read_output(self) -> None:
        received: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        for stream, chunk in self._output:
            received[stream] += len(chunk)
            self._logs.feed(stream, chunk)
            self._on_change()
        self._ended.wait()
        if self._is_cut:
            self._read_rest(received)

    def _read_rest(self, received: dict[Stream, int]) -> None:
        """Read the output after the cut from the engine's record."""
        try:
            self._output = self._engine.output(self._container_id, from_start=True)
            for stream, chunk in self._output:
                self._logs.feed(stream, chunk[received[stream] :])
                received[stream] = max(0, received[stream] - len(chunk))
        except EngineError as error:
            self._logs.feed("stderr", f"drayage: the rest of the output is lost: {error}\n".encode())

    def _await_end(self) -> None:
        try:
            deadline = None
            while self._end is None:
                try:
                    self._engine.wait(self._container_id)
                    state = self._engine.state(self._container_id)
                    deadline = None
                    if state.ended:
                        self._end = state
                    else:
                        # The engine does not wait for a container that it is restarting: it answers at once.
                        self._ended.wait(_ENGINE_INTERVAL_S)
                except EngineUnavailableError as error:
                    # An engine that restarts with live-restore leaves the container running.
                    self._is_cut = True
                    deadline = deadline or time.monotonic() + _ENGINE_DEADLINE_S
                    if time.monotonic() > deadline:
                        self._end = error
                        return
                    self._ended.wait(_ENGINE_INTERVAL_S)
        except ContainerGoneError as error:
            self._end = ContainerGoneError(
                f"Container {self._container_id[:12]} was removed by someone else while the step was running, so "
                f"whether it succeeded is unknown. Run the step again. ({error})"
            )
        except EngineError as error:
            self._end = error
        finally:
            self._ended.set()
            self._on_change()

    def _measure(self) -> None:
        # Not immediately: the engine is slow to measure a container that is just starting, and that delays its end.
        interval_s = _FIRST_SAMPLE_S
        while not self._ended.wait(interval_s):
            self._usage.sample()
            interval_s = min(_SAMPLE_INTERVAL_S, interval_s * 2)

    def measures(self) -> dict[str, float | None]:
        """Return what the container used, as :meth:`UsageMeter.measures` does."""
        return self._usage.measures()


class UsageMeter:
    """Samples a container's memory and processor time.

    Args:
        engine: The engine that runs the container.
        container_id: Id of the container.
    """

    def __init__(self, engine: Engine, container_id: str) -> None:
        self._engine = engine
        self._container_id = container_id
        self._lock = Lock()
        self._peak_memory_bytes: int | None = None
        self._cpu_s: float | None = None

    def sample(self) -> None:
        """Take one sample; a missed one does not fail the step, since its numbers are documented as sampled."""
        try:
            usage = self._engine.usage(self._container_id)
        except EngineError:
            return
        if usage is not None:
            with self._lock:
                self._peak_memory_bytes = max(self._peak_memory_bytes or 0, usage.memory_bytes)
                self._cpu_s = max(self._cpu_s or 0.0, usage.cpu_s)

    def measures(self) -> dict[str, float | None]:
        """Return peak memory in MiB and CPU time in seconds; None if the container ended before the first sample."""
        with self._lock:
            peak, cpu_s = self._peak_memory_bytes, self._cpu_s
        return {
            "peak_memory_mib": None if peak is None else round(peak / 2**20, 1),
            "cpu_s": None if cpu_s is None else round(cpu_s, 3),
        }
