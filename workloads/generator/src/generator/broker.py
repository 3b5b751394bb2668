"""Kafka clients' shared part: settings, retries, and the report of a broker that does not answer."""

import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from generator.errors import BrokerError

ANSWER_TIMEOUT_S: Final = 10.0
"""Seconds after which a broker counts as not answering."""

METADATA_WAIT_S: Final = 2.0
"""Longest single wait for an answer: Python handles no signals while librdkafka waits."""

RETRY_WAIT_S: Final = 0.1
"""Pause before a call is repeated, during which the client may report the cause."""

_DURATION: Final = re.compile(r"\d+ms")

Answer = TypeVar("Answer")


class Client(Protocol):
    """The interface that confluent-kafka's clients share."""

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        """Return topics and partitions."""

    def poll(self, timeout: float = -1) -> int:
        """Run the client's callbacks."""


class Broker:
    """Kafka at one address.

    Args:
        address: The brokers as ``host:port``, separated by commas.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._last_error = ""

    def settings(self) -> dict[str, Any]:
        """Return the basic settings of a client of this broker."""
        return {
            "bootstrap.servers": self.address,
            "client.id": "drayage-generator",
            "error_cb": self._keep_error,
            "logger": _LIBRDKAFKA_LOG,
        }

    def partition_counts(self, client: Client) -> dict[str, int]:
        """Return the number of partitions of each topic.

        Args:
            client: The client to ask with.

        Returns:
            Number of partitions by topic.

        Raises:
            BrokerError: No broker answers in time.
        """
        metadata = self.insist(
            client,
            lambda: client.list_topics(timeout=METADATA_WAIT_S),
            timeout_s=ANSWER_TIMEOUT_S,
            otherwise="Kafka does not answer",
        )
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def topic_id(self, topic: str) -> str:
        """Return the id of an existing topic.

        Args:
            topic: The topic's name.

        Returns:
            The id, as ``spell_topic_id`` writes it; another one after the topic was deleted and created again.

        Raises:
            BrokerError: The broker does not answer, or has no such topic.
        """
        topics = TopicCollection([topic])
        description = self.request(
            lambda: self.admin.describe_topics(topics, request_timeout=METADATA_WAIT_S)[topic],
            f"topic {topic} cannot be described",
        )
        return spell_topic_id(description.topic_id)

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset after the last record, whether that is committed or not.

        Args:
            topic: The topic's name.
            partition: The partition, 0 or more.

        Returns:
            The offset.

        Raises:
            BrokerError: The broker does not answer, or has no such partition.
        """
        place = TopicPartition(topic, partition)
        wanted = {place: OffsetSpec.latest()}  # type: ignore[no-untyped-call]  # not annotated
        uncommitted = IsolationLevel.READ_UNCOMMITTED
        answer = self.request(
            lambda: self.admin.list_offsets(wanted, isolation_level=uncommitted, request_timeout=METADATA_WAIT_S)[
                place
            ],
            f"the end of topic {topic} cannot be read",
        )
        return int(answer.offset)

    def request(self, send: Callable[[], "Future[Any]"], otherwise: str) -> Any:
        """Send a request with an ``AdminClient``, again while its failure is one that may pass.

        Args:
            send: Sends the request, with ``METADATA_WAIT_S`` as its time-out.
            otherwise: The start of the error message if it never succeeds.

        Returns:
            The answer.

        Raises:
            BrokerError: The request did not succeed in time, or failed permanently.
        """
        return self.insist(self.admin, lambda: send().result(), timeout_s=ANSWER_TIMEOUT_S, otherwise=otherwise)

    @cached_property
    def admin(self) -> AdminClient:
        """A client for requests; its futures are answered only while it exists."""
        return AdminClient(self.settings())

    def insist(self, client: Client, call: Callable[[], Answer], *, timeout_s: float, otherwise: str) -> Answer:
        """Repeat a call while its failure is one that may pass.

        Args:
            client: The client that the call is made with.
            call: A call that waits at most a few seconds, so that signals are handled in between.
            timeout_s: Seconds after which the call is not repeated.
            otherwise: The start of the error message if the call never succeeds.

        Returns:
            The call's result.

        Raises:
            BrokerError: The call did not succeed in time, or failed permanently.

        *Source*: librdkafka's introduction, "Transactional producer": a call that failed with a retriable error is
        resumed by repeating it.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return call()
            except KafkaException as error:
                client.poll(RETRY_WAIT_S)
                reason = error.args[0]
                if not (reason.retriable() or reason.code() in PASSING) or time.monotonic() >= deadline:
                    raise self._failed(otherwise, timeout_s, reason) from error

    def _failed(self, what: str, timeout_s: float, reason: KafkaError) -> BrokerError:
        if reason.code() in FENCED:
            return BrokerError(
                f"{what}, because another step that sends the same month took over",
                expected="one step at a time for a month",
                got=reason.str(),
                where=f"broker {self.address}",
                todo="let the other step finish; if it should not run, stop it and materialize again",
            )
        reasons = dict.fromkeys(text for text in (reason.str(), self._last_error) if text)
        return BrokerError(
            what,
            expected=f"success within {timeout_s:.0f} s",
            got=", ".join(reasons),
            where=f"broker {self.address}",
            todo=LOOK_AT_BROKER,
        )

    def _keep_error(self, error: KafkaError) -> None:
        self._last_error = error.str()


FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}  # noqa: SLF001  no public name
)
"""The codes of a producer that a later one with the same transactional id has replaced."""


def spell_topic_id(uuid: object) -> str:
    """Return a topic's id as Kafka's own tools write it, in URL-safe base64, unlike confluent-kafka."""
    return str(uuid).translate(str.maketrans("+/", "-_"))


PASSING: Final = frozenset(
    {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._NOENT}  # noqa: SLF001  no public name
)
"""The codes of failures that may pass, besides those that librdkafka calls retriable; the last: no leader is known."""

LOOK_AT_BROKER: Final = (
    "look at the broker's container and its logs (service kafka of the compose stack) and check "
    "KAFKA_BOOTSTRAP_SERVERS; then materialize again"
)


class _Once(logging.Filter):
    """Passes each of librdkafka's log lines once; librdkafka logs every failed attempt, ten a second."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        line = _DURATION.sub("", record.getMessage())
        if line in self._seen:
            return False
        self._seen.add(line)
        return True


_LIBRDKAFKA_LOG: Final = logging.getLogger("librdkafka")
_LIBRDKAFKA_LOG.addFilter(_Once())
