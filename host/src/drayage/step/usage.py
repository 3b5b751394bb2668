"""Samples what a running container uses."""

import time
from threading import Event, Lock

from drayage.engine import Engine
from drayage.errors import EngineError

_FIRST_SAMPLE_S = 0.1
_SAMPLE_INTERVAL_S = 1.0
# Each sample is a request to the engine, and there may be a thousand containers that wait for something.
_LONGEST_SAMPLE_INTERVAL_S = 10.0
_INTERVAL_PER_AGE = 0.05


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

    def sample_until(self, ended: Event) -> None:
        """Take samples, ever more rarely, until the container has ended."""
        # Not immediately: the engine is slow to measure a container that is just starting, and that delays its end.
        interval_s, begun_at = _FIRST_SAMPLE_S, time.monotonic()
        while not ended.wait(interval_s):
            self.sample()
            by_age_s = _INTERVAL_PER_AGE * (time.monotonic() - begun_at)
            interval_s = min(_LONGEST_SAMPLE_INTERVAL_S, max(by_age_s, min(_SAMPLE_INTERVAL_S, interval_s * 2)))

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
