"""Send events all at once, in bursts with pauses, or at a steady rate."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

import pyarrow as pa

CHUNK_ROWS: Final = 10_000
"""Largest number of events encoded at once; takes some 3 MB of scratch memory for trips like the TLC's."""

MOST_TRANSACTION_EVENTS: Final = 500_000
MOST_TRANSACTION_S: Final = 30.0
"""A transaction ends after so many events or seconds: what a killed step loses, and far below the broker's limit."""

COMMIT_EVERY_S: Final = 1.0
TICK_S: Final = 0.1
"""Resolution of a steady rate."""


class Outlet(Protocol):
    """The destination of trips."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what the block sends, or abort."""

    def send(self, trips: Iterator[pa.RecordBatch]) -> None:
        """Send trips within the transaction."""

    def serve(self, wait_s: float) -> None:
        """Wait, and handle the broker's reports in the meantime."""


class TripStream:
    """Hands out trips in any number, independent of the source's batches.

    Args:
        batches: The source's batches.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest: pa.RecordBatch | None = None

    def skip(self, count: int) -> None:
        """Leave out the next ``count`` trips."""
        for _ in self.take(count):
            pass

    def take(self, count: int) -> Iterator[pa.RecordBatch]:
        """Yield the next ``count`` trips in chunks; fewer if the source ends."""
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
    """Send one burst of ``burst_size`` trips after another, each as fast as possible.

    A burst is one transaction, or several if it is large or slow.

    Args:
        outlet: The destination.
        trips: The trips to send.
        total: Number of trips.
        burst_size: Number of trips in one burst; ``total`` sends all in one.
        pause_s: Seconds between the last commit of a burst and the next burst.
        clock: Returns the seconds of a monotonic clock.
    """
    for start in range(0, total, burst_size):
        if start:
            _pause(outlet, clock() + pause_s, clock)
        left = min(burst_size, total - start)
        while left:
            left -= _send_transaction(outlet, trips, min(left, MOST_TRANSACTION_EVENTS), clock)


def send_at_rate(
    outlet: Outlet,
    trips: TripStream,
    *,
    total: int,
    events_per_second: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send trips at a steady rate, and commit at least every second.

    Args:
        outlet: The destination.
        trips: The trips to send.
        total: Number of trips.
        events_per_second: The rate, from the first trip on.
        clock: Returns the seconds of a monotonic clock.
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


def _send_transaction(outlet: Outlet, trips: TripStream, most: int, clock: Callable[[], float]) -> int:
    """Send at most ``most`` trips in one transaction, and return their number."""
    commit_at = clock() + MOST_TRANSACTION_S
    sent = 0
    with outlet.transaction():
        while sent < most and clock() < commit_at:
            due = min(CHUNK_ROWS, most - sent)
            outlet.send(trips.take(due))
            sent += due
    return sent


def _pause(outlet: Outlet, until: float, clock: Callable[[], float]) -> None:
    while (left_s := until - clock()) > 0:
        outlet.serve(min(left_s, TICK_S))
