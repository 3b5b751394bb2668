"""Send messages to a topic in transactions; an event counts once the broker has acknowledged it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from generator.broker import ANSWER_TIMEOUT_S, FENCED, LOOK_AT_BROKER, Broker
from generator.errors import DeliveryError, TopicError
from generator.month_versions import PARTITION, Offsets

DELIVERY_TIMEOUT_S: Final = 30
"""Seconds that an event may stay unacknowledged; longer than a restart of a broker takes."""

COMMIT_TIMEOUT_S: Final = 30.0
ABORT_TIMEOUT_S: Final = 3.0
SIGNAL_CHECK_S: Final = 0.5
"""Longest wait inside librdkafka, during which Python handles no signals."""

MAX_IN_FLIGHT: Final = 100_000
"""Largest number of sent but unacknowledged events; limits the memory to some 50 MB."""

TRANSACTION_TIMEOUT_S: Final = 120
"""Time for what ``pacing`` sends in one transaction, its acknowledgements and the commit, each of at most 30 s.

Until it times out, a killed step's open transaction hides everything sent after it.
"""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Acknowledgements:
    """The result of the broker's delivery reports.

    Args:
        count: Number of acknowledged events.
        first_offsets: The first of their offsets, by partition.
        last_offsets: The last of their offsets, by partition.
        failure: The reason why an event was not acknowledged, of the first such event.
    """

    count: int = 0
    first_offsets: dict[int, int] = field(default_factory=dict)
    last_offsets: dict[int, int] = field(default_factory=dict)
    failure: KafkaError | None = None

    def record(self, error: KafkaError | None, message: Message) -> None:
        """Record one delivery report; kept cheap, because it is called for every event."""
        if error is not None:
            self.failure = self.failure or error
            return
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            raise TypeError("a delivery report without partition or offset")
        self.count += 1
        self.last_offsets[partition] = offset
        if partition not in self.first_offsets:
            self.first_offsets[partition] = offset

    @property
    def offsets(self) -> Offsets:
        """First and last offset by partition, with strings as keys for JSON."""
        return {
            str(partition): (first, self.last_offsets[partition])
            for partition, first in sorted(self.first_offsets.items())
        }


class Sender:
    """A transactional producer of events, and of records about them in a second topic.

    Args:
        broker: The broker.
        topic: The topic of the events, which must exist.
        versions_topic: The topic of the records, which must exist.
        transactional_id: Two steps with the same id exclude each other: the later one ends the earlier one's
            transaction.
        on_served: Called with the number of acknowledged events whenever it may have changed.

    Raises:
        TopicError: A topic does not exist.
        BrokerError: The broker does not answer.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        versions_topic: str,
        *,
        transactional_id: str,
        on_served: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.acknowledged = Acknowledgements()
        self.produced = 0
        self.produced_bytes = 0
        self.transactions = 0
        self.committed = 0
        self._broker = broker
        self._topic = topic
        self._versions_topic = versions_topic
        self._records_in_flight = 0
        self._on_served = on_served
        self._producer = Producer(
            broker.settings()
            | {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_S * 1000,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "message.timeout.ms": DELIVERY_TIMEOUT_S * 1000,
                "linger.ms": 20,
                "queue.buffering.max.messages": 2 * MAX_IN_FLIGHT,
            }
        )

    def __enter__(self) -> Self:
        """Check the topics, and end a transaction that an earlier step with this transactional id left open."""
        existing = self._broker.partition_counts(self._producer)
        for topic in (self._topic, self._versions_topic):
            if topic not in existing:
                raise TopicError(
                    f"topic {topic} does not exist",
                    expected="a topic to send to",
                    got="none of that name",
                    where=f"broker {self._broker.address}",
                    todo="materialize kafka_topics first",
                )
        self._insist(self._producer.init_transactions, ANSWER_TIMEOUT_S, "Kafka does not start transactions")
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._producer.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block's events once all are acknowledged; abort on any exception."""
        produced_before = self.produced
        self._insist(lambda _: self._producer.begin_transaction(), 0.0, "no transaction can begin")
        try:
            yield
            self.settle()
            self._insist(self._producer.commit_transaction, COMMIT_TIMEOUT_S, "Kafka did not commit the transaction")
        except BaseException:
            self._abort()
            raise
        # The coordinator has recorded its decision: everything acknowledged so far is committed.
        self.committed = self.acknowledged.count
        # An empty transaction never reaches the broker.
        self.transactions += self.produced > produced_before

    def send(self, keys: list[bytes], values: list[bytes]) -> None:
        """Send messages, and wait while too many are unacknowledged.

        Args:
            keys: One key for each message.
            values: The messages.

        Raises:
            DeliveryError: A message of this transaction was refused.
        """
        messages: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in zip(keys, values, strict=True)]
        queued = self._producer.produce_batch(self._topic, messages, on_delivery=self.acknowledged.record)
        if queued != len(messages):
            raise self._undelivered(_first_refusal(messages))
        self.produced += queued
        self.produced_bytes += sum(map(len, values))
        self.serve(0)
        while self._in_flight > MAX_IN_FLIGHT:
            self.serve(SIGNAL_CHECK_S)

    def send_record(self, key: bytes, value: bytes | None) -> None:
        """Send a record to the topic of month versions.

        Args:
            key: The key.
            value: The value; None removes the record with this key.

        Raises:
            DeliveryError: The record was refused.
        """
        try:
            self._producer.produce(
                self._versions_topic, key=key, value=value, partition=PARTITION, on_delivery=self._record_delivered
            )
        except KafkaException as error:
            raise self._undelivered(error.args[0]) from error
        self._records_in_flight += 1

    def settle(self) -> None:
        """Wait for all acknowledgements; librdkafka reports on each event within the delivery timeout.

        Raises:
            DeliveryError: An event was not acknowledged.
        """
        while self._in_flight or self._records_in_flight:
            self.serve(SIGNAL_CHECK_S)

    def serve(self, wait_s: float) -> None:
        """Handle delivery reports.

        Args:
            wait_s: Longest wait for a report, in seconds.

        Raises:
            DeliveryError: An event was not acknowledged.
        """
        self._producer.poll(wait_s)
        if self.acknowledged.failure is not None:
            raise self._undelivered(self.acknowledged.failure)
        self._on_served(self.acknowledged.count)

    @property
    def _in_flight(self) -> int:
        return self.produced - self.acknowledged.count

    def _record_delivered(self, error: KafkaError | None, _: Message) -> None:
        self._records_in_flight -= 1
        if error is not None:
            self.acknowledged.failure = self.acknowledged.failure or error

    def _insist(self, call: Callable[[float], None], timeout_s: float, otherwise: str) -> None:
        self._broker.insist(self._producer, lambda: call(SIGNAL_CHECK_S), timeout_s=timeout_s, otherwise=otherwise)

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(ABORT_TIMEOUT_S)
        except KafkaException as error:
            # The caller raises the error that ended the transaction; the broker itself aborts it later.
            _log.warning("the open transaction is left to the broker's time-out: %s", error.args[0].str())

    def _undelivered(self, error: KafkaError) -> DeliveryError:
        fenced = error.code() in FENCED
        return DeliveryError(
            f"an event was not acknowledged, and its transaction was aborted; {self.acknowledged.count} of "
            f"{self.produced} events sent were acknowledged before",
            expected="every event acknowledged by all in-sync replicas",
            got=error.str(),
            where=f"topic {self._topic}, broker {self._broker.address}",
            todo=(
                "another step sends the same month: let it finish, then materialize again" if fenced else LOOK_AT_BROKER
            ),
        )


def _first_refusal(messages: list[dict[str, Any]]) -> KafkaError:
    """Return the error that ``produce_batch`` stores in a message that it did not queue."""
    return next(error for message in messages if isinstance(error := message.get("_error"), KafkaError))
