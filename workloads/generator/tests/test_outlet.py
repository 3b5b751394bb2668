import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import TOPIC, VERSIONS_TOPIC, MockKafka

from generator.encoding import Encoder
from generator.errors import DeliveryError, LandedFileChangedError
from generator.month import Month
from generator.month_versions import MonthRecords, read_month
from generator.outlet import VersionOutlet
from generator.pacing import TripStream
from generator.produce import send_version
from generator.request import ProduceExtras
from generator.sender import Sender
from generator.source import MonthSource
from generator.synthesis import SyntheticTrips

MONTH = Month(2024, 1)


class Killed(BaseException):
    """Ends a step in the middle."""


def source_of(events: int, seed: int = 1, confirm: Callable[[], None] = lambda: None) -> MonthSource:
    """Return synthetic trips."""
    trips = SyntheticTrips(MONTH, seed=seed, events=events)
    return MonthSource(MONTH, "synthetic", trips, "synthetic", f"seed-{seed}-events-{events}", seed, confirm)


def send(
    kafka: MockKafka, source: MonthSource, batch_size: int, *, kill_after: int | None = None, **changes: Any
) -> VersionOutlet:
    """Send a version as the command does, or a number of transactions of it."""
    broker = kafka.broker
    with Sender(broker, TOPIC, VERSIONS_TOPIC, transactional_id="test") as sender:
        sending = read_month(broker, VERSIONS_TOPIC, MONTH).sending
        version = source.describe(**({"schema_id": 7, "topic": TOPIC, "topic_id": "AAAA"} | changes))
        outlet = VersionOutlet(sender, MONTH, version, Encoder(7), sending, confirm=source.confirm)

        def kill() -> None:
            if kill_after is not None and sender.transactions == kill_after:
                raise Killed

        sender._on_served = lambda _: kill()  # noqa: SLF001  between two transactions only
        extras = ProduceExtras.model_validate(
            {
                "topic": TOPIC,
                "versions_topic": VERSIONS_TOPIC,
                "source": "synthetic",
                "mode": "batch",
                "batch_size": batch_size,
                "pause_s": 0.05,
                "events": source.trips.events,
                "seed": source.seed,
            }
        )
        trips = TripStream(source.trips.batches())
        trips.skip(outlet.resumed)
        send_version(outlet, trips, extras)
        return outlet


def records_of(kafka: MockKafka) -> MonthRecords:
    """Return the month's records."""
    return read_month(kafka.broker, VERSIONS_TOPIC, MONTH)


def keys_sent(kafka: MockKafka) -> list[bytes]:
    """Return the event ids in the topic, with repeats."""
    return sorted(record.key() or b"" for record in kafka.read_all())


def keys_of(source: MonthSource) -> list[bytes]:
    """Return the event ids of a source, with repeats."""
    return sorted(key.encode() for batch in source.trips.batches() for key in batch.column(0).to_pylist())


def spans(kafka: MockKafka) -> dict[str, tuple[int, int]]:
    """Return the first and last offset of each partition that has a record."""
    found: dict[str, list[int]] = {}
    for record in kafka.read_all():
        found.setdefault(str(record.partition()), []).append(record.offset() or 0)
    return {partition: (min(offsets), max(offsets)) for partition, offsets in sorted(found.items())}


def test_a_version_in_one_transaction_is_current_and_leaves_no_progress(kafka: MockKafka) -> None:
    """The record has what the contract of the topic says, in JSON."""
    send(kafka, source_of(120), 120)
    last, tombstone = kafka.read_all(VERSIONS_TOPIC)
    assert (last.key(), tombstone.key(), tombstone.value()) == (b"2024-01", b"2024-01/sending", None)
    record = json.loads(last.value() or b"")
    version = source_of(120).version
    assert record.pop("completed_at").endswith("+00:00")
    assert record == {
        "month": "2024-01",
        "source": "synthetic",
        "source_version": version,
        "source_name": "synthetic",
        "sha256": None,
        "seed": 1,
        "events": 120,
        "schema_id": 7,
        "topic": TOPIC,
        "topic_id": "AAAA",
        "offsets": {partition: list(span) for partition, span in spans(kafka).items()},
    }
    assert version.startswith("seed-1-events-120.")
    assert all(version.encode() in (event.value() or b"") for event in kafka.read_all())


