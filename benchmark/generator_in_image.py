"""Measures three ways of sending events, in the generator's image: ``python -c <this> EVENTS ROUNDS`` prints JSON.

The JSON holds the events per second of each round of each way:

- ``generator``: what the step does, from the seed to the committed transaction.
- ``sender``: the step's sender with messages already encoded; Python counts each acknowledgement.
- ``librdkafka``: a plain idempotent producer with the same settings and messages; nothing is counted.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable

from confluent_kafka import Producer

from generator.broker import Broker
from generator.encoding import Encoder
from generator.month import Month
from generator.outlet import VersionOutlet
from generator.pacing import TripStream, send_in_bursts
from generator.sender import Sender
from generator.source import MonthSource
from generator.synthesis import SyntheticTrips
from generator.topics import create_topics

MONTH = Month.parse("2024-01")
PARTITIONS = 3
SCHEMA_ID = 1
ENCODED_EVENTS = 100_000
DELETION_TIMEOUT_S = 30
FLUSH_TIMEOUT_S = 120

Batches = list[tuple[list[bytes], list[bytes]]]


class _Collector:
    """A stand-in for the sender that keeps the messages it is given."""

    def __init__(self) -> None:
        self.batches: Batches = []

    def send(self, keys: list[bytes], values: list[bytes]) -> None:
        self.batches.append((keys, values))


def main() -> None:
    """Measure, and print the rates."""
    events, rounds = int(sys.argv[1]), int(sys.argv[2])
    broker = Broker(os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    topic = f"benchmark.{uuid.uuid4().hex[:8]}"
    topics = [topic, _versions(topic)]
    create_topics(broker, topic, PARTITIONS, _versions(topic))
    try:
        encoded = _encode(events)
        ways: dict[str, Callable[[], float]] = {
            "generator": lambda: _time_generator(broker, topic, events),
            "sender": lambda: _time_sender(broker, topic, encoded),
            "librdkafka": lambda: _time_librdkafka(broker, topic, encoded),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                rates[way].append(round(events / run()))
    finally:
        for deletion in broker.admin.delete_topics(topics).values():
            deletion.result(DELETION_TIMEOUT_S)
    print(json.dumps(rates))


def _encode(events: int) -> Batches:
    """Encode as the step does; beyond the number that fits into memory, repeat the same messages."""
    collector = _Collector()
    count = min(events, ENCODED_EVENTS)
    trips = SyntheticTrips(MONTH, seed=42, events=count)
    _outlet(collector, trips, "benchmark").send(TripStream(trips.batches()).take(count))  # type: ignore[arg-type]
    batches = collector.batches * -(-events // count)
    surplus = sum(len(keys) for keys, _ in batches) - events
    while surplus > 0:
        keys, values = batches.pop()
        kept = max(0, len(keys) - surplus)
        surplus -= len(keys) - kept
        if kept:
            batches.append((keys[:kept], values[:kept]))
    return batches


def _versions(topic: str) -> str:
    return f"{topic}.versions"


def _sender(broker: Broker, topic: str) -> Sender:
    return Sender(broker, topic, _versions(topic), transactional_id=topic)


def _outlet(sender: Sender, trips: SyntheticTrips, topic: str) -> VersionOutlet:
    source = MonthSource(MONTH, "synthetic", trips, "benchmark", f"seed-42-events-{trips.events}", 42)
    version = source.describe(schema_id=SCHEMA_ID, topic=topic, topic_id="benchmark")
    return VersionOutlet(sender, MONTH, version, Encoder(SCHEMA_ID), None)


def _time_generator(broker: Broker, topic: str, events: int) -> float:
    trips = SyntheticTrips(MONTH, seed=42, events=events)
    with _sender(broker, topic) as sender:
        started = time.monotonic()
        outlet = _outlet(sender, trips, topic)
        send_in_bursts(outlet, TripStream(trips.batches()), total=events, burst_size=events, pause_s=0.0)
        seconds = time.monotonic() - started
        _require_all(sender.acknowledged.count, events)
    return seconds


def _time_sender(broker: Broker, topic: str, encoded: Batches) -> float:
    events = sum(len(keys) for keys, _ in encoded)
    with _sender(broker, topic) as sender:
        started = time.monotonic()
        with sender.transaction():
            for keys, values in encoded:
                sender.send(keys, values)
        seconds = time.monotonic() - started
        _require_all(sender.acknowledged.count, events)
    return seconds


def _time_librdkafka(broker: Broker, topic: str, encoded: Batches) -> float:
    batches = [
        [{"key": key, "value": value} for key, value in zip(keys, values, strict=True)] for keys, values in encoded
    ]
    events = sum(map(len, batches))
    # The sender's settings without the transaction, and a queue for all messages, so that Python never has to wait.
    settings = {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 20,
        "queue.buffering.max.messages": events + 1,
        "queue.buffering.max.kbytes": 2**21 - 1,
    }
    producer = Producer(broker.settings() | settings)
    producer.list_topics(topic, timeout=10)  # connected, as the sender is once its transactions are initialised
    started = time.monotonic()
    queued = sum(producer.produce_batch(topic, messages) for messages in batches)
    left = producer.flush(FLUSH_TIMEOUT_S)
    seconds = time.monotonic() - started
    _require_all(queued - left, events)
    return seconds


def _require_all(sent: int, events: int) -> None:
    if sent != events:
        sys.exit(f"Only {sent} of {events} events were sent, so the rates would be wrong.")


if __name__ == "__main__":
    main()
