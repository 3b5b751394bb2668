"""The Kafka topic, as the broker describes it."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from flink_submit.errors import ServiceError, TopicError
from flink_submit.offsets import PartitionBounds, TopicBounds

REQUEST_TIMEOUT_S = 10.0
# A broker ends any transaction after transaction.max.timeout.ms, 15 minutes by default.
TRANSACTION_DEADLINE_S = 960.0
_POLL_S = 0.5
_BATCH = 10_000
# The client waits this long for a full batch; at the end of a topic it waits in vain.
_BATCH_WAIT_S = 0.05
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # not annotated
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # not annotated


class Topic:
    """Reads the bounds and committed records of one topic.

    Args:
        bootstrap_servers: Address of the broker, ``host:port``.
        name: Name of the topic.
        request_timeout_s: Limit of each request to the broker, in seconds.
    """

    def __init__(self, bootstrap_servers: str, name: str, *, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._bootstrap_servers = bootstrap_servers
        self.name = name
        self._request_timeout_s = request_timeout_s
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def read_settled_bounds(self, report_wait: Callable[[int], None]) -> TopicBounds:
        """Wait until every record that is now in the topic is committed or aborted, then return the bounds.

        A transaction that a killed producer left open hides everything committed after its first record.

        Args:
            report_wait: Called on each look with the number of offsets that are still undecided.

        Returns:
            The bounds.

        Raises:
            TopicError: A transaction stays open for ``TRANSACTION_DEADLINE_S``.
        """
        topic_id, partitions = self._describe()
        written = self._offsets(partitions, _LATEST, IsolationLevel.READ_UNCOMMITTED)
        started = time.monotonic()
        while True:
            stable = self._offsets(partitions, _LATEST, IsolationLevel.READ_COMMITTED)
            undecided = sum(max(0, written[partition] - stable[partition]) for partition in partitions)
            if undecided == 0:
                break
            if time.monotonic() - started > TRANSACTION_DEADLINE_S:
                raise TopicError(
                    f"A transaction has kept {undecided} offsets of topic {self.name} at {self._bootstrap_servers} "
                    f"undecided for {TRANSACTION_DEADLINE_S:.0f} s. End the producer that holds it open, then "
                    "materialize this partition again."
                )
            report_wait(undecided)
            time.sleep(_POLL_S)
        return self._bounds(topic_id, stable)

    def read_bounds(self) -> TopicBounds:
        """Return the current bounds."""
        topic_id, partitions = self._describe()
        return self._bounds(topic_id, self._offsets(partitions, _LATEST, IsolationLevel.READ_COMMITTED))

    def committed_offsets(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Read the offsets of the committed records, without the ends of transactions, with a separate consumer.

        Args:
            spans: For each partition, the first offset and the offset after the last one.

        Yields:
            A partition, and the offsets of at least one of its records; in order within a partition.

        Raises:
            ServiceError: The broker does not answer in time.
        """
        ends = {number: end for number, (start, end) in spans.items() if end > start}
        if not ends:
            return
        with self._consumer({number: spans[number][0] for number in ends}) as consumer:
            while ends:
                found, finished = self._sort(self._consume(consumer, ends))
                for number, offsets in found.items():
                    within = np.array(offsets, np.int64)
                    within = within[within < ends.get(number, 0)]
                    if within.size:
                        yield number, within
                    if offsets[-1] + 1 >= ends.get(number, 0):
                        finished.add(number)
                for number in finished:
                    ends.pop(number, None)

    def committed_records(self, report_wait: Callable[[int], None]) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Read the committed records of a small topic: all that are in it now, from the first on.

        Args:
            report_wait: Called on each look while a transaction is open; see ``read_settled_bounds``.

        Yields:
            Key and value of each record, in order within a partition.

        Raises:
            TopicError: The topic is missing, or a transaction stays open.
            ServiceError: The broker does not answer in time.
        """
        held = self.read_settled_bounds(report_wait).partitions
        left = {number for number, bounds in held.items() if bounds.stable_end > bounds.first}
        with self._consumer({number: held[number].first for number in left}) as consumer:
            while left:
                for message in self._consume(consumer, left):
                    if self._is_end(message):
                        left.discard(message.partition() or 0)
                    else:
                        yield message.key(), message.value()

    @contextmanager
    def _consumer(self, starts: Mapping[int, int]) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "group.id": "flink-submit-probe",  # required by the client; nothing is committed under it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,
                "queued.max.messages.kbytes": 16_384,  # limits the memory, however long the topic is
                "fetch.queue.backoff.ms": 5,  # by default the client stops fetching for a second when the queue is full
            }
        )
        try:
            consumer.assign([TopicPartition(self.name, number, start) for number, start in starts.items()])
            yield consumer
        finally:
            consumer.close()

    def _consume(self, consumer: Consumer, unfinished: Collection[int]) -> list[Message]:
        asked = time.monotonic()
        while not (messages := consumer.consume(_BATCH, _BATCH_WAIT_S)):
            if time.monotonic() - asked > self._request_timeout_s:
                raise self._unanswered(f"partitions {sorted(unfinished)} could not be read to their ends")
        return messages

    def _sort(self, messages: list[Message]) -> tuple[dict[int, list[int]], set[int]]:
        """Return the offsets by partition, and the partitions whose end was reached; kept cheap for each message."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        finished = set()
        for message in messages:
            if self._is_end(message):
                finished.add(message.partition() or 0)
            else:
                found[message.partition()].append(message.offset())  # type: ignore[index,arg-type]  # None with an error
        return found, finished

    def _is_end(self, message: Message) -> bool:
        """Return whether this is no record but the end of a partition; raise if it is another error."""
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - without a public name
            raise self._error(error)
        return error is not None

    def _bounds(self, topic_id: str, stable: Mapping[int, int]) -> TopicBounds:
        first = self._offsets(list(stable), _EARLIEST, IsolationLevel.READ_COMMITTED)
        return TopicBounds(
            self.name, topic_id, {number: PartitionBounds(first[number], stable[number]) for number in stable}
        )

    def _describe(self) -> tuple[str, list[int]]:
        request = self._admin.describe_topics(TopicCollection([self.name]), request_timeout=self._request_timeout_s)
        description = self._answer(request[self.name])
        return to_topic_id(description.topic_id), sorted(partition.id for partition in description.partitions)

    def _offsets(self, partitions: list[int], spec: OffsetSpec, isolation: IsolationLevel) -> dict[int, int]:
        wanted = {TopicPartition(self.name, number): spec for number in partitions}
        request = self._admin.list_offsets(wanted, isolation_level=isolation, request_timeout=self._request_timeout_s)
        return {place.partition: self._answer(answer).offset for place, answer in request.items()}

    def _answer(self, future: "Future[Any]") -> Any:
        try:
            return future.result(timeout=self._request_timeout_s + 2)
        except KafkaException as error:
            raise self._error(error.args[0]) from error

    def _error(self, error: KafkaError) -> ServiceError | TopicError:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return TopicError(
                f"The broker at {self._bootstrap_servers} has no topic {self.name}. Expected the topic that the "
                "generator creates and fills: materialize kafka_topics and generate_events first."
            )
        return self._unanswered(error.str())

    def _unanswered(self, reason: str) -> ServiceError:
        return ServiceError(
            f"Kafka's broker at {self._bootstrap_servers} does not answer ({reason}). Check that its container "
            "runs and is healthy (docker compose ps), then materialize this partition again."
        )


def to_topic_id(uuid: object) -> str:
    """Return a topic's id as Kafka's own tools write it, in URL-safe base64, unlike confluent-kafka."""
    return str(uuid).translate(str.maketrans("+/", "-_"))