def test_each_transaction_but_the_last_records_the_progress(kafka: MockKafka) -> None:
    """Until the last one, the month has no current version."""
    send(kafka, source_of(250), 100)
    keys = [
        (record.key(), json.loads(value) if (value := record.value()) else None)
        for record in kafka.read_all(VERSIONS_TOPIC)
    ]
    assert [key for key, _ in keys] == [b"2024-01/sending", b"2024-01/sending", b"2024-01", b"2024-01/sending"]
    assert [value["events_sent"] for _, value in keys[:2] if value] == [100, 200]
    assert all(value is None or "completed_at" not in value for key, value in keys if b"/" in (key or b""))
    assert keys[-1][1] is None
    current = records_of(kafka).current
    assert current is not None
    assert current.offsets == spans(kafka)
    assert keys_sent(kafka) == keys_of(source_of(250))


@pytest.mark.parametrize("attempts", [[1], [2], [1, 1]])
def test_a_killed_attempt_goes_on_after_its_last_commit(kafka: MockKafka, attempts: list[int]) -> None:
    """Each event is sent once, and the offsets span all attempts."""
    source = source_of(250)
    for transactions in attempts:
        with pytest.raises(Killed):
            send(kafka, source, 100, kill_after=transactions)
    records = records_of(kafka)
    assert records.current is None
    assert records.sending is not None
    assert records.sending.offsets == spans(kafka)
    outlet = send(kafka, source, 30)
    assert outlet.resumed == 100 * sum(attempts)
    assert outlet.sender.committed == 250 - outlet.resumed
    assert keys_sent(kafka) == keys_of(source)
    records = records_of(kafka)
    assert records.sending is None
    assert records.current is not None
    assert records.current.offsets == outlet.offsets == spans(kafka)
    assert records.current.events == 250


def test_another_version_starts_anew_and_so_does_the_first_one_after_it(kafka: MockKafka) -> None:
    """The progress of one version says nothing about another."""
    with pytest.raises(Killed):
        send(kafka, source_of(250), 100, kill_after=1)
    assert send(kafka, source_of(90, seed=2), 50).resumed == 0
    current = records_of(kafka).current
    assert current is not None
    assert current.seed == 2
    assert min(first for first, _ in current.offsets.values()) >= 0
    outlet = send(kafka, source_of(250), 250)
    assert (outlet.resumed, outlet.sender.committed) == (0, 250)
    current = records_of(kafka).current
    assert current is not None
    assert (current.seed, current.events) == (1, 250)


def test_a_topic_that_was_created_again_gets_all_events(kafka: MockKafka) -> None:
    """The events before were deleted with the former topic."""
    with pytest.raises(Killed):
        send(kafka, source_of(250), 100, kill_after=1)
    assert send(kafka, source_of(250), 100, topic_id="BBBB").resumed == 0


def test_the_same_version_again_is_sent_whole(kafka: MockKafka) -> None:
    """A month that is complete has no progress to go on from."""
    send(kafka, source_of(120), 50)
    outlet = send(kafka, source_of(120), 50)
    assert (outlet.resumed, outlet.sender.committed) == (0, 120)
    assert len(kafka.read_all()) == 240


def test_a_source_with_fewer_trips_than_it_says_never_becomes_current(
    kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record would call half a month a whole one."""
    batches = SyntheticTrips.batches

    def cut(self: SyntheticTrips) -> Iterator[Any]:
        for batch in batches(self):
            yield batch.slice(0, 100)

    monkeypatch.setattr(SyntheticTrips, "batches", cut)
    with pytest.raises(DeliveryError, match=r"numbers of events disagree.*expected 120 .*got 100 produced"):
        send(kafka, source_of(120), 50)
    assert records_of(kafka).current is None


@pytest.mark.parametrize("batch_size", [50, 200])
def test_a_version_whose_source_was_replaced_meanwhile_never_becomes_current(kafka: MockKafka, batch_size: int) -> None:
    """It is judged once, when all is sent: until then another file may land, and its version become the current one."""
    asked: list[int] = []

    def refuse() -> None:
        asked.append(len(kafka.read_all()))
        raise LandedFileChangedError("another file landed")

    send(kafka, source_of(90, seed=2), 90)
    with pytest.raises(LandedFileChangedError):
        send(kafka, source_of(120, confirm=refuse), batch_size)
    # Those before, and this one's.
    assert asked == [90 + 120]
    records = records_of(kafka)
    assert records.current is not None
    assert records.current.seed == 2
    # All but the last transaction stay, invisible, and are gone on from.
    assert send(kafka, source_of(120), 200).resumed == (100 if batch_size == 50 else 0)
