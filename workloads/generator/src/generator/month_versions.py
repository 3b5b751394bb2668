"""The versions of months: one record a month in a compacted topic names the current one.

A version is what a month was sent from: a file by its content, or a seed and a number of events, in one schema. It is
sent in one or more transactions. Each of them but the last also writes how far it got, under ``<month>/sending``; the
last one writes the month's record, and removes the former. So an attempt that was killed goes on after its last commit,
and a version whose events are not all committed is never the current one.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from generator.broker import ANSWER_TIMEOUT_S, LOOK_AT_BROKER, Broker
from generator.errors import BrokerError, VersionRecordError
from generator.month import Month

SourceKind = Literal["tlc_file", "synthetic"]

PARTITION: Final = 0
"""The topic has one partition, so that its records have one order."""

POLL_S: Final = 0.5
"""Longest wait inside librdkafka, during which Python handles no signals."""

UNDECIDED_TIMEOUT_S: Final = 960.0
"""Seconds after which a broker has ended any transaction: its ``transaction.max.timeout.ms``, and a minute."""

Offsets = dict[str, tuple[int, int]]
"""First and last offset by partition, which is text as a key of JSON."""

Record = TypeVar("Record", bound=BaseModel)

_log = logging.getLogger(__name__)


class MonthVersion(BaseModel):
    """What identifies a version of a month.

    Args:
        month: ``YYYY-MM``.
        source: ``tlc_file`` or ``synthetic``.
        source_version: ``sha256-<16 digits>`` or ``seed-<seed>-events-<events>``, a dot, 8 digits of the schema's hash.
        source_name: The file's name, or a description of the synthetic trips.
        sha256: Hash of the file's content, 64 hexadecimal digits; None without a file.
        seed: The seed; None with a file.
        events: Number of events.
        schema_id: Id of the events' schema in the registry.
        topic: The topic of the events.
        topic_id: Its id, in URL-safe base64: a topic that was deleted and created again is another one.
    """

    model_config = ConfigDict(frozen=True)
    month: str
    source: SourceKind
    source_version: str
    source_name: str
    sha256: str | None
    seed: int | None
    events: PositiveInt
    schema_id: int
    topic: str
    topic_id: str


class CurrentVersion(MonthVersion):
    """The current version of a month.

    Args:
        offsets: First and last offset of its events by partition; other events lie between.
        completed_at: Time of the last transaction, in ISO 8601.
    """

    offsets: Offsets
    completed_at: str


class SendingVersion(MonthVersion):
    """A version that is not complete yet.

    Args:
        offsets: First and last offset of the committed events by partition.
        events_sent: Number of committed events, which are the first ones of the source.
    """

    offsets: Offsets
    events_sent: NonNegativeInt

    def is_part_of(self, version: MonthVersion) -> bool:
        """Tell whether sending ``version`` can go on after these events."""
        # The number of events is compared too: a later generator might read other rows from the same file.
        names = ("source_version", "topic_id", "schema_id", "events")
        return all(getattr(self, name) == getattr(version, name) for name in names)


@dataclass(frozen=True, slots=True)
class MonthRecords:
    """A month's records in the topic of month versions.

    Args:
        current: The current version; None if there is none.
        sending: The version that was being sent last, unless it was completed; None otherwise.
    """

    current: CurrentVersion | None
    sending: SendingVersion | None


def hash_of_schema(avro_schema: str) -> str:
    """Return the part of ``source_version`` that stands for the schema: 8 hexadecimal digits."""
    return hashlib.sha256(avro_schema.encode()).hexdigest()[:8]


def current_key(month: Month) -> bytes:
    """Return the key of the month's current version."""
    return str(month).encode()


def sending_key(month: Month) -> bytes:
    """Return the key of the month's version that is being sent."""
    return f"{month}/sending".encode()


def merge_offsets(earlier: Offsets, later: Offsets) -> Offsets:
    """Return the first and last offsets of two parts of a version."""
    partitions = sorted({*earlier, *later}, key=int)
    return {
        partition: (earlier.get(partition, later.get(partition))[0], later.get(partition, earlier.get(partition))[1])  # type: ignore[index]  # one of both has it
        for partition in partitions
    }


def read_month(broker: Broker, versions_topic: str, month: Month) -> MonthRecords:
    """Read a month's records, up to the end that the topic has now.

    Args:
        broker: The broker.
        versions_topic: An existing topic.
        month: The month.

    Returns:
        The records.

    Raises:
        VersionRecordError: A record has another form.
        BrokerError: The broker does not answer, or a transaction keeps the topic's end undecided.
    """
    keys = {current_key(month), sending_key(month)}
    found = _read_latest(broker, versions_topic, keys)
    current, sending = found.get(current_key(month)), found.get(sending_key(month))
    where = f"topic {versions_topic}, broker {broker.address}"
    return MonthRecords(
        None if current is None else _parse(CurrentVersion, current, current_key(month), where),
        None if sending is None else _parse(SendingVersion, sending, sending_key(month), where),
    )


def _parse(model: type[Record], value: bytes, key: bytes, where: str) -> Record:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False)
        )
        raise VersionRecordError(
            f"the record {key.decode()} of the month's version cannot be understood",
            expected="JSON as an earlier step wrote it",
            got=faults,
            where=where,
            todo="find out which program wrote it; send a record with this key and no value to remove it, then "
            "materialize again",
        ) from error


def _read_latest(broker: Broker, topic: str, keys: set[bytes]) -> dict[bytes, bytes | None]:
    """Return the value of the last committed record of each key; None for one that was removed."""
    consumer = Consumer(
        broker.settings()
        | {
            "group.id": "drayage-generator",  # required by the client; nothing is committed under it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        records = _read_committed(consumer, broker, topic)
        return {key: value for key, value in records if key in keys}
    finally:
        consumer.close()


def _read_committed(consumer: Consumer, broker: Broker, topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield key and value of all records before the current end, once it is known which of them are committed."""
    end = broker.end_offset(topic, PARTITION)
    consumer.assign([TopicPartition(topic, PARTITION, OFFSET_BEGINNING)])
    position, stuck_at = 0, -1
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while position < end:
        message = consumer.poll(POLL_S)
        if message is None:
            if time.monotonic() >= deadline:
                raise _unread(broker, topic, end - position, undecided=position == stuck_at)
            continue
        error, offset = message.error(), message.offset() or 0
        if error is None:
            yield message.key(), message.value()
            position = offset + 1
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
        elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  it has no public name
            raise BrokerError(
                "the topic of month versions cannot be read",
                got=error.str(),
                where=f"topic {topic}, broker {broker.address}",
                todo=LOOK_AT_BROKER,
            )
        else:
            position = offset
            if position < end and position != stuck_at:
                _log.warning("waiting for the transaction of another step, which hides the end of topic %s", topic)
                stuck_at, deadline = position, time.monotonic() + UNDECIDED_TIMEOUT_S


def _unread(broker: Broker, topic: str, left: int, *, undecided: bool) -> BrokerError:
    return BrokerError(
        "the topic of month versions cannot be read",
        expected="all records, committed or aborted",
        got=f"{left} offsets hidden by an open transaction"
        if undecided
        else f"no answer {left} offsets before the end",
        where=f"topic {topic}, broker {broker.address}",
        todo="stop the producer that holds it open, then materialize again" if undecided else LOOK_AT_BROKER,
    )
