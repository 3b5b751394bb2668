"""When events go out: all at once, in bursts with pauses, or at a steady rate."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

import pyarrow as pa

CHUNK_ROWS: Final = 10_000
"""Most events encoded at once: some 3 MB of scratch memory for trips as the TLC has them."""

COMMIT_EVERY_S: Final = 1.0
TICK_S: Final = 0.1
"""How finely a steady rate is cut."""


class Outlet(Protocol):
    """Where trips go."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what the block sends, or abort."""

    def send(self, trips: Iterator[pa.RecordBatch]) -> None:
        """Send trips within the transaction."""

    def serve(self, wait_s: float) -> None:
        """Wait, and take in what the broker says meanwhile."""


class TripStream:
    """Trips to be taken in any number, however the source cuts them.

    Args:
        batches: The source's batches.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest: pa.RecordBatch | None = None

    def take(self, count: int) -> Iterator[pa.RecordBatch]:
        """Give the next trips in chunks, fewer when the source ends."""
        while count > 0:
            if self._rest is None or self._rest.num_rows == 0:
                self._rest = next(self._batches, None)
                if self._rest is None:
                    return
            chunk = self._rest.slice(0, min(count, CHUNK_ROWS))
            self._rest = self._rest.slice(chunk.num_rows)
            count -= chunk.num_rows
            if chunk.num_rows:
                yield chunk


def send_in_bursts(
    outlet: Outlet,
    trips: TripStream,
    *,
    total: int,
    burst_size: int,
    pause_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send a transaction of `burst_size` trips after another, as fast as they go.

    Args:
        outlet: Where trips go.
        trips: What to send.
        total: Number of trips.
        burst_size: Trips of one transaction; `total` sends all in one.
        pause_s: Seconds between one commit and the next burst.
        clock: Seconds of a clock that never goes back.
    """
    for start in range(0, total, burst_size):
        if start:
            _pause(outlet, clock() + pause_s, clock)
        with outlet.transaction():
            outlet.send(trips.take(burst_size))


def send_at_rate(
    outlet: Outlet,
    trips: TripStream,
    *,
    total: int,
    events_per_second: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send trips at a steady rate, and commit at least each second.

    Args:
        outlet: Where trips go.
        trips: What to send.
        total: Number of trips.
        events_per_second: The rate, from the first trip on.
        clock: Seconds of a clock that never goes back.
    """
    started = clock()
    sent = 0
    while sent < total:
        with outlet.transaction():
            commit_at = clock() + COMMIT_EVERY_S
            while sent < total and clock() < commit_at:
                due = min(total, 1 + int((clock() - started) * events_per_second)) - sent
                outlet.send(trips.take(due))
                sent += due
                outlet.serve(TICK_S)


def _pause(outlet: Outlet, until: float, clock: Callable[[], float]) -> None:
    while (left_s := until - clock()) > 0:
        outlet.serve(min(left_s, TICK_S))
