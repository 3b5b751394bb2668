import threading
from typing import Any

import pytest
from confluent_kafka import Producer
from conftest import VERSIONS_TOPIC, MockKafka
from containers import RealKafka

from generator.errors import BrokerError, VersionRecordError
from generator.month import Month
from generator.month_versions import (
    CurrentVersion,
    MonthVersion,
    SendingVersion,
    current_key,
    merge_offsets,
    read_month,
    sending_key,
)

MONTH = Month(2024, 1)
VERSION = MonthVersion(
    month="2024-01",
    source="synthetic",
    source_version="seed-1-events-10.0a1b2c3d",
    source_name="synthetic, seed 1, 10 events",
    sha256=None,
    seed=1,
    events=10,
    schema_id=7,
    topic="taxi.raw_trips",
    topic_id="AAAA",
)


def current(**changes: Any) -> CurrentVersion:
    """Return a current version."""
    fields = VERSION.model_dump() | {"offsets": {"0": (0, 9)}, "completed_at": "2026-11-29T17:00:00+00:00"}
    return CurrentVersion(**(fields | changes))


def sending(**changes: Any) -> SendingVersion:
    """Return a version of which four events are committed."""
    return SendingVersion(**(VERSION.model_dump() | {"offsets": {"0": (0, 3)}, "events_sent": 4} | changes))


def write(address: str, *records: tuple[bytes, bytes | None], topic: str = VERSIONS_TOPIC) -> None:
    """Write records to the topic's partition."""
    producer = Producer({"bootstrap.servers": address})
    for key, value in records:
        producer.produce(topic, key=key, value=value, partition=0)
    assert producer.flush(10) == 0
    producer.close()


def encode(record: MonthVersion) -> bytes:
    """Return a record as it is written."""
    return record.model_dump_json().encode()


def test_an_empty_topic_has_no_version(kafka: MockKafka) -> None:
    """Nothing was sent yet."""
    records = read_month(kafka.broker, VERSIONS_TOPIC, MONTH)
    assert records.current is None
    assert records.sending is None


def test_the_last_record_of_each_key_is_valid(kafka: MockKafka) -> None:
    """The topic also holds former records and those of other months."""
    later = current(source_version="later")
    write(
        kafka.address,
        (sending_key(MONTH), encode(sending())),
        (current_key(MONTH), encode(current())),
        (current_key(MONTH), encode(later)),
        (current_key(Month(2024, 2)), encode(current(month="2024-02"))),
        (sending_key(Month(2024, 2)), None),
    )
    records = read_month(kafka.broker, VERSIONS_TOPIC, MONTH)
    assert records.current == later
    assert records.sending == sending()


def test_a_record_that_was_removed_is_none(kafka: MockKafka) -> None:
    """The last transaction of a version removes the record of its progress."""
    write(kafka.address, (sending_key(MONTH), encode(sending())), (sending_key(MONTH), None))
    assert read_month(kafka.broker, VERSIONS_TOPIC, MONTH).sending is None


@pytest.mark.parametrize("value", [b"", b"{", b"{}", b'{"month": "2024-01"}', b"\xff"])
def test_a_record_that_cannot_be_understood_is_an_error(kafka: MockKafka, value: bytes) -> None:
    """Taken for no record, it would let synthetic trips replace those of a file."""
    write(kafka.address, (current_key(MONTH), value))
    with pytest.raises(VersionRecordError, match=rf"record 2024-01 .*{VERSIONS_TOPIC}.*to do: find out"):
        read_month(kafka.broker, VERSIONS_TOPIC, MONTH)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({}, True),
        ({"source_name": "renamed.parquet"}, True),
        ({"source_version": "another"}, False),
        ({"topic_id": "BBBB"}, False),
        ({"schema_id": 8}, False),
        ({"events": 11}, False),
    ],
)
def test_only_the_same_version_in_the_same_topic_is_resumed(change: dict[str, Any], *, part: bool) -> None:
    """The events of a topic that was deleted are gone, and those of another schema are others."""
    assert sending(**change).is_part_of(VERSION) is part


def test_offsets_of_two_parts_span_both() -> None:
    """A partition may be in one of them only."""
    merged = merge_offsets({"0": (5, 9), "2": (1, 1)}, {"0": (20, 30), "10": (4, 6)})
    assert merged == {"0": (5, 30), "2": (1, 1), "10": (4, 6)}


def test_the_record_of_a_transaction_that_is_open_is_waited_for(
    real_kafka: RealKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """A month's record may lie behind the open transaction of a step that was killed."""
    topic = real_kafka.new_topics().versions
    killed = Producer({"bootstrap.servers": real_kafka.address, "transactional.id": topic})
    killed.init_transactions()
    killed.begin_transaction()
    killed.produce(topic, key=current_key(MONTH), value=encode(current(source_version="aborted")), partition=0)
    killed.flush()
    write(real_kafka.address, (current_key(MONTH), encode(current())), topic=topic)
    abort = threading.Timer(2, killed.abort_transaction)
    abort.start()
    records = read_month(real_kafka.broker, topic, MONTH)
    abort.join()
    assert records.current == current()
    assert "waiting for the transaction of another step" in caplog.text
    killed.close()


def test_a_transaction_that_stays_open_is_an_error(real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step ends at some time, and says what it waited for."""
    monkeypatch.setattr("generator.month_versions.UNDECIDED_TIMEOUT_S", 1.0)
    topic = real_kafka.new_topics().versions
    other = Producer({"bootstrap.servers": real_kafka.address, "transactional.id": topic})
    other.init_transactions()
    other.begin_transaction()
    other.produce(topic, key=b"x", value=b"y", partition=0)
    other.flush()
    with pytest.raises(BrokerError, match=r"1 offsets hidden by an open transaction.*stop the producer"):
        read_month(real_kafka.broker, topic, MONTH)
    other.abort_transaction()
    other.close()


def test_the_ends_of_transactions_at_the_topics_end_are_no_records(real_kafka: RealKafka) -> None:
    """Kafka ends each transaction with a mark that has an offset but is never read."""
    topic = real_kafka.new_topics().versions
    producer = Producer({"bootstrap.servers": real_kafka.address, "transactional.id": topic})
    producer.init_transactions()
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.produce(topic, key=current_key(MONTH), value=encode(current()), partition=0)
        producer.flush()
        end()
    assert read_month(real_kafka.broker, topic, MONTH).current == current()
    producer.close()
