from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest

from generator.pacing import CHUNK_ROWS, MOST_TRANSACTION_EVENTS, TripStream, send_at_rate, send_in_bursts


class FakeOutlet:
    """An outlet with its own clock: waiting advances it, and so does sending a chunk.

    Args:
        chunk_s: Seconds that sending a chunk takes.
    """

    def __init__(self, chunk_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.chunk_s = chunk_s
        self.sent: list[int] = []
        self.sent_at: list[float] = []
        self.commits: list[tuple[float, int]] = []

    def clock(self) -> float:
        """Read the clock."""
        return self.now_s

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Record the time and size of the commit."""
        yield
        self.commits.append((self.now_s, len(self.sent)))

    def send(self, trips: Iterator[pa.RecordBatch]) -> None:
        """Record what is sent, and when."""
        for chunk in trips:
            assert 0 < chunk.num_rows <= CHUNK_ROWS
            self.sent.extend(chunk.column(0).to_pylist())
            self.sent_at.extend([self.now_s] * chunk.num_rows)
            self.now_s += self.chunk_s

    def serve(self, wait_s: float) -> None:
        """Advance the clock."""
        self.now_s += wait_s


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of consecutive numbers."""
    start = 0
    for size in sizes:
        yield pa.RecordBatch.from_arrays([pa.array(range(start, start + size), pa.int64())], names=["number"])
        start += size


def test_a_burst_is_one_transaction_with_all_trips_in_order() -> None:
    """The whole month appears at once, or none of it."""
    outlet = FakeOutlet()
    send_in_bursts(
        outlet, TripStream(batches(30_000, 1, 0, 5000)), total=35_001, burst_size=35_001, pause_s=0, clock=outlet.clock
    )
    assert outlet.sent == list(range(35_001))
    assert outlet.commits == [(0.0, 35_001)]


def test_a_large_burst_is_several_transactions_without_a_pause() -> None:
    """A killed step loses at most one of them."""
    total = 2 * MOST_TRANSACTION_EVENTS + 7
    outlet = FakeOutlet()
    send_in_bursts(outlet, TripStream(batches(total)), total=total, burst_size=total, pause_s=60, clock=outlet.clock)
    assert outlet.sent == list(range(total))
    assert outlet.commits == [(0.0, MOST_TRANSACTION_EVENTS), (0.0, 2 * MOST_TRANSACTION_EVENTS), (0.0, total)]


def test_a_slow_burst_is_committed_before_the_broker_ends_its_transaction() -> None:
    """However slow sending is, something is committed in time."""
    outlet = FakeOutlet(chunk_s=20.0)
    total = 5 * CHUNK_ROWS
    send_in_bursts(outlet, TripStream(batches(total)), total=total, burst_size=total, pause_s=0, clock=outlet.clock)
    assert outlet.sent == list(range(total))
    assert outlet.commits == [(40.0, 2 * CHUNK_ROWS), (80.0, 4 * CHUNK_ROWS), (100.0, total)]


def test_trips_that_were_sent_before_are_skipped_whatever_the_batches() -> None:
    """An attempt goes on in the middle of a batch."""
    stream = TripStream(batches(3, 12_345, 5))
    stream.skip(12_346)
    assert [number for chunk in stream.take(100) for number in chunk.column(0).to_pylist()] == list(
        range(12_346, 12_353)
    )


def test_batches_are_a_transaction_each_with_pauses_between_and_none_at_the_end() -> None:
    """A pause after the last batch would only make the step longer."""
    outlet = FakeOutlet()
    send_in_bursts(outlet, TripStream(batches(7, 3, 5)), total=15, burst_size=6, pause_s=2.5, clock=outlet.clock)
    assert outlet.sent == list(range(15))
    assert outlet.commits == [(0.0, 6), (pytest.approx(2.5), 12), (pytest.approx(5.0), 15)]


def test_trips_at_a_rate_go_out_at_their_time_and_are_committed_each_second() -> None:
    """A reader of committed records sees a live stream, not one burst a minute."""
    outlet = FakeOutlet()
    send_at_rate(outlet, TripStream(batches(100, 250)), total=350, events_per_second=100, clock=outlet.clock)
    assert outlet.sent == list(range(350))
    for number, at in enumerate(outlet.sent_at):
        assert number / 100 <= at + 1e-9
        assert at <= number / 100 + 0.2
    assert len(outlet.commits) == 4
    committed_at = [at for at, _ in outlet.commits]
    assert all(later - earlier < 1.2 for earlier, later in zip([0.0, *committed_at], committed_at, strict=False))


def test_a_rate_below_one_a_second_sends_nothing_ahead_of_time() -> None:
    """A slow rate is kept as exactly as a fast one."""
    outlet = FakeOutlet()
    send_at_rate(outlet, TripStream(batches(3)), total=3, events_per_second=0.25, clock=outlet.clock)
    assert outlet.sent == [0, 1, 2]
    assert outlet.sent_at == [0.0, pytest.approx(4, abs=0.2), pytest.approx(8, abs=0.2)]


def test_a_stream_gives_no_more_than_there_is() -> None:
    """Only the source knows where it ends."""
    stream = TripStream(batches(3))
    assert sum(chunk.num_rows for chunk in stream.take(10)) == 3
    assert list(stream.take(1)) == []
